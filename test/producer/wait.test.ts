/** waitFor(): resolves with the final status, ends in time, heeds its signal, and does not flood Redis. */
import { describe, expect, onTestFinished, test } from 'vitest';
import { startPrivateRedis } from '../../testkit/redis.ts';
import { startTcpProxy } from '../../testkit/tcp-proxy.ts';
import { until } from '../../testkit/until.ts';
import { configOf, startWorker, testProducer } from '../support/postlane.ts';
import { rejection } from '../support/rejection.ts';
import { testPrefix } from '../support/redis.ts';
import { startProcessClock } from '../support/process-clock.ts';

const message = { from: 'x@example.com', to: 'a@example.net', text: 'x' };

describe('waitFor()', () => {
  test('resolves with the status of a message that a worker sends meanwhile', async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    const { id } = await producer.send(message);
    const waiting = producer.waitFor(id);
    await startWorker({ prefix, config: configOf({ relay: {} }) });
    expect(await waiting).toMatchObject({ id, state: 'sent', connector: 'relay', attempts: 1 });
  });

  test.each([
    ['dead', ['rejected']],
    ['held', ['uncertain']],
  ] as const)('resolves with %s, which is as final as sent', async (state, script) => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    const retry = { firstDelayMs: 40, maxDelayMs: 200, lifetimeMs: 60_000, onUncertain: 'hold' } as const;
    await startWorker({ prefix, config: configOf({ relay: { retry } }), scripts: { relay: script } });
    const { id } = await producer.send(message);
    expect(await producer.waitFor(id)).toMatchObject({ id, state });
  });

  test('resolves at once with a status that is final already', async () => {
    const producer = testProducer(testPrefix());
    const { id } = await producer.send({ ...message, sendAt: Date.now() + 3_600_000 });
    await producer.cancel(id);
    expect(await producer.waitFor(id, { timeoutMs: 1_000 })).toMatchObject({ id, state: 'cancelled' });
  });

  test('without a worker rejects with timeout, the id, and the state that it saw last', async () => {
    const producer = testProducer(testPrefix());
    const { id } = await producer.send(message);
    const error = await rejection(producer.waitFor(id, { timeoutMs: 100 }));
    expect(error).toMatchObject({ code: 'timeout', id });
    expect(error.message).toContain('still queued after 100 ms');
  });

  test('rejects with not-found for an id that no message has', async () => {
    const producer = testProducer(testPrefix());
    expect(await rejection(producer.waitFor('nowhere'))).toMatchObject({ code: 'not-found', id: 'nowhere' });
  });

  test('rejects with aborted as soon as its signal is aborted, before or during the wait', async () => {
    const producer = testProducer(testPrefix());
    const { id } = await producer.send(message);
    const reason = new Error('the user left');
    const stop = new AbortController();
    const waiting = rejection(producer.waitFor(id, { timeoutMs: Infinity, signal: stop.signal }));
    stop.abort(reason);
    expect(await waiting).toMatchObject({ code: 'aborted', id, cause: reason });
    expect(await rejection(producer.waitFor(id, { signal: stop.signal }))).toMatchObject({ code: 'aborted', id });
  });

  test('goes on while Redis is away, and resolves when it is back', async () => {
    const redis = await startPrivateRedis();
    onTestFinished(() => redis.stop());
    const proxy = await startTcpProxy({ port: redis.port });
    onTestFinished(() => proxy.stop());
    const producer = testProducer('{p}', { url: `redis://127.0.0.1:${proxy.port}`, timeoutMs: 300 });
    const other = testProducer('{p}', { url: redis.url });
    const { id } = await other.send({ ...message, sendAt: Date.now() + 3_600_000 });
    await until(() => producer.status(id).catch(() => null), { what: 'the producer to be connected' });
    proxy.blackHole();
    const waiting = producer.waitFor(id, { timeoutMs: 120_000 });
    expect(await rejection(producer.status(id))).toMatchObject({ code: 'redis-unavailable' });
    await other.cancel(id);
    proxy.restore();
    expect(await waiting).toMatchObject({ state: 'cancelled' });
  });

  test('of a thousand messages reads no more than a thousand rows a second', async () => {
    const redis = await startPrivateRedis();
    onTestFinished(() => redis.stop());
    const producer = testProducer('{p}', { url: redis.url });
    const later = { ...message, sendAt: Date.now() + 3_600_000 };
    const sent = await producer.sendMany(Array.from({ length: 1_000 }, (_, i) => ({ ...later, id: `m${i}` })));
    expect(sent.every(({ ok }) => ok)).toBe(true);
    const { Redis } = await import('ioredis');
    const admin = new Redis(redis.url);
    onTestFinished(() => admin.disconnect());
    // Each read of a message that no worker has seen is two HGETALL of its row and one of its job.
    const reads = async (): Promise<number> =>
      Number(/cmdstat_hgetall:calls=(\d+)/.exec(await admin.info('commandstats'))?.[1] ?? 0);
    const before = await reads();
    const startedAt = performance.now();
    const waits = sent.flatMap((each) => (each.ok ? rejection(producer.waitFor(each.id, { timeoutMs: 2_500 })) : []));
    const errors = await Promise.all(waits);
    const seconds = (performance.now() - startedAt) / 1_000;
    expect(new Set(errors.map((error) => error?.code))).toEqual(new Set(['timeout']));
    const looked = ((await reads()) - before) / 2;
    expect(looked).toBeGreaterThan(100);
    expect(looked / seconds).toBeLessThan(1_100);
  });
});

