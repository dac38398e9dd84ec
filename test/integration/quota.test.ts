/** A connector's own limits per day and per message, over all workers. */
import { describe, expect, test } from 'vitest';
import { createQuota } from '../../src/queue/quota.ts';
import { keysOf } from '../../src/queue/names.ts';
import { configOf, startWorker, testOperator, testProducer } from '../support/postlane.ts';
import { testConnection, testPrefix } from '../support/redis.ts';
import { until } from '../support/until.ts';

const hourMs = 3_600_000;

describe('recipients per day', () => {
  test('are never exceeded over two workers; the rest waits in order, without an attempt or a fault', async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    const operator = await testOperator(prefix);
    const limits = { concurrency: 5, messagesPerMinute: null, recipientsPerDay: 20 };
    const config = configOf({ relay: { limits } });
    const one = await startWorker({ prefix, config, name: 'one' });
    const two = await startWorker({ prefix, config, name: 'two' });
    const to = ['a@example.net', 'b@example.net'];
    await producer.sendMany(
      Array.from({ length: 15 }, (_, i) => ({ id: `m${i}`, from: 'x@example.com', to, text: 'x' })),
    );
    const sent = () => [...one.recorded('relay').mails, ...two.recorded('relay').mails];
    await until(() => sent().length === 10, { what: 'a day’s recipients to be served' });
    await until(() => one.of('quota-full').length + two.of('quota-full').length > 0, { what: 'the day to be full' });
    await until(async () => (await operator.lanes.status('relay')).waiting === 5, { what: 'the rest to wait' });
    expect(sent()).toHaveLength(10);
    expect(await operator.lanes.status('relay')).toMatchObject({ faults: null, paused: false });
    const waiting = await Promise.all(Array.from({ length: 15 }, (_, i) => producer.status(`m${i}`)));
    expect(waiting.filter((row) => row?.state === 'queued' && row.attempts === 0)).toHaveLength(5);
  });

  test('count those who were reached: what failed is given back', async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    const limits = { concurrency: 1, messagesPerMinute: null, recipientsPerDay: 2 };
    const { recorded } = await startWorker({
      prefix,
      config: configOf({ relay: { limits } }),
      scripts: { relay: ['rejected', 'deferred'] },
    });
    for (const id of ['refused', 'later', 'last']) {
      await producer.send({ id, from: 'x@example.com', to: 'a@example.net', text: 'x' });
    }
    await until(async () => (await producer.status('last'))?.state === 'sent', { what: 'the last to be sent' });
    await until(async () => (await producer.status('later'))?.state === 'sent', { what: 'the deferred to be sent' });
    expect(recorded('relay').mails).toHaveLength(4);
  });

  test('leave the window hour by hour, and none before it is a day old', async () => {
    const prefix = testPrefix();
    const redis = testConnection();
    const keys = keysOf(prefix);
    const quota = createQuota(redis, keys);
    const [seconds] = await redis.time();
    const hour = Math.floor(Number(seconds) / 3_600);
    await redis.hset(keys.quota('c'), { [hour - 25]: 1_000, [hour - 24]: 6, [hour - 3]: 3 });
    expect(await quota.take('c', 1, 10)).toEqual({ booking: { hour, count: 1 } });
    // Six of them leave with the end of this hour, and are needed for two more.
    const wait = await quota.take('c', 2, 10);
    expect(wait).toMatchObject({ waitMs: expect.any(Number) });
    const { waitMs } = wait as { waitMs: number };
    expect(waitMs).toBeGreaterThan(0);
    expect(waitMs).toBeLessThanOrEqual(hourMs);
    // Eight more need the three of three hours ago as well.
    const more = (await quota.take('c', 8, 10)) as { waitMs: number };
    expect(Math.abs(more.waitMs - waitMs - 21 * hourMs)).toBeLessThan(10_000);
    expect(await redis.hexists(keys.quota('c'), String(hour - 25))).toBe(0);
  });

  test('let a message to more people than a day allows go alone, rather than never', async () => {
    const quota = createQuota(testConnection(), keysOf(testPrefix()));
    expect(await quota.take('c', 50, 10)).toMatchObject({ booking: { count: 10 } });
    expect(await quota.take('c', 1, 10)).toMatchObject({ waitMs: expect.any(Number) });
  });
});

describe('the size of a message', () => {
  test('above the connector’s limit makes a dead letter «too-large» without an attempt', async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    const limits = { concurrency: 5, messagesPerMinute: null, maxBytes: 10_000 };
    const { recorded } = await startWorker({ prefix, config: configOf({ relay: { limits } }) });
    await producer.send({ id: 'large', from: 'x@example.com', to: 'a@example.net', text: 'x'.repeat(12_000) });
    await producer.send({ id: 'small', from: 'x@example.com', to: 'a@example.net', text: 'x'.repeat(1_000) });
    await until(async () => (await producer.status('large'))?.state === 'dead', { what: 'the large one to be dead' });
    await until(async () => (await producer.status('small'))?.state === 'sent', { what: 'the small one to be sent' });
    const letter = await (await testOperator(prefix)).deadLetters.get('large');
    expect(letter).toMatchObject({
      reason: 'too-large',
      attempts: 0,
      reply: expect.stringContaining('limits.maxSize'),
    });
    expect(recorded('relay').mails.map(({ id }) => id)).toEqual(['small']);
  });
});
