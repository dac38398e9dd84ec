/** A Redis Cluster carries the same product: real masters and replicas, everything that is done to a message. */
import { expect, test } from 'vitest';
import { journey, untroubled } from '../../support/redis-journey.ts';
import { ownCluster } from '../../support/own-redis.ts';

test('a Cluster carries messages, wake-ups, replays and examinations as a single server does', async () => {
  const { urls } = await ownCluster();
  // One node is enough to find the others.
  const redis = { cluster: { nodes: [urls[4]!] } };
  expect(await journey({ prefix: '{postlane}', producer: redis, worker: redis, operator: redis })).toEqual(untroubled);
});

test.each([2, 5])('%i shards over a Cluster carry the same', async (shards) => {
  const { urls } = await ownCluster();
  const redis = { cluster: { nodes: urls } };
  const roles = { producer: redis, worker: redis, operator: redis };
  expect(await journey({ prefix: '{postlane}', shards, ...roles })).toEqual(untroubled);
});
