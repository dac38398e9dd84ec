/**
 * The only door of this room: opens what is in Redis over one connection. Queues, lanes, ledger, dead letters, contents, quota
 * and session leases look the same whether there is one shard or many.
 */
import { noteForm, readForm, type FormAnswer } from './ledger/stored-form.ts';
import type { Processor, Queue } from 'bullmq';
import { serveWhenFull } from './bullmq/full-redis.ts';
import { createJobReader, type JobReader } from './bullmq/job-reader.ts';
import { adoptOrphans, expelIntruders, type Intruder } from './bullmq/intruders.ts';
import { lockName } from './bullmq/layout.ts';
import type { IntakeWorker } from './bullmq/intake-worker.ts';
import { shareConnection, type LaneOptions, type LaneWorker, type SharedQueues } from './bullmq/shared-queues.ts';
import type { JobBounds } from './bullmq/soundness.ts';
import { findStrays, type Strays } from './bullmq/strays.ts';
import { defaultMessageLimits, type MessageLimits } from '../message/message.ts';
import { maxDataBytesOf, maxStalls } from './jobs.ts';
import { createLanes, type Lanes } from './lanes/lanes.ts';
import {
  createPresence,
  readCondition,
  readTotals,
  type LedgerTotals,
  type Presence,
  type ServerCondition,
} from './fleet.ts';
import { createQuota, type Quota } from './lanes/quota.ts';
import { createContentStore, type ContentStore } from './ledger/content.ts';
import { createDeadLetters, type DeadLetters } from './ledger/dead-letters.ts';
import { createLedger, type Ledger } from './ledger/ledger.ts';
import { createLocation } from './ledger/location.ts';
import { write } from './lua/script.ts';
import type { RedisClient } from './redis/connection.ts';
import type { DurabilityWarning } from './redis/durability.ts';
import { intakeName, laneName, type HomeKeys, type ShardKeys } from './redis/keys.ts';
import { shardsOf, type Shards } from './redis/shards.ts';
import { defaultReservePercent, readRoom, type RoomAnswer } from './room.ts';

/** One shard by itself, for maintenance and the doctor, which look at shards one by one. */
export type { FormAnswer } from './ledger/stored-form.ts';

export interface ShardView {
  readonly keys: ShardKeys;
  readonly lanes: Lanes;
  readonly ledger: Ledger;
  readonly deadLetters: DeadLetters;
  /** Puts jobs of a lane in this shard back whose worker has died; for lanes that are at home in another shard now. */
  readonly recoverStalled: (connectorId: string, stalledMs: number) => Promise<void>;
}

export interface OpenQueues {
  readonly keys: HomeKeys;
  readonly shards: Shards;
  readonly views: readonly ShardView[];
  readonly intake: Queue;
  readonly lanes: Lanes;
  readonly ledger: Ledger;
  readonly deadLetters: DeadLetters;
  readonly contents: ContentStore;
  readonly quota: Quota;
  /** The form of what is stored here, against that of this release. */
  readonly form: { read(): Promise<FormAnswer>; note(): Promise<void> };
  /** How much room there is for new messages. */
  readonly room: (reservePercent?: number) => Promise<RoomAnswer>;
  /** For metrics: of all shards, and of all servers. */
  readonly totals: () => Promise<LedgerTotals>;
  readonly condition: () => Promise<ServerCondition | null>;
  readonly presence: Presence;
  /** Notes the number of shards; warns if workers were started with another one before. */
  readonly countWarnings: () => Promise<DurabilityWarning[]>;
  /** Gives BullMQ's keys of the intake back to it where foreign jobs stand. → what stood there. */
  expelIntruders(): Promise<Intruder[]>;
  /** Puts jobs of the intake that are on no list back into it: see `adoptOrphans`. */
  adoptOrphans(): Promise<number>;
  /** Jobs of the intake that no worker will fetch. */
  strays(): Promise<Strays>;
  /** The key of the lock of a message's job in a lane. */
  readonly lockKey: (connectorId: string, id: string) => string;
  /** Reads jobs without being harmed by them. */
  readonly jobs: JobReader;
  laneWorker(connectorId: string, ...about: LaneWorkerRest): LaneWorker;
  intakeWorker(processor: Processor, options: LaneOptions & { readonly atOnce: number }): IntakeWorker;
}

