/** What is assumed of BullMQ's less public parts: a new version must keep all of this, or `src/queue/bullmq/shared-queues.ts` must change. */
import { randomUUID } from 'node:crypto';
import { DelayedError, WaitingError, Worker } from 'bullmq';
import { describe, expect, test } from 'vitest';
import { verdictOf } from '../../../src/queue/bullmq/soundness.ts';
import { shareConnection } from '../../../src/queue/bullmq/shared-queues.ts';
import type { TakenJob } from '../../../src/queue/bullmq/taken-job.ts';
import type { LaneWorker } from '../../../src/queue/lanes/lane-worker.ts';
import { maxStalls } from '../../../src/queue/jobs.ts';
import { openQueues } from '../../../src/queue/open.ts';
import { keysOf } from '../../../src/queue/redis/keys.ts';
import { lockRenewed } from '../../support/locks.ts';
import { testConnection, testPrefix } from '../../support/redis.ts';
import { until } from '../../../testkit/until.ts';

type Process = (job: TakenJob, token: string, signal: AbortSignal) => Promise<unknown>;

interface TestLane extends Pick<LaneWorker, 'recoverStalled'> {
  fetch(token: string): Promise<TakenJob | undefined>;
  run(job: TakenJob, token: string): Promise<unknown>;
}

function setUp(process: Process = async () => undefined, lockMs = 5_000) {
  const prefix = testPrefix();
  // A name of its own, which what BullMQ duplicates inherits, or replaces by one with the prefix.
  const redis = testConnection({ connectionName: prefix });
  const keys = keysOf(prefix);
  const shared = shareConnection(redis, prefix);
  const open = openQueues(redis, { prefix });
  const worker = (): TestLane => {
    const made = open.laneWorker(
      'x',
      async (job, token, signal) => {
        await process(job, token, signal);
        return null;
      },
      { lockMs, stalledMs: 50 },
    );
    return {
      fetch: async (token) => (await made.take(token, { first: true, announce: false })).job,
      run: (job, token) => made.runJob(job, token, () => null),
      recoverStalled: () => made.recoverStalled(),
    };
  };
  return { prefix, redis, keys, shared, lanes: open.lanes, worker, queue: shared.queue('lane-x') };
}

