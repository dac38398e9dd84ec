/** A connector's own limits per day, per window and per message, over all workers. */
import { describe, expect, test } from 'vitest';
import { setTimeout as pause } from 'node:timers/promises';
import { createQuota, type Booking, type Demand } from '../../../src/queue/lanes/quota.ts';
import { shardsOf } from '../../../src/queue/redis/shards.ts';
import { openQueues } from '../../../src/queue/open.ts';
import { createRecordingTransport } from '../../../src/transport/recording.ts';
import type { Transport } from '../../../src/transport/transport.ts';
import { configOf, startWorker, testOperator, testProducer } from '../../support/postlane.ts';
import { shardCount, testConnection, testPrefix } from '../../support/redis.ts';
import { until } from '../../../testkit/until.ts';

const dayMs = 86_400_000;
/** A sixtieth of a day. */
const bucketMs = 1_440_000;
const recipients = (amount: number, limit: number): Demand[] => [
  { kind: 'recipients-per-day', amount, limit, windowMs: dayMs },
];
const bytes = (amount: number, limit: number, windowMs: number): Demand => ({ kind: 'bytes', amount, limit, windowMs });
const bookingOf = (taken: object): Booking => (taken as { booking: Booking }).booking;
const nowOf = async (redis: ReturnType<typeof testConnection>): Promise<number> => {
  const [seconds, micros] = await redis.time();
  return Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000);
};

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

  test('that cannot be given back cost no result: the message ends, and is sent once', async () => {
    const prefix = testPrefix();
    const redis = testConnection();
    const queues = openQueues(redis, { prefix, shards: shardCount() });
    const limits = { concurrency: 1, messagesPerMinute: null, recipientsPerDay: 2 };
    const recording = createRecordingTransport({ script: ['rejected'] });
    const send: Transport['send'] = async (mail, context) => {
      const outcome = await recording.send(mail, context);
      // From here on Redis refuses to count.
      await redis.set(queues.shards.keysOf('relay').quota('relay', 'recipients-per-day'), 'no hash');
      return outcome;
    };
    const worker = await startWorker({
      prefix,
      config: configOf({ relay: { limits } }),
      transports: { relay: { ...recording, send } },
    });
    const producer = testProducer(prefix);
    await producer.send({ id: 'm', from: 'x@example.com', to: 'a@example.net', text: 'x' });
    await until(async () => (await producer.status('m'))?.state === 'dead', { what: 'the message to end' });
    expect(recording.mails).toHaveLength(1);
    expect(worker.of('error')).toMatchObject([{ id: 'm', where: 'quota' }]);
  });

  test('leave the window bucket by bucket, and none before it is a day old', async () => {
    const redis = testConnection();
    const shards = shardsOf(testPrefix(), 1);
    const quota = createQuota(redis, shards);
    const key = shards.home.quota('c', 'recipients-per-day');
    // A bucket is known by its end, and is enforced for one bucket longer than a day.
    const present = (Math.floor((await nowOf(redis)) / bucketMs) + 1) * bucketMs;
    const old = (buckets: number): string => String(present - buckets * bucketMs);
    await redis.hset(key, { [old(63)]: 1_000, [old(61)]: 6, [old(10)]: 3 });
    expect(await quota.take('c', recipients(1, 10))).toMatchObject({
      booking: { parts: [{ bucket: String(present) }] },
    });
    // Six of them leave with the end of this bucket, and are needed for two more.
    const { waitMs } = (await quota.take('c', recipients(2, 10))) as { waitMs: number };
    expect(waitMs).toBeGreaterThan(0);
    expect(waitMs).toBeLessThanOrEqual(bucketMs);
    // Eight more need the three as well.
    const more = (await quota.take('c', recipients(8, 10))) as { waitMs: number };
    expect(Math.abs(more.waitMs - waitMs - 51 * bucketMs)).toBeLessThan(10_000);
    expect(await redis.hexists(key, old(63))).toBe(0);
  });

  test('let a message to more people than a day allows go alone, rather than never', async () => {
    const quota = createQuota(testConnection(), shardsOf(testPrefix(), 1));
    expect(await quota.take('c', recipients(50, 10))).toHaveProperty('booking');
    expect(await quota.take('c', recipients(1, 10))).toMatchObject({
      waitMs: expect.any(Number),
      kind: 'recipients-per-day',
    });
  });
});

