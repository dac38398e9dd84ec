/** Opens what is in Redis over one connection: queues, lanes, ledger, dead letters, contents, quota, in one shard or several. */
import type { Queue } from 'bullmq';
import { shareConnection, type LaneWorker, type SharedQueues } from './bullmq/shared-queues.ts';
import type { RedisClient } from './redis/connection.ts';
import { createContentStore, type ContentStore } from './ledger/content.ts';
import { createDeadLetters, type DeadLetters } from './ledger/dead-letters.ts';
import type { DurabilityWarning } from './redis/durability.ts';
import { createLanes, type Lanes } from './lanes/lanes.ts';
import { createLedger, type Ledger } from './ledger/ledger.ts';
import { intakeName, laneName, type Keys } from './redis/keys.ts';
import { createPacer } from './lanes/rate.ts';
import { createPlacement } from './ledger/location.ts';
import { createQuota, type Quota } from './lanes/quota.ts';
import { shardLanes } from './sharded-lanes.ts';
import { shardLedger } from './sharded-ledger.ts';
import { shardLetters } from './sharded-letters.ts';
import { shardsOf, type Shards } from './redis/shards.ts';

/** What a single shard has; only whoever looks at everything goes through them one by one. */
export interface ShardParts {
  readonly keys: Keys;
  readonly lanes: Lanes;
  readonly ledger: Ledger;
  readonly deadLetters: DeadLetters;
  /** Puts jobs of a lane in this shard back whose worker has died; for lanes that are not at home here any more. */
  readonly recoverStalled: (connectorId: string, stalledMs: number) => Promise<void>;
}

/** As if there were one shard. */
export interface OpenQueues extends Omit<ShardParts, 'recoverStalled'> {
  readonly shards: Shards;
  readonly parts: readonly ShardParts[];
  readonly intake: Queue;
  readonly contents: ContentStore;
  readonly quota: Quota;
  readonly pacer: ReturnType<typeof createPacer>;
  /** Notes the number of shards; warns if workers were started with another one before. */
  countWarnings(): Promise<DurabilityWarning[]>;
  /** The lane's keys, which are in the connector's shard. */
  keysOf(connectorId: string): Keys;
  laneQueue(connectorId: string): Queue;
  laneWorker(connectorId: string, ...about: LaneWorkerRest): LaneWorker;
}

type LaneWorkerRest = Parameters<SharedQueues['laneWorker']> extends [string, ...infer Rest] ? Rest : never;

export interface OpenOptions {
  readonly prefix: string;
  readonly shards?: number;
  /** For producers and operators: see `shareConnection`. */
  readonly failFast?: boolean;
  /** How long the row of a settled message is kept, in ms. */
  readonly retentionMs?: () => number;
}

const weekMs = 7 * 24 * 3_600_000;

export function openQueues(redis: RedisClient, options: OpenOptions): OpenQueues {
  const { prefix, shards: count = 1, failFast = false, retentionMs = () => weekMs } = options;
  const shards = shardsOf(prefix, count);
  const shared = shards.prefixes.map((each) => shareConnection(redis, each, failFast));
  const parts = shards.keys.map((keys, i): ShardParts => ({
    keys,
    lanes: createLanes(redis, keys, shared[i]!),
    ledger: createLedger(redis, keys),
    deadLetters: createDeadLetters(redis, keys),
    async recoverStalled(connectorId, stalledMs) {
      const about = { lockMs: stalledMs, stalledMs, maxStalledCount: 10 };
      const worker = shared[i]!.laneWorker(laneName(connectorId), async () => null, about);
      await worker.recoverStalled();
      await worker.close();
    },
  }));
  const intake = shared[0]!.queue(intakeName);
  intake.on('error', () => undefined);
  const pacers = shards.keys.map((keys) => createPacer(redis, keys));
  const rest = {
    pacer: (connectorId: string, messagesPerMinute: number) =>
      pacers[shards.of(connectorId)]!(connectorId, messagesPerMinute),
    shards,
    parts,
    intake,
    contents: createContentStore(redis, shards.home),
    async countWarnings() {
      const before = await redis.set(shards.home.shardCount, parts.length, 'GET');
      if (before === null || Number(before) === parts.length) return [];
      const detail = `redis.shards was ${before} and is ${parts.length} now: start all workers and applications with the same number.`;
      return [{ setting: 'redis.shards', detail }];
    },
    keysOf: (connectorId: string): Keys => shards.keys[shards.of(connectorId)]!,
    laneQueue: (connectorId: string): Queue => shared[shards.of(connectorId)]!.queue(laneName(connectorId)),
    laneWorker: (connectorId: string, ...about: LaneWorkerRest): LaneWorker =>
      shared[shards.of(connectorId)]!.laneWorker(laneName(connectorId), ...about),
  };
  // One shard costs nothing more than it would by itself.
  if (parts.length === 1) return { ...parts[0]!, ...rest, quota: createQuota(redis, shards.home) };
  const quotas = shards.keys.map((keys) => createQuota(redis, keys));
  const quotaOf = (connectorId: string): Quota => quotas[shards.of(connectorId)]!;
  const ledgers = parts.map(({ ledger }) => ledger);
  const placement = createPlacement(redis, shards, retentionMs);
  return {
    ...rest,
    keys: shards.home,
    lanes: shardLanes(
      parts.map(({ lanes }) => lanes),
      ledgers,
      shards,
      placement,
    ),
    ledger: shardLedger(ledgers, shards, placement),
    deadLetters: shardLetters(parts.map(({ deadLetters }) => deadLetters)),
    quota: {
      take: (connectorId, demands) => quotaOf(connectorId).take(connectorId, demands),
      settle: (connectorId, ...about) => quotaOf(connectorId).settle(connectorId, ...about),
      used: (connectorId, windows) => quotaOf(connectorId).used(connectorId, windows),
    },
  };
}