type LaneWorkerRest = Parameters<SharedQueues['laneWorker']> extends [string, ...infer Rest] ? Rest : never;

export interface OpenOptions {
  readonly prefix: string;
  readonly shards?: number;
  /** For producers and operators: see `shareConnection`. */
  readonly failFast?: boolean;
  /** For producers: what they add is new, and a full Redis may refuse it. */
  readonly newMail?: boolean;
  /** How long the row of a settled message is kept, in ms. */
  readonly retentionMs?: () => number;
  /** Of messages; jobs have theirs by them. */
  readonly limits?: () => MessageLimits;
}

const weekMs = 7 * 24 * 3_600_000;

export function openQueues(redis: RedisClient, options: OpenOptions): OpenQueues {
  const { prefix, shards: count = 1, failFast = false, newMail = false, retentionMs = () => weekMs } = options;
  const { limits = () => defaultMessageLimits } = options;
  const boundsOf = (queueName: string): JobBounds => ({
    maxDataBytes: maxDataBytesOf(limits(), queueName !== intakeName),
    maxStalls,
  });
  const shards = shardsOf(prefix, count);
  if (!newMail) serveWhenFull(redis);
  const shared = shards.prefixes.map((each) => shareConnection(redis, each, { failFast, boundsOf }));
  const { home } = shards;
  const keyOf = (name: string): string => home.queue(intakeName, name);
  const intake = shared[0]!.queue(intakeName);
  intake.on('error', () => undefined);
  return {
    ...rowsAndLanes(redis, shards, shared, retentionMs),
    keys: home,
    shards,
    views: shared.map((queues, i) => viewOf(redis, shards.only(i), queues, retentionMs)),
    intake,
    contents: createContentStore(redis, home),
    quota: createQuota(redis, shards),
    form: { read: () => readForm(redis, home), note: () => noteForm(redis, home) },
    room: (reservePercent = defaultReservePercent) => readRoom(redis, shards, reservePercent),
    totals: () => readTotals(redis, shards),
    condition: () => readCondition(redis),
    presence: createPresence(redis, home),
    lockKey: (connectorId, id) => lockName(shards.keysOf(connectorId).laneJob(connectorId, id)),

    expelIntruders: () => expelIntruders(redis, keyOf),
    adoptOrphans: () => adoptOrphans(redis, keyOf),
    strays: () => findStrays(redis, intake),

    async countWarnings() {
      const now = shards.all.length;
      const before = Number((await write(redis, 'SET', home.shardCount, now, 'GET')) ?? now);
      if (before === now) return [];
      const detail = `redis.shards was ${before} and is ${now} now: start all workers and applications with the same number.`;
      return [{ setting: 'redis.shards', detail }];
    },

    jobs: createJobReader(redis, boundsOf),
    intakeWorker: (processor, about) => shared[0]!.intakeWorker(intakeName, processor, about),
    laneWorker: (connectorId, ...about) => shared[shards.of(connectorId)]!.laneWorker(laneName(connectorId), ...about),
  };
}

function rowsAndLanes(
  redis: RedisClient,
  shards: Shards,
  queues: readonly SharedQueues[],
  retentionMs: () => number,
): Pick<OpenQueues, 'lanes' | 'ledger' | 'deadLetters'> {
  const location = createLocation(redis, shards, retentionMs);
  const ledger = createLedger(redis, shards, location);
  return {
    ledger,
    lanes: createLanes(redis, shards, queues, { ledger, location }),
    deadLetters: createDeadLetters(redis, shards),
  };
}

function viewOf(redis: RedisClient, shards: Shards, queues: SharedQueues, retentionMs: () => number): ShardView {
  return {
    ...rowsAndLanes(redis, shards, [queues], retentionMs),
    keys: shards.home,
    async recoverStalled(connectorId, stalledMs) {
      const about = { lockMs: stalledMs, stalledMs };
      const worker = queues.laneWorker(laneName(connectorId), async () => null, about);
      await worker.recoverStalled();
      await worker.close();
    },
  };
}
