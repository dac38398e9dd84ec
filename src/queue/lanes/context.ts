/** What all functions of the lanes share: the connection, each lane's queue, and the keys of its shard. */
import type { Queue } from 'bullmq';
import type { SharedQueues } from '../bullmq/shared-queues.ts';
import type { Notes } from '../journal/notes.ts';
import type { RunScript } from '../lua/script.ts';
import type { RedisClient } from '../redis/connection.ts';
import { laneName, type ShardKeys } from '../redis/keys.ts';
import type { Shards } from '../redis/shards.ts';
import { dueKeys } from './scripts.ts';

/** The keys of a lane's BullMQ queue that our scripts read. */
type LaneKeys = Readonly<Record<(typeof dueKeys)[number], string>>;

export interface LaneContext {
  readonly redis: RedisClient;
  /** Runs a script in a shard. */
  readonly runIn: (shard: number) => RunScript;
  readonly shards: Shards;
  /** The lane's queue; made once. */
  readonly queue: (connectorId: string) => Queue;
  /** The queues of the connector's shard. */
  readonly shared: (connectorId: string) => SharedQueues;
  readonly shardKeys: (connectorId: string) => ShardKeys;
  readonly laneKeys: (connectorId: string) => LaneKeys;
  /** What is indexed and counted of a message that enters a lane. */
  readonly notes: Notes;
}

/** `queues`: of each shard. */
export function createLaneContext(
  redis: RedisClient,
  shards: Shards,
  queues: readonly SharedQueues[],
  runIn: (shard: number) => RunScript,
  notes: Notes,
): LaneContext {
  const made = new Map<string, Queue>();
  const tables = new Map<string, LaneKeys>();
  const shared = (connectorId: string): SharedQueues => queues[shards.of(connectorId)]!;
  return {
    redis,
    runIn,
    shards,
    shared,
    notes,
    shardKeys: (connectorId) => shards.keysOf(connectorId),

    queue(connectorId) {
      const known = made.get(connectorId);
      if (known !== undefined) return known;
      const queue = shared(connectorId).queue(laneName(connectorId));
      // The owner of the connection hears its errors; without a listener here they would be thrown.
      queue.on('error', () => undefined);
      made.set(connectorId, queue);
      return queue;
    },

    laneKeys(connectorId) {
      const known = tables.get(connectorId);
      if (known !== undefined) return known;
      const keys = shards.keysOf(connectorId);
      const entries = dueKeys.map((name) => [name, keys.queue(laneName(connectorId), name)]);
      const table = Object.fromEntries(entries) as LaneKeys;
      tables.set(connectorId, table);
      return table;
    },
  };
}
