/** What a worker tells Redis about its session leases in one shard: each call is one script. */
import { run } from '../lua/script.ts';
import type { RedisClient } from '../redis/connection.ts';
import type { ShardKeys } from '../redis/keys.ts';
import { acquireScript, heartbeatScript, recallScript, reportScript } from './scripts.ts';

/** `expired`: this worker did not count as alive any more, so other workers may hold what it does. */
export interface LeaseCalls {
  acquire(
    connectorId: string,
    wanted: number,
    limit: number,
  ): Promise<{ readonly granted: boolean; readonly expired: boolean }>;
  /** Says how many leases this worker holds now. */
  report(connectorId: string, count: number): Promise<{ readonly expired: boolean }>;
  heartbeat(): Promise<{ readonly expired: boolean }>;
  /** Asks the worker with the most sessions of the connector to end an idle one. */
  recall(connectorId: string): Promise<void>;
}

export function createLeaseCalls(redis: RedisClient, keys: ShardKeys, worker: string, lifetimeMs: number): LeaseCalls {
  const about = { worker, lifetimeMs };
  const { sessions, sessionsChannel: channel } = keys;
  const keysFor = (id: string) => ({ sessions, held: keys.sessionsOf(id) });
  return {
    async acquire(id, wanted, limit) {
      const args = { ...about, wanted, limit };
      const [granted, expired] = (await run(redis, acquireScript, {
        keys: { ...keysFor(id), faults: keys.connector(id) },
        args,
      })) as unknown[];
      return { granted: Number(granted) === 1, expired: Number(expired) === 1 };
    },

    async report(id, count) {
      const args = { ...about, count, channel, message: `+${id}` };
      return { expired: Number(await run(redis, reportScript, { keys: keysFor(id), args })) === 1 };
    },

    async heartbeat() {
      return { expired: Number(await run(redis, heartbeatScript, { keys: { sessions }, args: about })) === 1 };
    },

    async recall(id) {
      await run(redis, recallScript, { keys: keysFor(id), args: { ...about, channel, message: `?${id}` } });
    },
  };
}
