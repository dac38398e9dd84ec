/** What src/queue/bullmq/steps.ts takes for granted about BullMQ: its steps can carry one of ours, in one script. */
import { DelayedError, type Job, type Queue } from 'bullmq';
import { describe, expect, onTestFinished, test } from 'vitest';
import { shareConnection, type LaneWorker, type Riding } from '../../../src/queue/bullmq/shared-queues.ts';
import { testConnection, testPrefix } from '../../support/redis.ts';

const lane = { lockMs: 30_000, stalledMs: 30_000, maxStalledCount: 3 };

/** Counts in a key of its own, before BullMQ's step and after it. */
const counting = (key: string): { lua: string; keys: string[]; args: string[] } => ({
  lua: `redis.call('RPUSH', KEYS[1], ARGV[1] .. ' before')
local theirs = bullmq()
redis.call('RPUSH', KEYS[1], ARGV[1] .. ' after')
return { 'ours', theirs }`,
  keys: [key],
  args: ['x'],
});

function setUp(work: (job: Job, riding: Riding) => void | Promise<void>) {
  const redis = testConnection();
  const prefix = testPrefix();
  const shared = shareConnection(redis, prefix);
  const queue: Queue = shared.queue('lane-x');
  const worker: LaneWorker = shared.laneWorker('lane-x', async (job) => work(job, worker.riding(job)), lane);
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
  ])('%s carries a step of ours around BullMQ’s, and gives its answer', async (_title, opts, state) => {
    const { add, queue, log } = setUp(() => undefined);
    expect(await add('one', opts)).toBe('ours');
    expect(await queue.getJobState('one')).toBe(state);
    expect((await queue.getJob('one'))?.data).toEqual({ id: 'one' });
    expect(await log()).toEqual(['x before', 'x after']);
  });

  test('works again after Redis has forgotten all scripts', async () => {
    const { add, queue, redis } = setUp(() => undefined);
    await add('one');
    await redis.script('FLUSH');
    expect(await add('two')).toBe('ours');
    expect(await queue.getJobCountByTypes('wait')).toBe(2);
  });

  test('by jobs at the same time gives each its own answer, and keeps their order', async () => {
    const { add, queue, log } = setUp(() => undefined);
    const ids = Array.from({ length: 50 }, (_each, i) => `job-${i}`);
    expect(new Set(await Promise.all(ids.map((id) => add(id))))).toEqual(new Set(['ours']));
    expect((await queue.getJobs(['wait'], 0, -1, true)).map(({ id }) => id)).toEqual(ids);
    expect(await log()).toHaveLength(100);
  });
});

describe('the end of a job', () => {
  test('carries a step of ours, once, and fetches the next job in the same one', async () => {
    const answers: unknown[] = [];
    const { add, worker, queue, log, redis, prefix } = setUp((job, { carry, until }) => {
      until(carry(counting(`${prefix}:log`)).then((answer) => void answers.push(job.id, answer)));
    });
    await add('one');
    await add('two');
    await redis.del(`${prefix}:log`);
    const next = await worker.runJob((await worker.fetch('t'))!, 't', () => true);
    expect(answers).toEqual(['one', 'ours']);
    expect(next?.id).toBe('two');
    expect(await log()).toEqual(['x before', 'x after']);
    expect(await worker.runJob(next!, 't', () => true)).toBeUndefined();
    expect(answers).toEqual(['one', 'ours', 'two', 'ours']);
    expect(await queue.getJobCounts('wait', 'active', 'completed', 'failed')).toEqual({
      wait: 0,
      active: 0,
      completed: 0,
      failed: 0,
    });
  });

  test('that does not come, as the processor gave the job back, tells the rider so', async () => {
    const errors: string[] = [];
    const { add, worker, prefix } = setUp(async (job, { carry, until }) => {
      until(
        carry(counting(`${prefix}:log`)).then(
          () => undefined,
          (error: Error) => void errors.push(error.message),
        ),
      );
      await job.moveToDelayed(Date.now() + 60_000, 't');
      throw new DelayedError();
    });
    await add('one');
    expect(await worker.runJob((await worker.fetch('t'))!, 't', () => true)).toBeUndefined();
    expect(errors).toEqual(['the job was not ended here']);
  });

  test('under a lost lock still carries the step of ours, and leaves the job to its new owner', async () => {
    const answers: unknown[] = [];
    const { add, worker, redis, prefix, queue } = setUp(async (job, { carry, until }) => {
      await redis.set(`${prefix}:lane-x:${job.id}:lock`, 'somebody else');
      until(carry(counting(`${prefix}:log`)).then((answer) => void answers.push(answer)));
    });
    await add('one');
    await worker.runJob((await worker.fetch('t'))!, 't', () => true);
    expect(answers).toEqual(['ours']);
    expect(await queue.getJobState('one')).toBe('active');
  });

  test('that was refused with a step of ours comes once that is done otherwise, and not before', async () => {
    const refused = { lua: `return redis.error_reply('ERR refused')`, keys: [], args: [] };
    const { add, worker, queue } = setUp((job, { carry, until }) => {
      const carried = carry(refused);
      until(job.id === 'done' ? carried.catch(() => undefined) : carried);
    });
    for (const [id, state] of [
      ['done', 'unknown'],
      ['lost', 'active'],
    ] as const) {
      await add(id);
      expect(await worker.runJob((await worker.fetch('t'))!, 't', () => true)).toBeUndefined();
      expect(await queue.getJobState(id)).toBe(state);
    }
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
