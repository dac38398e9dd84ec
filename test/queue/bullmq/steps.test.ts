/** What src/queue/bullmq/steps.ts assumes about BullMQ: its steps can run an add-on of ours, in one script. */
import type { Queue } from 'bullmq';
import { describe, expect, test } from 'vitest';
import { shareConnection } from '../../../src/queue/bullmq/shared-queues.ts';
import { testConnection, testPrefix } from '../../support/redis.ts';

/** Counts in a key of its own, before BullMQ's step and after it. */
const counting = (key: string): { lua: string; keys: string[]; args: string[] } => ({
  lua: `redis.call('RPUSH', KEYS[1], ARGV[1] .. ' before')
local theirs = bullmq()
redis.call('RPUSH', KEYS[1], ARGV[1] .. ' after')
return { 'ours', theirs }`,
  keys: [key],
  args: ['x'],
});

function setUp() {
  const redis = testConnection();
  const prefix = testPrefix();
  const shared = shareConnection(redis, prefix);
  const queue: Queue = shared.queue('lane-x');
  const add = (id: string, opts: object = {}) =>
    shared.addWith(
      queue,
      { name: 'message', data: { id }, opts: { jobId: id, removeOnComplete: true, ...opts } },
      counting(`${prefix}:log`),
    );
  return { redis, prefix, queue, add, log: () => redis.lrange(`${prefix}:log`, 0, -1) };
}

describe('adding a job', () => {
  test.each([
    ['to wait', {}, 'waiting'],
    ['with a priority', { priority: 10 }, 'prioritized'],
    ['for later', { delay: 60_000 }, 'delayed'],
  ])('%s runs an add-on of ours around BullMQ’s step, and returns its answer', async (_title, opts, state) => {
    const { add, queue, log } = setUp();
    expect(await add('one', opts)).toBe('ours');
    expect(await queue.getJobState('one')).toBe(state);
    expect((await queue.getJob('one'))?.data).toEqual({ id: 'one' });
    expect(await log()).toEqual(['x before', 'x after']);
  });

  test('works again after Redis has forgotten all scripts', async () => {
    const { add, queue, redis } = setUp();
    await add('one');
    await redis.script('FLUSH');
    expect(await add('two')).toBe('ours');
    expect(await queue.getJobCountByTypes('wait')).toBe(2);
  });

  test('by jobs at the same time gives each its own answer, and keeps their order', async () => {
    const { add, queue, log } = setUp();
    const ids = Array.from({ length: 50 }, (_each, i) => `job-${i}`);
    expect(new Set(await Promise.all(ids.map((id) => add(id))))).toEqual(new Set(['ours']));
    expect((await queue.getJobs(['wait'], 0, -1, true)).map(({ id }) => id)).toEqual(ids);
    expect(await log()).toHaveLength(100);
  });
});