describe('bytes within a window', () => {
  test('never exceed the limit in any window of Redis’ clock, over all workers', async () => {
    const redis = testConnection();
    const shards = shardsOf(testPrefix(), 1);
    const [limit, windowMs] = [1_000, 600];
    const taken: { amount: number; before: number; after: number }[] = [];
    const sum = (): number => taken.reduce((all, { amount }) => all + amount, 0);
    const taker = async (amount: number): Promise<void> => {
      const quota = createQuota(redis, shards);
      while (sum() < 4 * limit) {
        const before = await nowOf(redis);
        const answer = await quota.take('c', [bytes(amount, limit, windowMs)]);
        if ('booking' in answer) taken.push({ amount, before, after: await nowOf(redis) });
        else await pause(answer.waitMs);
      }
    };
    await Promise.all([7, 40, 90, 130].map(taker));
    // Counted are those that were certainly booked within one window.
    for (const first of taken) {
      const within = taken.filter(({ before, after }) => before >= first.before && after - first.before < windowMs);
      expect(within.reduce((sum, { amount }) => sum + amount, 0)).toBeLessThanOrEqual(limit);
    }
  });

  test('are free again after the wait that was named, which is hardly longer than the window', async () => {
    const redis = testConnection();
    const quota = createQuota(redis, shardsOf(testPrefix(), 1));
    const windowMs = 600;
    await quota.take('c', [bytes(1_000, 1_000, windowMs)]);
    const { waitMs } = (await quota.take('c', [bytes(1, 1_000, windowMs)])) as { waitMs: number };
    // Two buckets more at the most; a bucket is a sixtieth of the window.
    expect(waitMs).toBeLessThanOrEqual(windowMs + 2 * (windowMs / 60));
    const freeAt = (await nowOf(redis)) + waitMs;
    await until(async () => (await nowOf(redis)) >= freeAt, { what: 'the named wait to be over' });
    expect(await quota.take('c', [bytes(1_000, 1_000, windowMs)])).toHaveProperty('booking');
  });

  test('and recipients are booked in one step: where one is full the other is not touched', async () => {
    const redis = testConnection();
    const shards = shardsOf(testPrefix(), 1);
    const quota = createQuota(redis, shards);
    const both = (count: number, size: number): Demand[] => [...recipients(count, 10), bytes(size, 1_000, 60_000)];
    const windows = both(0, 0);
    const { booking } = (await quota.take('c', both(4, 900))) as { booking: Booking };
    expect(await quota.take('c', both(4, 200))).toMatchObject({ kind: 'bytes', waitMs: expect.any(Number) });
    expect(await quota.take('c', both(8, 10))).toMatchObject({ kind: 'recipients-per-day' });
    expect(await quota.used('c', windows)).toEqual([4, 900]);
    // Three of four were reached; the bytes went out all the same.
    await quota.settle('c', booking, (kind) => (kind === 'bytes' ? Infinity : 3), 0);
    expect(await quota.used('c', windows)).toEqual([3, 900]);
  });

  test('of an attempt that took longer than a bucket count from its end', async () => {
    const redis = testConnection();
    const shards = shardsOf(testPrefix(), 1);
    const quota = createQuota(redis, shards);
    const demand = bytes(100, 1_000, 60_000);
    const booking = bookingOf(await quota.take('c', [demand]));
    const { bucket } = booking.parts[0]!;
    const key = shards.home.quota('c', 'bytes');
    // As if it had been booked half a minute ago.
    const early = { parts: [{ demand, bucket: String(Number(bucket) - 30_000) }] };
    await redis.del(key);
    await redis.hset(key, { [early.parts[0]!.bucket]: 100 });
    await quota.settle('c', early, () => Infinity, 30_000);
    expect(await redis.hget(key, early.parts[0]!.bucket)).toBe('0');
    expect(await quota.used('c', [demand])).toEqual([100]);
  });

  /** One message that is larger than the window, and two small ones, in a lane that sends one at a time. */
  const threeInLine = async (windowMs: number) => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    const operator = await testOperator(prefix);
    const limits = { concurrency: 1, messagesPerMinute: null, bytesPerWindow: { bytes: 30_000, windowMs } };
    const worker = await startWorker({ prefix, config: configOf({ relay: { limits } }) });
    await operator.lanes.pause('relay');
    for (const [i, size] of [40_000, 10_000, 10_000].entries()) {
      await producer.send({ id: `m${i}`, from: 'x@example.com', to: 'a@example.net', text: 'x'.repeat(size) });
    }
    await until(async () => (await operator.lanes.status('relay')).waiting === 3, { what: 'all to be in the lane' });
    await operator.lanes.resume('relay');
    return { ...worker, producer, operator };
  };

  test('hold a lane without an attempt or a fault; a message that is larger than the window goes alone', async () => {
    const windowMs = 3_600_000;
    const { recorded, of, operator } = await threeInLine(windowMs);
    await until(() => of('quota-full').length > 0, { what: 'the window to be full' });
    expect(of('quota-full')[0]).toMatchObject({ quota: 'bytes', connector: 'relay' });
    // The event comes just before the message is back in the lane.
    const waiting = async () => {
      const now = await operator.lanes.status('relay');
      return now.waiting === 2 ? now : null;
    };
    const status = await until(waiting, { what: 'the message to be back in the lane' });
    expect(recorded('relay').mails.map(({ id }) => id)).toEqual(['m0']);
    expect(status).toMatchObject({ waitingFor: 'bytes', faults: null });
    expect(status.untilMs).toBeGreaterThan(windowMs - 120_000);
    expect(status.untilMs).toBeLessThanOrEqual(windowMs + 2 * (windowMs / 60));
  });

  test('let the rest go, in order, when the window has moved on', async () => {
    const { recorded, events, producer } = await threeInLine(3_000);
    await until(() => recorded('relay').mails.length === 3, { what: 'the rest to go' });
    await until(async () => (await producer.status('m2'))?.state === 'sent', { what: 'the last one to be sent' });
    expect(recorded('relay').mails.map(({ id }) => id)).toEqual(['m0', 'm1', 'm2']);
    const told = events.flatMap((event) =>
      event.event === 'sent' ? [event.id] : event.event === 'quota-full' ? ['full'] : [],
    );
    expect(told.slice(0, 2)).toEqual(['m0', 'full']);
    expect((await producer.status('m2'))?.attempts).toBe(1);
  });
});

describe('the size of a message', () => {
  test('above the connector’s limit makes a dead letter `too-large` without an attempt', async () => {
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
