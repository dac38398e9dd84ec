/** A master that Sentinels watch carries the same product, and the product follows it when it moves. */
import { expect, test } from 'vitest';
import { journey, untroubled } from '../../support/redis-journey.ts';
import { ownSentinels } from '../../support/own-redis.ts';

test('the master that Sentinels name carries messages as a single server does', async () => {
  const { name, sentinels } = await ownSentinels();
  const redis = { sentinel: { name, nodes: sentinels } };
  expect(await journey({ prefix: '{postlane}', producer: redis, worker: redis, operator: redis })).toEqual(untroubled);
});
