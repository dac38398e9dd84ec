/** Redis servers that belong to one test, to be killed, filled or cut off; and a source that keeps trying while they are away. */
import { Redis } from 'ioredis';
import { onTestFinished } from 'vitest';
import { startRedisCluster, type RedisCluster } from '../../testkit/redis-cluster.ts';
import { startRedisSentinels, type RedisSentinels } from '../../testkit/redis-sentinel.ts';
import { startPrivateRedis, type PrivateRedis } from '../../testkit/redis.ts';
import type { OutboundMessage } from '../../src/message/outbound.ts';
import type { Producer } from '../../src/producer/producer.ts';
import { until } from '../../testkit/until.ts';

export interface OwnRedis extends PrivateRedis {
  /** An operator's connection, which survives restarts. */
  readonly admin: Redis;
}

/** Ends with the test. Start it before the workers, so that it ends after them. */
export async function ownRedis(options: Parameters<typeof startPrivateRedis>[0] = {}): Promise<OwnRedis> {
  const server = await startPrivateRedis({ appendfsync: 'always', ...options });
  const admin = new Redis(server.url, { maxRetriesPerRequest: null, retryStrategy: () => 50 });
  admin.on('error', () => undefined);
  onTestFinished(async () => {
    admin.disconnect();
    await server.stop();
  });
  return { ...server, admin };
}

/** Ends with the test. `settings` go to every server. */
export async function ownCluster(settings: readonly string[] = []): Promise<RedisCluster> {
  const cluster = await startRedisCluster(settings);
  onTestFinished(() => cluster.stop());
  return cluster;
}

/** Ends with the test. `settings` go to every data server. */
export async function ownSentinels(settings: readonly string[] = []): Promise<RedisSentinels> {
  const sentinels = await startRedisSentinels(settings);
  onTestFinished(() => sentinels.stop());
  return sentinels;
}

/** Calls again with the same id until the message is accepted, as an application that must not lose it would. */
export async function sendUntilAccepted(
  producer: Producer,
  messages: readonly OutboundMessage[],
  timeoutMs = 60_000,
): Promise<void> {
  let left = messages;
  const accepted = async (): Promise<boolean> => {
    const results = await producer.sendMany(left);
    left = left.filter((_message, i) => results[i]?.ok !== true);
    for (const result of results) if (!result.ok) throw result.error;
    return true;
  };
  await until(accepted, { what: 'all messages to be accepted', timeoutMs });
}
