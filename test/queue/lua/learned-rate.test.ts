/** The rate that a server bears, as it is learned in Redis: estimates, growth, and when it is forgotten. */
import { describe, expect, test } from 'vitest';
import { openQueues } from '../../../src/queue/open.ts';
import { shardCount, testConnection, testPrefix } from '../../support/redis.ts';

const connector = 'c';
const firstMs = 1_000;

interface Options {
  readonly messagesPerMinute?: number | null;
  readonly waiting?: boolean;
}

/** A lane whose server throttles when the test says so. Time passes by moving what Redis has noted into the past. */
async function lane({ messagesPerMinute = null, waiting = true }: Options = {}) {
  const redis = testConnection();
  const open = openQueues(redis, { prefix: testPrefix(), shards: shardCount() });
  const { lanes } = open;
  const keys = open.shards.keysOf(connector);
  const limits = { concurrency: 5, messagesPerMinute };
  await lanes.setLimits(connector, limits);
  if (waiting) await lanes.queue(connector).add('message', {}, { jobId: 'm' });
  return {
    redis,
    keys,
    lanes,
    setLimits: () => lanes.setLimits(connector, limits),
    /** The pause before is over. */
    async throttle(found = true, toldMs: number | null = null) {
      await redis.hdel(keys.connector(connector), 'until', 'faults');
      await redis.del(keys.connectorWait(connector));
      const about = { kind: 'throttled', reply: 'slow down', toldMs, firstMs, longestMs: 300_000 };
      return lanes.fault(connector, { ...about, found, limits, longestHoldMs: 3_600_000 });
    },
    async pass(ms: number, mails: number) {
      const at = await redis.hget(keys.refusals(connector), 'at');
      if (at !== null) await redis.hset(keys.refusals(connector), 'at', Number(at) - ms);
      await redis.hincrby(keys.connectorStats(connector), 'sent', mails);
    },
    learned: async () => (await lanes.status(connector)).learnedMessagesPerMinute,
    /** What BullMQ enforces. */
    async enforced() {
      const [max, duration] = await redis.hmget(keys.queue(`lane-${connector}`, 'meta'), 'max', 'duration');
      return { max: Number(max), durationMs: Number(duration) };
    },
  };
}