describe('close()', () => {
  test('lets calls under way finish, and refuses later ones with producer-closed', async () => {
    const producer = testProducer(testPrefix());
    const many = producer.sendMany(Array.from({ length: 500 }, () => message));
    const one = producer.send(message);
    const closed = producer.close();
    expect((await rejection(producer.send(message))).code).toBe('producer-closed');
    expect((await rejection(producer.status('x'))).code).toBe('producer-closed');
    expect(await one).toMatchObject({ duplicate: false });
    expect((await many).filter(({ ok }) => ok)).toHaveLength(500);
    await closed;
    await producer.close();
  });

  test('ends calls that Redis does not answer, within the timeout, with the id to call again with', async () => {
    const redis = await startPrivateRedis();
    onTestFinished(() => redis.stop());
    const proxy = await startTcpProxy({ port: redis.port });
    onTestFinished(() => proxy.stop());
    const producer = testProducer('{p}', { url: `redis://127.0.0.1:${proxy.port}`, timeoutMs: 400 });
    await producer.send(message);
    proxy.blackHole();
    const sending = rejection(producer.send({ ...message, id: 'during' }));
    const elapsedMs = startProcessClock();
    await producer.close();
    expect(elapsedMs()).toBeLessThan(2_000);
    expect(await sending).toMatchObject({ id: 'during' });
  });

  test('ends waitFor() at once', async () => {
    const producer = testProducer(testPrefix());
    const { id } = await producer.send(message);
    const waiting = rejection(producer.waitFor(id, { timeoutMs: Infinity }));
    const elapsedMs = startProcessClock();
    await producer.close();
    // Half of the time that a call under way would be waited for.
    expect(elapsedMs()).toBeLessThan(2_500);
    expect(await waiting).toMatchObject({ code: 'producer-closed' });
  });

  test('is what `await using` calls', async () => {
    const producer = testProducer(testPrefix());
    await producer[Symbol.asyncDispose]();
    expect((await rejection(producer.send(message))).code).toBe('producer-closed');
  });
});

describe('a signal', () => {
  test('that is aborted already keeps send() from storing anything', async () => {
    const producer = testProducer(testPrefix());
    const signal = AbortSignal.abort(new Error('no longer wanted'));
    const error = await rejection(producer.send({ ...message, id: 'unwanted' }, { signal }));
    expect(error).toMatchObject({ code: 'aborted', id: 'unwanted' });
    expect((error.cause as Error).message).toBe('no longer wanted');
    expect(await producer.status('unwanted')).toBeNull();
  });

  test('ends a call that Redis does not answer at once, with the id to call again with', async () => {
    const redis = await startPrivateRedis();
    onTestFinished(() => redis.stop());
    const proxy = await startTcpProxy({ port: redis.port });
    onTestFinished(() => proxy.stop());
    const producer = testProducer('{p}', { url: `redis://127.0.0.1:${proxy.port}`, timeoutMs: 20_000 });
    await producer.send(message);
    proxy.blackHole();
    const stop = new AbortController();
    const sending = rejection(producer.send({ ...message, id: 'during' }, { signal: stop.signal }));
    const asking = rejection(producer.status('during', { signal: stop.signal }));
    const cancelling = rejection(producer.cancel('during', { signal: stop.signal }));
    stop.abort();
    expect(await sending).toMatchObject({ code: 'aborted', id: 'during' });
    expect([(await asking).code, (await cancelling).code]).toEqual(['aborted', 'aborted']);
    proxy.restore();
    const again = await until(() => producer.send({ ...message, id: 'during' }).catch(() => null), {
      what: 'send to work again',
    });
    expect(again.id).toBe('during');
  });

  test('that is aborted during sendMany() gives the rest of the results aborted', async () => {
    const producer = testProducer(testPrefix());
    const signal = AbortSignal.abort();
    const results = await producer.sendMany([message, message], { signal });
    expect(results).toMatchObject([
      { ok: false, error: { code: 'aborted' } },
      { ok: false, error: { code: 'aborted' } },
    ]);
  });
});
