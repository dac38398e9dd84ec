/** What src/queue/bullmq/steps.ts assumes about BullMQ: its steps can run an add-on of ours, in one script. */
import { DelayedError, type Job, type Queue } from 'bullmq';
import { describe, expect, onTestFinished, test } from 'vitest';
import { shareConnection, type Completion, type LaneWorker } from '../../../src/queue/bullmq/shared-queues.ts';
import { testConnection, testPrefix } from '../../support/redis.ts';

const lane = { lockMs: 30_000, stalledMs: 30_000 };

/** Counts in a key of its own, before BullMQ's step and after it. */
const counting = (key: string): { lua: string; keys: string[]; args: string[] } => ({
  lua: `redis.call('RPUSH', KEYS[1], ARGV[1] .. ' before')
local theirs = bullmq()
redis.call('RPUSH', KEYS[1], ARGV[1] .. ' after')
return { 'ours', theirs }`,
  keys: [key],
  args: ['x'],
});

function setUp(work: (job: Job) => Completion | null | Promise<Completion | null>) {
  const redis = testConnection();
  const prefix = testPrefix();
  const shared = shareConnection(redis, prefix);
  const queue: Queue = shared.queue('lane-x');
  const worker: LaneWorker = shared.laneWorker('lane-x', async (job) => work(job), lane);
  onTestFinished(() => worker.close());
  const add = (id: string, opts: object = {}) =>
    shared.addWith(
      queue,
      { name: 'message', data: { id }, opts: { jobId: id, removeOnComplete: true, ...opts } },
      counting(`${prefix}:log`),
    );
  return { redis, prefix, queue, worker, add, log: () => redis.lrange(`${prefix}:log`, 0, -1) };
}

describe('adding a job', () => {
  test.each([
    ['to wait', {}, 'waiting'],
    ['with a priority', { priority: 10 }, 'prioritized'],
    ['for later', { delay: 60_000 }, 'delayed'],
  ])('%s runs an add-on of ours around BullMQ’s step, and returns its answer', async (_title, opts, state) => {
    const { add, queue, log } = setUp(() => null);
    expect(await add('one', opts)).toBe('ours');
    expect(await queue.getJobState('one')).toBe(state);
    expect((await queue.getJob('one'))?.data).toEqual({ id: 'one' });
    expect(await log()).toEqual(['x before', 'x after']);
  });

  test('works again after Redis has forgotten all scripts', async () => {
    const { add, queue, redis } = setUp(() => null);
    await add('one');
    await redis.script('FLUSH');
    expect(await add('two')).toBe('ours');
    expect(await queue.getJobCountByTypes('wait')).toBe(2);
  });

  test('by jobs at the same time gives each its own answer, and keeps their order', async () => {
    const { add, queue, log } = setUp(() => null);
    const ids = Array.from({ length: 50 }, (_each, i) => `job-${i}`);
    expect(new Set(await Promise.all(ids.map((id) => add(id))))).toEqual(new Set(['ours']));
    expect((await queue.getJobs(['wait'], 0, -1, true)).map(({ id }) => id)).toEqual(ids);
    expect(await log()).toHaveLength(100);
  });
});

/** A completion that notes what becomes of it. */
function noting(addOn: Completion['addOn'], notes: unknown[], mayEnd = true): Completion {
  return {
    addOn,
    committed: async (answer) => void notes.push(answer),
    async detached() {
      notes.push('detached');
      return mayEnd;
    },
  };
}

describe('the end of a job', () => {
  test('runs an add-on of ours, once, and fetches the next job in the same step', async () => {
    const notes: unknown[] = [];
    const { add, worker, queue, log, redis, prefix } = setUp(() => noting(counting(`${prefix}:log`), notes));
    await add('one');
    await add('two');
    await redis.del(`${prefix}:log`);
    const next = await worker.runJob((await worker.fetch('t'))!, 't', () => true);
    expect(notes).toEqual(['ours']);
    expect(next?.id).toBe('two');
    expect(await log()).toEqual(['x before', 'x after']);
    expect(await worker.runJob(next!, 't', () => true)).toBeUndefined();
    expect(notes).toEqual(['ours', 'ours']);
    expect(await queue.getJobCounts('wait', 'active', 'completed', 'failed')).toEqual({
      wait: 0,
      active: 0,
      completed: 0,
      failed: 0,
    });
  });

  test('does not run it for a job that was given back without a completion', async () => {
    const { add, worker, log, redis, prefix } = setUp(async (job) => {
      await job.moveToDelayed(Date.now() + 60_000, 't');
      throw new DelayedError();
    });
    await add('one');
    await redis.del(`${prefix}:log`);
    expect(await worker.runJob((await worker.fetch('t'))!, 't', () => true)).toBeUndefined();
    expect(await log()).toEqual([]);
  });

  test('under a lost lock still runs the add-on, and leaves the job to its new owner', async () => {
    const notes: unknown[] = [];
    const { add, worker, redis, prefix, queue } = setUp(async (job) => {
      await redis.set(`${prefix}:lane-x:${job.id}:lock`, 'another worker');
      return noting(counting(`${prefix}:log`), notes);
    });
    await add('one');
    await worker.runJob((await worker.fetch('t'))!, 't', () => true);
    expect(notes).toEqual(['ours']);
    expect(await queue.getJobState('one')).toBe('active');
  });

  test.each([
    ['follows once that is done otherwise', true, 'unknown'],
    ['does not come if that fails too', false, 'active'],
  ])('that was refused together with the add-on %s', async (_title, mayEnd, state) => {
    const notes: unknown[] = [];
    const refused = { lua: `return redis.error_reply('ERR refused')`, keys: [], args: [] };
    const { add, worker, queue } = setUp(() => noting(refused, notes, mayEnd));
    await add('one');
    expect(await worker.runJob((await worker.fetch('t'))!, 't', () => true)).toBeUndefined();
    expect(notes).toEqual(['detached']);
    expect(await queue.getJobState('one')).toBe(state);
  });

  test('is followed by no other job where it is not a success', async () => {
    const { add, worker, queue } = setUp(() => {
      throw new Error('failed on purpose');
    });
    await add('one');
    await add('two');
    expect(await worker.runJob((await worker.fetch('t'))!, 't', () => true)).toBeUndefined();
    expect(await queue.getJobCounts('wait', 'failed')).toEqual({ wait: 1, failed: 1 });
  });
});