describe('a lane worker', () => {
  test('opens no connection', async () => {
    const { prefix, redis, worker, queue } = setUp();
    const count = async () =>
      ((await redis.client('LIST')) as string).split('\n').filter((line) => line.includes(prefix)).length;
    const before = await count();
    expect(before).toBe(1);
    const lanes = Array.from({ length: 20 }, () => worker());
    await Promise.all(lanes.map((lane) => lane.fetch(randomUUID())));
    expect(await count()).toBe(before);
    await queue.add('message', {}, { jobId: 'a' });
    expect((await lanes[1]!.fetch('t'))?.id).toBe('a');
  });

  test('fetches without blocking, runs to completion, and leaves nothing behind', async () => {
    const seen: string[] = [];
    const { worker, queue } = setUp(async (job) => seen.push(job.id));
    const lane = worker();
    expect(await lane.fetch('t0')).toBeUndefined();
    await queue.add('message', { x: 1 }, { jobId: 'a', removeOnComplete: true });
    const job = await lane.fetch('t1');
    await lane.run(job!, 't1');
    expect(seen).toEqual(['a']);
    expect(await queue.getJob('a')).toBeUndefined();
  });

  test('keeps the lock under <queue>:<id>:lock with the token as its value, and renews it', async () => {
    const gate = { open: (): void => undefined };
    const { redis, keys, worker, queue } = setUp(() => new Promise<void>((resolve) => (gate.open = resolve)), 2_000);
    const lane = worker();
    await queue.add('message', {}, { jobId: 'a' });
    const job = await lane.fetch('the-token');
    const running = lane.run(job!, 'the-token');
    expect(await redis.get(keys.queue('lane-x', 'a:lock'))).toBe('the-token');
    await lockRenewed(redis, keys.queue('lane-x', 'a:lock'));
    expect(await redis.get(keys.queue('lane-x', 'a:lock'))).toBe('the-token');
    gate.open();
    await running;
  });

  test('gives the processor a signal, and aborts it when the lock is lost', async () => {
    const aborted: unknown[] = [];
    const { redis, keys, worker, queue } = setUp(
      (_job, _token, signal) =>
        new Promise<void>((_resolve, reject) => {
          signal.addEventListener('abort', () => {
            aborted.push(signal.reason);
            reject(new WaitingError());
          });
        }),
      300,
    );
    const lane = worker();
    await queue.add('message', {}, { jobId: 'a' });
    const running = lane.run((await lane.fetch('t'))!, 't');
    await redis.set(keys.queue('lane-x', 'a:lock'), 'somebody-else');
    await running;
    expect(aborted).toEqual(['lock lost']);
  });

  test('moves a job back in front when the lane is rate limited, without an attempt made', async () => {
    const { lanes, worker, queue } = setUp(async () => {
      throw Worker.RateLimitError();
    });
    await lanes.setLimits('x', { concurrency: 5, messagesPerMinute: null });
    await queue.add('message', {}, { jobId: 'a' });
    await queue.add('message', {}, { jobId: 'b' });
    const lane = worker();
    const job = await lane.fetch('t');
    await lanes.holdFor('x', 60_000, 'fault');
    await lane.run(job!, 't');
    expect((await queue.getJobs(['wait'], 0, -1, true)).map(({ id, attemptsMade }) => [id, attemptsMade])).toEqual([
      ['a', 0],
      ['b', 0],
    ]);
    expect(await worker().fetch('t2')).toBeUndefined();
  });

  test('leaves a job alone that was delayed or given back by hand', async () => {
    const { worker, queue } = setUp(async (job, token) => {
      if (job.id === 'a') {
        await job.moveToDelayed(Date.now() + 60_000, token);
        throw new DelayedError();
      }
      await job.moveToWait(token);
      throw new WaitingError();
    });
    const lane = worker();
    await queue.add('message', {}, { jobId: 'a' });
    await lane.run((await lane.fetch('t1'))!, 't1');
    await queue.add('message', {}, { jobId: 'b' });
    await lane.run((await lane.fetch('t2'))!, 't2');
    expect(await queue.getJobCounts('wait', 'delayed', 'failed', 'active')).toMatchObject({
      wait: 1,
      delayed: 1,
      failed: 0,
      active: 0,
    });
    const again = await lane.fetch('t3');
    expect([again?.id, again?.attemptsStarted]).toEqual(['b', 2]);
    expect((await queue.getJob('b'))?.attemptsMade).toBe(0);
  });

  test('recovers the job of a dead worker, and hands out no content once that has happened too often', async () => {
    const ran: string[] = [];
    const { redis, keys, worker, queue } = setUp(async (job) => ran.push(job.id));
    const lane = worker();
    await queue.add('message', { deadly: true }, { jobId: 'a' });
    const die = async (): Promise<unknown[]> => {
      const job = await until(
        async () => {
          await lane.recoverStalled();
          return lane.fetch(randomUUID());
        },
        { what: 'the job to be there again' },
      );
      await redis.del(keys.queue('lane-x', 'a:lock'));
      return [verdictOf(job), job.data];
    };
    for (let deaths = 0; deaths <= maxStalls; deaths += 1) expect(await die()).toEqual([null, { deadly: true }]);
    expect(await die()).toEqual(['stalled', 'stalled']);
    expect(ran).toEqual([]);
  });
});

describe('a lane as a queue', () => {
  test('keeps its limits, pause and delayed times where the ready set looks for them', async () => {
    const { redis, keys, lanes, queue } = setUp();
    await lanes.setLimits('x', { concurrency: 3, messagesPerMinute: 30 });
    expect(await redis.hmget(keys.queue('lane-x', 'meta'), 'concurrency', 'max', 'duration')).toEqual([
      '3',
      '1',
      '2017',
    ]);
    expect(await lanes.refresh('x', 'exact', false)).toBe(-1);
    await queue.add('message', {}, { jobId: 'later', delay: 50_000 });
    expect(Math.abs((await lanes.refresh('x', 'exact', false)) - 50_000)).toBeLessThan(10_000);
    await queue.add('message', {}, { jobId: 'now' });
    expect(await lanes.refresh('x', 'exact', false)).toBe(0);
    await lanes.holdFor('x', 30_000, 'fault');
    expect(Math.abs((await lanes.refresh('x', 'exact', false)) - 30_000)).toBeLessThan(10_000);
    await queue.pause();
    expect(await lanes.refresh('x', 'exact', false)).toBe(-1);
    expect((await lanes.claim(10, 1_000)).connectors).toEqual([]);
    await queue.resume();
    await redis.del(keys.queue('lane-x', 'limiter'));
    await lanes.refresh('x', 'sooner', false);
    expect((await lanes.claim(10, 1_000)).connectors).toEqual(['x']);
    expect((await lanes.claim(10, 1_000)).connectors).toEqual([]);
  });

  test('with as many active jobs as its concurrency is not due until one finishes', async () => {
    const { lanes, worker, queue } = setUp();
    await lanes.setLimits('x', { concurrency: 1, messagesPerMinute: null });
    await queue.add('message', {}, { jobId: 'a' });
    await queue.add('message', {}, { jobId: 'b' });
    const lane = worker();
    const job = await lane.fetch('t');
    expect(await lane.fetch('t2')).toBeUndefined();
    expect(await lanes.refresh('x', 'exact', false)).toBeGreaterThan(20_000);
    await lane.run(job!, 't');
    expect(await lanes.refresh('x', 'sooner', false)).toBe(0);
  });
});
