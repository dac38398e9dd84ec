/** A Redis of the test's own, to be killed, filled and made read-only; and a source that does not give up on it. */
import { Redis } from 'ioredis';
import { onTestFinished } from 'vitest';
import { startPrivateRedis, type PrivateRedis } from '../../testkit/redis.ts';
import type { OutboundMessage } from '../../src/message/schema.ts';
import type { Producer } from '../../src/producer/producer.ts';
import { until } from '../../testkit/until.ts';

export interface OwnRedis extends PrivateRedis {
  /** An operator's connection, which survives restarts. */
  readonly admin: Redis;
}

/** Ends with the test. To be started before the workers, so that it ends after them. */
export async function ownRedis(options: Parameters<typeof startPrivateRedis>[0] = {}): Promise<OwnRedis> {
  const server = await startPrivateRedis({ appendfsync: 'always', ...options });
  const admin = new Redis(server.url, { maxRetriesPerRequest: null, retryStrategy: () => 50 });
  admin.on('error', () => undefined);
  onTestFinished(async () => {
    admin.disconnect();
    await server.stop();
  });
  return Object.defineProperty({ ...server, admin }, 'pid', { get: () => server.pid });
}

/** Calls again with the same id until the message is accepted, as an application that must not lose it would. */
export async function insist(
  producer: Producer,
  messages: readonly OutboundMessage[],
  timeoutMs = 20_000,
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
