/**
 * Session leases of one worker: before it opens a connection to a connector's server it takes one of as many as the connector
 * may have over all workers, and gives it back when the connection has ended. One round trip each; none for a message.
 *
 * A worker with leases sends a heartbeat every few seconds. One that finds that it had expired (it stood still, or Redis was
 * away) ends its idle sessions and reports what it holds. Leases are kept in the connector's shard, beside its faults, which say
 * how many sessions its server bears now.
 */
import type { RedisClient } from '../redis/connection.ts';
import type { Shards } from '../redis/shards.ts';
import { createLeaseCalls } from './calls.ts';
import { createHostsAway, type HostsAway } from './hosts-away.ts';
import { createShardLeases, type ConnectorLeases, type ShardLeases } from './shard-leases.ts';

export interface Sessions {
  /** The leases of a connector that may have `limit` connections over all workers. */
  of(connectorId: string, limit: number): ConnectorLeases;
  /** What all workers know of the hosts of a connector. */
  hosts(connectorId: string): HostsAway;
  /** Asks the worker with the most sessions of the connector to end an idle one. */
  recall(connectorId: string): Promise<void>;
  /** Leases that this process has. */
  held(): number;
  /** Takes a message of a shard's channel. → the connector that has a lease to give, or null. */
  onMessage(message: string): string | null;
  /** Ends the idle sessions, and waits a while until all leases are given back. */
  close(): Promise<void>;
}

export interface SessionOptions {
  readonly redis: RedisClient;
  readonly shards: Shards;
  /** Name of this worker: no other may have it. */
  readonly worker: string;
  /** A worker that is not heard for so long counts as dead, and its leases as free. Default 6 s. */
  readonly lifetimeMs?: number;
}

/** A server that does not let a connection end is not waited for longer. */
const closeMs = 2_500;

export function createSessions({ redis, shards, worker, lifetimeMs = 6_000 }: SessionOptions): Sessions {
  const leases = shards.all.map((keys) =>
    createShardLeases(createLeaseCalls(redis, keys, worker, lifetimeMs), lifetimeMs),
  );
  const at = (connectorId: string): ShardLeases => leases[shards.of(connectorId)]!;
  return {
    of: (connectorId, limit) => at(connectorId).of(connectorId, limit),
    hosts: (connectorId) => createHostsAway(redis, shards, connectorId),
    recall: (connectorId) => at(connectorId).recall(connectorId),
    held: () => leases.reduce((sum, each) => sum + each.held(), 0),

    /** `?CONNECTOR WORKER` asks a worker for a session, `+CONNECTOR` announces a lease that was given back. */
    onMessage(message) {
      const [connectorId = '', holder] = message.slice(1).split(' ');
      if (message.startsWith('?')) {
        if (holder === worker) at(connectorId).onRecall(connectorId);
        return null;
      }
      at(connectorId).onReturned(connectorId);
      return connectorId;
    },

    async close() {
      await Promise.all(leases.map((each) => each.close(closeMs)));
    },
  };
}
