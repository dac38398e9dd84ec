/** The producer's own promises: answers in time without Redis, stores large content once, refuses what is not a message. */
import { createHash } from 'node:crypto';
import { describe, expect, onTestFinished, test } from 'vitest';
import { startPrivateRedis } from '../../testkit/redis.ts';
import { createContentStore } from '../../src/queue/ledger/content.ts';
import { keysOf } from '../../src/queue/redis/keys.ts';
import { configOf, startWorker, testOperator, testProducer } from '../support/postlane.ts';
import { isSealed, testConnection, testPrefix } from '../support/redis.ts';
import { rejection } from '../support/rejection.ts';
import { startTcpProxy } from '../../testkit/tcp-proxy.ts';
import { until } from '../../testkit/until.ts';
import { startProcessClock } from '../support/process-clock.ts';

const message = { from: 'x@example.com', to: 'a@example.net', text: 'x' };

describe('without Redis', () => {
  test('at start send() rejects in time with the id to call again with, and works once Redis is there', async () => {
    const redis = await startPrivateRedis();
    onTestFinished(() => redis.stop());
    await redis.kill();
    const producer = testProducer('{p}', { url: redis.url, timeoutMs: 400 });
    const elapsedMs = startProcessClock();
    const error = await rejection(producer.send(message));
    expect(error.code).toBe('redis-unavailable');
    expect(error.id).toMatch(/^[0-9a-f-]{36}$/);
    expect(elapsedMs()).toBeLessThan(2_000);
    await redis.restart();
    const id = error.id!;
    const sent = await until(() => producer.send({ ...message, id }).catch(() => null), { what: 'send to work again' });
    // A duplicate if an earlier call was stored, and its answer came too late.
    expect(sent.id).toBe(id);
    await until(
      () =>
        producer.send({ ...message, id }).then(
          ({ duplicate }) => duplicate,
          () => false,
        ),
      {
        what: 'the same id to be a duplicate',
      },
    );
  });

  test('that stops answering later send() rejects in time, and works when it answers again', async () => {
    const redis = await startPrivateRedis();
    onTestFinished(() => redis.stop());
    const proxy = await startTcpProxy({ port: redis.port });
    onTestFinished(() => proxy.stop());
    const producer = testProducer('{p}', { url: `redis://127.0.0.1:${proxy.port}`, timeoutMs: 400 });
    await producer.send({ ...message, id: 'before' });
    proxy.blackHole();
    const elapsedMs = startProcessClock();
    expect((await rejection(producer.send({ ...message, id: 'during' }))).code).toBe('redis-unavailable');
    expect(elapsedMs()).toBeLessThan(2_000);
    proxy.restore();
    const sent = await until(() => producer.send({ ...message, id: 'during' }).catch(() => null), {
      what: 'send to work again',
    });
    expect(sent.id).toBe('during');
  });

  test('that is full send() rejects with redis-full and stores nothing', async () => {
    const redis = await startPrivateRedis();
    onTestFinished(() => redis.stop());
    const producer = testProducer('{p}', { url: redis.url });
    await producer.send({ ...message, id: 'before' });
    const { Redis } = await import('ioredis');
    const admin = new Redis(redis.url);
    onTestFinished(() => admin.disconnect());
    await admin.config('SET', 'maxmemory', '1');
    expect((await rejection(producer.send({ ...message, id: 'full' }))).code).toBe('redis-full');
    expect(await producer.send({ ...message, id: 'before' })).toEqual({ id: 'before', duplicate: true });
    await admin.config('SET', 'maxmemory', '0');
    expect(await producer.status('full')).toBeNull();
    expect(await producer.send({ ...message, id: 'full' })).toEqual({ id: 'full', duplicate: false });
  });
});

