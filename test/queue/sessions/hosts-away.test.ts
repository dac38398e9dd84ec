/** Hosts that could not be used: left out by all workers, tried by one of them when their time is over, and free again once they work. */
import { expect, test } from 'vitest';
import { createHostsAway, type HostsAway } from '../../../src/queue/sessions/hosts-away.ts';
import { shardsOf } from '../../../src/queue/redis/shards.ts';
import { until } from '../../../testkit/until.ts';
import { shardCount, testConnection, testPrefix } from '../../support/redis.ts';

const awayMs = 300;

/** Several workers, and whether the time of a host is over. */
function fleet(count: number) {
  const redis = testConnection();
  const shards = shardsOf(testPrefix(), shardCount());
  const key = shards.keysOf('relay').hostsAway('relay');
  const workers = Array.from({ length: count }, (): HostsAway =>
    createHostsAway(testConnection(), shards, 'relay', awayMs),
  );
  const due = async (name: string): Promise<void> => {
    const isOver = async (): Promise<boolean> => Number(await redis.zscore(key, name)) < Date.now();
    await until(isOver, { what: `the end of the time of ${name}` });
  };
  const ask = (name: string): Promise<string[]> => Promise.all(workers.map((worker) => worker.ask(name)));
  return { redis, key, due, ask, worker: workers[0]! };
}

test('a host of which nothing is known is free, for all and without a key', async () => {
  const { redis, key, ask } = fleet(3);
  expect(await ask('a:25')).toEqual(['free', 'free', 'free']);
  expect(await redis.exists(key)).toBe(0);
});

test('all leave out a host that failed; when its time is over, one of them tries it', async () => {
  const { ask, due, worker } = fleet(5);
  await worker.failed('a:25');
  expect(await ask('a:25')).toEqual(Array(5).fill('away'));
  expect(await worker.ask('b:25')).toBe('free');
  await due('a:25');
  expect((await ask('a:25')).toSorted()).toEqual(['probe', 'probed', 'probed', 'probed', 'probed']);
  await worker.failed('a:25');
  expect(await worker.ask('a:25')).toBe('away');
});

test('a worker that dies while it tries a host is followed by another one, a time later', async () => {
  const { ask, due, worker } = fleet(2);
  await worker.failed('a:25');
  for (let i = 0; i < 2; i += 1) {
    await due('a:25');
    expect((await ask('a:25')).toSorted()).toEqual(['probe', 'probed']);
  }
});

test('a host that works is free at once, for all', async () => {
  const { redis, key, ask, worker } = fleet(3);
  await worker.failed('a:25');
  await worker.works('a:25');
  expect(await ask('a:25')).toEqual(['free', 'free', 'free']);
  expect(await redis.exists(key)).toBe(0);
});

test('what is known of hosts ends after a day', async () => {
  const { redis, key, due, ask, worker } = fleet(1);
  await redis.zadd(key, `${Date.now() - 25 * 3_600_000}`, 'gone:25');
  await worker.failed('a:25');
  expect(await redis.zrange(key, '0', '-1')).toEqual(['a:25']);
  await due('a:25');
  await ask('a:25');
  const left = await redis.pttl(key);
  expect(left).toBeGreaterThan(23 * 3_600_000);
  expect(left).toBeLessThanOrEqual(24 * 3_600_000);
});