describe('a learned rate', () => {
  test('needs two refusals: the first one only pauses the lane', async () => {
    const on = await lane();
    await on.pass(1_000, 500);
    expect(await on.throttle()).toMatchObject({ pauseMs: firstMs, messagesPerMinute: null });
    expect(await on.enforced()).toMatchObject({ max: 1_000_000 });
  });

  test('is a little less than what the server took between the two, and is in force for all processes', async () => {
    const on = await lane();
    await on.throttle();
    await on.pass(10_000, 100);
    const { messagesPerMinute, pauseMs } = await on.throttle();
    // Ten in a second were taken. Redis' clock has gone on a little meanwhile.
    expect(messagesPerMinute).toBeGreaterThan(540);
    expect(messagesPerMinute).toBeLessThanOrEqual(570);
    expect(pauseMs).toBeLessThan(firstMs);
    const { max, durationMs } = await on.enforced();
    expect(max).toBe(1);
    expect(durationMs).toBeGreaterThanOrEqual(105);
    expect(await on.setLimits()).toBe(1);
    expect((await on.enforced()).max).toBe(1);
  });

  test('grows with each mail that is taken, and a second refusal leaves it between what was taken and what was refused', async () => {
    const on = await lane();
    await on.throttle();
    await on.pass(10_000, 100);
    await on.throttle();
    const before = (await on.learned())!;
    await on.pass(1_200, 12);
    const refused = (await on.learned())!;
    expect(refused).toBeGreaterThan(1.9 * before);
    const { messagesPerMinute } = await on.throttle();
    expect(messagesPerMinute).toBeGreaterThan(0.95 * Math.sqrt(550 * refused) - 30);
    expect(messagesPerMinute).toBeLessThan(refused);
    const bounded = (await on.learned())!;
    await on.pass(1_200, 12);
    // It has been close once, so it goes slower now.
    expect(await on.learned()).toBeLessThan(1.1 * bounded);
  });

  test('is lowered a little where the server throttles again at once, and the pause grows', async () => {
    const on = await lane();
    await on.throttle();
    await on.pass(10_000, 100);
    const first = await on.throttle();
    await on.pass(0, 1);
    const second = await on.throttle();
    expect(second.messagesPerMinute).toBeLessThan(1.02 * first.messagesPerMinute!);
    expect(second.pauseMs).toBeGreaterThan(1.3 * first.pauseMs);
  });

  test('says nothing while the server takes nothing at all', async () => {
    const on = await lane();
    await on.throttle();
    await on.pass(10_000, 0);
    expect(await on.throttle()).toMatchObject({ pauseMs: firstMs, messagesPerMinute: null });
  });

  test('ends as it doubles every minute, and then the configured limits are in force again', async () => {
    const on = await lane({ messagesPerMinute: 6_000 });
    const configured = await on.enforced();
    await on.throttle();
    await on.pass(10_000, 100);
    await on.throttle();
    expect(await on.enforced()).not.toEqual(configured);
    await on.pass(8 * 60_000, 0);
    await on.lanes.pace(connector, 6_000);
    await on.setLimits();
    expect(await on.enforced()).toEqual(configured);
    await on.pass(10 * 60_000, 0);
    expect(await on.learned()).toBeNull();
  });

  test('never lifts a configured limit', async () => {
    const on = await lane({ messagesPerMinute: 60 });
    const configured = await on.enforced();
    await on.throttle();
    await on.pass(10_000, 100);
    expect(await on.throttle()).toMatchObject({ messagesPerMinute: null });
    expect(await on.enforced()).toEqual(configured);
    await on.setLimits();
    expect(await on.enforced()).toEqual(configured);
  });

  test('is not learned where nobody waits, before MAIL FROM, or from a refusal of long ago', async () => {
    const alone = await lane({ waiting: false });
    await alone.throttle();
    await alone.pass(10_000, 100);
    expect(await alone.throttle()).toMatchObject({ messagesPerMinute: null });

    const early = await lane();
    await early.throttle(false);
    await early.pass(10_000, 100);
    expect(await early.throttle(false)).toMatchObject({ messagesPerMinute: null });

    const late = await lane();
    await late.throttle();
    await late.pass(16 * 60_000, 100);
    expect(await late.throttle()).toMatchObject({ messagesPerMinute: null });
  });

  test('is not learned where messages are often refused by themselves: some in a row are chance then', async () => {
    const on = await lane();
    await on.throttle();
    await on.pass(10_000, 100);
    await on.redis.hset(on.keys.refusals(connector), { 'own:4': 30, ownSent: 0 });
    expect(await on.throttle()).toMatchObject({ pauseMs: firstMs, messagesPerMinute: null });
  });

  test('is learned where the server speaks of a rate, until half of the messages are refused by themselves', async () => {
    const on = await lane();
    await on.throttle();
    await on.pass(10_000, 100);
    await on.redis.hset(on.keys.refusals(connector), { alike: 'fault throttled', 'own:fault': 125, ownSent: 0 });
    expect(await on.throttle()).toMatchObject({ messagesPerMinute: null });
    await on.redis.hset(on.keys.refusals(connector), { 'own:fault': 110 });
    expect((await on.throttle()).messagesPerMinute).toBeLessThan(601);
  });

  test('a told time wins over the pause, and resume forgets the rate', async () => {
    const on = await lane();
    await on.throttle();
    await on.pass(10_000, 100);
    expect(await on.throttle(true, 7_000)).toMatchObject({ pauseMs: 7_000 });
    await on.lanes.resume(connector);
    expect(await on.learned()).toBeNull();
    await on.setLimits();
    expect(await on.enforced()).toMatchObject({ max: 1_000_000 });
  });

  test('of rubbish in Redis breaks nothing that an operator or a worker does', async () => {
    const on = await lane();
    await on.redis.hset(on.keys.refusals(connector), { rate: '-3', at: '1', sent: '9e99', bounded: '1' });
    await expect(on.setLimits()).resolves.toBe(5);
    await expect(on.throttle()).resolves.toMatchObject({ faults: 1 });
  });
});