describe('large content', () => {
  const bytes = Buffer.alloc(200_000, 'attachment ');
  const ref = createHash('sha256').update(bytes).digest('hex');
  const withFile = (id: string) => ({ ...message, id, attachments: [{ filename: 'a.bin', content: bytes }] });

  test.skipIf(isSealed())(
    'is stored once for many messages, travels by reference, and goes with the last message that needs it',
    async () => {
      const prefix = testPrefix();
      const redis = testConnection();
      const keys = keysOf(prefix);
      const producer = testProducer(prefix);
      await producer.sendMany([withFile('one'), withFile('two')]);
      expect(await redis.strlen(keys.content(ref))).toBe(bytes.length);
      const job = await redis.hget(keys.queue('outbound', 'one'), 'data');
      expect(job!.length).toBeLessThan(2_000);
      expect(job).toContain(ref);
      expect(await redis.smembers(keys.contentRefs(ref))).toHaveLength(2);
      const { recorded } = await startWorker({ prefix, config: configOf({ relay: {} }) });
      await until(() => recorded('relay').mails.length === 2, { what: 'both to be sent' });
      for (const { bytes: mail } of recorded('relay').mails) {
        const body = mail
          .toString()
          .split(/\r\n\r\n/)
          .find((part) => part.length > 200_000)!;
        const encoded = body.slice(0, body.indexOf('\r\n--'));
        expect(createHash('sha256').update(Buffer.from(encoded, 'base64')).digest('hex')).toBe(ref);
      }
      await until(async () => (await redis.exists(keys.content(ref), keys.contentRefs(ref))) === 0, {
        what: 'it to go',
      });
      expect(await redis.zcard(keys.contents)).toBe(0);
    },
  );

  test.skipIf(isSealed())('of a dead letter stays until it is dropped', async () => {
    const prefix = testPrefix();
    const redis = testConnection();
    const keys = keysOf(prefix);
    await startWorker({ prefix, config: configOf({ relay: {} }), scripts: { relay: ['rejected'] } });
    const producer = testProducer(prefix);
    await producer.send(withFile('dead'));
    await until(async () => (await producer.status('dead'))?.state === 'dead', { what: 'it to be dead' });
    expect(await redis.exists(keys.content(ref))).toBe(1);
    const operator = await testOperator(prefix);
    await operator.drop('dead');
    expect(await redis.exists(keys.content(ref), keys.contentRefs(ref))).toBe(0);
  });

  test('of a cancelled message goes with it', async () => {
    const prefix = testPrefix();
    const redis = testConnection();
    const producer = testProducer(prefix);
    await producer.send({ ...withFile('cancelled'), sendAt: Date.now() + 3_600_000 });
    expect(await producer.cancel('cancelled')).toBe(true);
    expect(await redis.exists(keysOf(prefix).content(ref))).toBe(0);
  });

  test.skipIf(isSealed())(
    'that was changed in Redis is not sent: the message becomes a dead letter that says so',
    async () => {
      const prefix = testPrefix();
      const redis = testConnection();
      const producer = testProducer(prefix);
      await producer.send(withFile('forged'));
      await redis.set(keysOf(prefix).content(ref), 'something else');
      const { recorded } = await startWorker({ prefix, config: configOf({ relay: {} }) });
      await until(async () => (await producer.status('forged'))?.state === 'dead', { what: 'it to be dead' });
      expect(recorded('relay').mails).toHaveLength(0);
      const letter = await (await testOperator(prefix)).deadLetters.get('forged');
      expect(letter).toMatchObject({ reason: 'invalid-message', reply: expect.stringContaining('not the ones') });
    },
  );

  test('that a caller refers to must be there', async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    const attachments = [{ filename: 'a', ref: 'f'.repeat(64), size: 100_000 }];
    expect((await rejection(producer.send({ ...message, attachments }))).code).toBe('attachment-missing');
    const store = createContentStore(testConnection(), keysOf(prefix));
    const put = await store.put('other', bytes);
    await expect(producer.send({ ...message, attachments: [{ filename: 'a', ...put }] })).resolves.toMatchObject({
      duplicate: false,
    });
  });
});

test('of several messages that are sent under one id at the same moment to be sent later, one is stored, and the others are told so', async () => {
  const producer = testProducer(testPrefix());
  const sendAt = Date.now() + 3_600_000;
  const texts = ['1', '2', '3', '4'];
  const results = await Promise.all(texts.map((text) => producer.send({ ...message, id: 'm', text, sendAt })));
  expect(results.filter(({ duplicate }) => !duplicate)).toEqual([{ id: 'm', duplicate: false }]);
  expect(await producer.status('m')).toMatchObject({ state: 'scheduled', retryAt: sendAt });
});

describe('cancel()', () => {
  test('stops a message that waits in a lane, and cannot stop one that a recipient has', async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    const operator = await testOperator(prefix);
    const { recorded } = await startWorker({ prefix, config: configOf({ relay: {} }) });
    await operator.lanes.pause('relay');
    await producer.send({ ...message, id: 'waits' });
    await until(async () => (await operator.lanes.status('relay')).waiting === 1, { what: 'it to wait in the lane' });
    expect(await producer.cancel('waits')).toBe(true);
    expect(await producer.cancel('waits')).toBe(true);
    await operator.lanes.resume('relay');
    await producer.send({ ...message, id: 'goes' });
    await until(async () => (await producer.status('goes'))?.state === 'sent', { what: 'the other to be sent' });
    expect(await producer.cancel('goes')).toBe(false);
    expect(await producer.cancel('unknown')).toBe(false);
    expect(recorded('relay').mails.map(({ id }) => id)).toEqual(['goes']);
    expect((await producer.status('waits'))?.state).toBe('cancelled');
  });
});
