/** The warnings about a Redis that can lose mail: from every server that takes writes, and without asking what is forbidden. */
import { Redis } from 'ioredis';
import { expect, onTestFinished, test } from 'vitest';
import { startPrivateRedis } from '../../../testkit/redis.ts';
import { connectFailFast, whenReady, type RedisClient } from '../../../src/queue/redis/connection.ts';
import { durabilityWarnings } from '../../../src/queue/redis/durability.ts';
import type { RedisSettings } from '../../../src/queue/redis/settings.ts';
import { ownCluster } from '../../support/own-redis.ts';

async function connected(settings: RedisSettings): Promise<RedisClient> {
  const redis = connectFailFast(settings, 5_000, 'postlane-test');
  redis.on('error', () => undefined);
  onTestFinished(() => redis.disconnect());
  await whenReady(redis, 5_000);
  return redis;
}

const named = async (redis: RedisClient): Promise<string[]> =>
  (await durabilityWarnings(redis)).map(({ setting }) => setting).sort();

test('a single server is told of what it is set to', async () => {
  const server = await startPrivateRedis();
  onTestFinished(() => server.stop());
  const redis = await connected({ url: server.url });
  const admin = new Redis(server.url);
  onTestFinished(() => admin.disconnect());
  expect(await named(redis)).toEqual([]);
  await admin.config('SET', 'appendfsync', 'no');
  expect(await named(redis)).toEqual(['appendfsync']);
  await admin.config('SET', 'appendonly', 'no', 'maxmemory-policy', 'allkeys-lru');
  expect(await named(redis)).toEqual(['appendonly', 'maxmemory-policy']);
});

test('of a Cluster every master is asked, and the warning names those that are set so', async () => {
  const { nodes, urls } = await ownCluster(['--min-replicas-to-write', '1']);
  const redis = await connected({ cluster: { nodes: urls } });
  expect(await named(redis)).toEqual([]);
  await nodes[1]!.admin.config('SET', 'appendonly', 'no');
  await nodes[2]!.admin.config('SET', 'min-replicas-to-write', '0');
  const warnings = await durabilityWarnings(redis);
  expect(warnings.map(({ setting }) => setting).sort()).toEqual(['appendonly', 'min-replicas-to-write']);
  expect(warnings.find(({ setting }) => setting === 'appendonly')?.detail).toContain(`(127.0.0.1:${nodes[1]!.port})`);
});
