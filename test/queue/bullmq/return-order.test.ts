/** Jobs that are handed back: in the order in which they were taken, ahead of all that were not. */
import { setTimeout as pause } from 'node:timers/promises';
import { WaitingError } from 'bullmq';
import { describe, expect, test } from 'vitest';
import { shareConnection } from '../../../src/queue/bullmq/shared-queues.ts';
import type { TakenJob } from '../../../src/queue/bullmq/taken-job.ts';
import { openQueues } from '../../../src/queue/open.ts';
import { testConnection, testPrefix } from '../../support/redis.ts';

const options = { lockMs: 30_000, stalledMs: 30_000 };

async function setUp(priority: number, ids: readonly string[]) {
  const redis = testConnection();
  const prefix = testPrefix();
  const queue = shareConnection(redis, prefix).queue('lane-x');
  const lane = openQueues(redis, { prefix }).laneWorker(
    'x',
    async (job, token) => {
      await job.moveToWait(token);
      throw new WaitingError();
    },
    options,
  );
  const fetch = async (token: string): Promise<TakenJob | undefined> =>
    (await lane.take(token, { first: true, announce: false })).job;
  for (const id of ids) await queue.add('message', {}, { jobId: id, priority, timestamp: 1 });
  const take = async (): Promise<TakenJob> => {
    const job = (await fetch('t'))!;
    // Jobs are taken in different milliseconds; those of one millisecond have no order that a server could see.
    await pause(2);
    return job;
  };
  const handBack = (job: TakenJob): Promise<unknown> => lane.runJob(job, 't', () => null);
  const waiting = async (): Promise<string[]> =>
    (await queue.getJobs(['wait', 'prioritized'], 0, -1, true)).map(({ id }) => String(id));
  return { queue, fetch, take, handBack, waiting, redis };
}

describe.each([
  ['without a priority', 0],
  ['of a priority class', 10],
])('jobs %s', (_title, priority) => {
  // Names in the opposite order of arrival: their order must not come from them.
  const ids = ['e', 'd', 'c', 'b', 'a'];

  test.each([
    ['the first taken first', [0, 1, 2]],
    ['the last taken first', [2, 1, 0]],
    ['in any order', [1, 2, 0]],
  ])('that go back, %s, wait in their order again', async (_how, order) => {
    const { take, handBack, waiting } = await setUp(priority, ids);
    const taken = [await take(), await take(), await take()];
    for (const i of order) await handBack(taken[i]!);
    expect(await waiting()).toEqual(ids);
  });

  test('that go back twice keep their order', async () => {
    const { take, handBack, waiting } = await setUp(priority, ids);
    for (const count of [3, 2, 5]) {
      const taken: TakenJob[] = [];
      for (let i = 0; i < count; i += 1) taken.push(await take());
      for (const job of taken.toReversed()) await handBack(job);
    }
    expect(await waiting()).toEqual(ids);
  });

  test('that were tried before and wait since are not overtaken by one behind them, nor overtake one ahead', async () => {
    const { take, handBack, waiting, queue, fetch } = await setUp(priority, ids);
    const retried = await take();
    await retried.moveToDelayed(Date.now(), 't');
    // A fetch promotes what is due: to the end of the line.
    const [second, third] = [await take(), await take()];
    await handBack(third);
    await handBack(second);
    expect(await waiting()).toEqual(['d', 'c', 'b', 'a', 'e']);
    expect(await queue.getJobCountByTypes('delayed', 'active')).toBe(0);
    expect((await fetch('t'))?.id).toBe('d');
  });
});

test('many that go back at once end, each ahead of what was not taken', async () => {
  const ids = Array.from({ length: 150 }, (_, i) => `job-${i}`);
  const { fetch, handBack, waiting } = await setUp(10, ids);
  const taken: TakenJob[] = [];
  for (let i = 0; i < 100; i += 1) taken.push((await fetch('t'))!);
  await Promise.all(taken.map(handBack));
  const order = await waiting();
  expect(order.slice(100)).toEqual(ids.slice(100));
  expect(new Set(order.slice(0, 100))).toEqual(new Set(ids.slice(0, 100)));
});
