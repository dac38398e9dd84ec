/**
 * The only door of this room: opens what is in Redis over one connection. Queues, lanes, ledger, dead letters, contents, quota
 * and session leases look the same whether there is one shard or many.
 */
import { noteForm, readForm, type FormAnswer } from './ledger/stored-form.ts';
import { randomBytes } from 'node:crypto';
import { unsealed, type Sealing } from '../sealing/sealing.ts';
import type { Queue } from 'bullmq';
import { serveWhenFull } from './bullmq/full-redis.ts';
import { createJobReader, type JobReader } from './bullmq/job-reader.ts';
import { adoptOrphans, expelIntruders, type Intruder } from './bullmq/intruders.ts';
import type { ReadField } from './bullmq/apart-data.ts';
import { keysOfQueue, lockName } from './bullmq/layout.ts';
import { createLocks, type Locks } from './bullmq/locks.ts';
import { createTurns, promote } from './bullmq/priority-fairness.ts';
import { shareConnection, type LaneOptions, type SharedQueues } from './bullmq/shared-queues.ts';
import type { JobBounds } from './bullmq/soundness.ts';
import { findStrays, type Strays } from './bullmq/strays.ts';
import { defaultMessageLimits, type MessageLimits } from '../message/message.ts';
import { maxDataBytesOf, maxStalls } from './jobs.ts';
import { createArrivals, type Arrive } from './lanes/arrivals.ts';
import { createCallers, type Callers } from './callers.ts';
import { createMailboxes, type Mailboxes } from './mailboxes.ts';
import { readOnce, readSecretKey } from './secret-key.ts';
import { createDeliveries, type Deliveries } from './deliveries/deliveries.ts';
import { createIntakePace } from './lanes/intake-pace.ts';
import { createIntake, type Intake, type IntakeProcessor } from './lanes/intake.ts';
import { createLanes, type Lanes } from './lanes/lanes.ts';
import { createKeyless, type Keyless } from './lanes/keyless.ts';
import { createLaneWorker, type LaneProcessor, type LaneWorker } from './lanes/lane-worker.ts';
import {
  createMemoryHistory,
  createPresence,
  readCondition,
  readTotals,
  type LedgerTotals,
  type MemoryHistory,
  type Presence,
  type ServerCondition,
} from './fleet.ts';
import { createQuota, type Quota } from './lanes/quota.ts';
import { openExchange } from './lanes/turn.ts';
import { createDayNotes } from './journal/days.ts';
import type { IndexSettings } from './journal/index-entries.ts';
import { createNotes, plainNotes, type Notes } from './journal/notes.ts';
import { createContentStore, type ContentStore } from './ledger/content.ts';
import { createDeadLetters, type DeadLetters } from './ledger/dead-letters.ts';
import { createBounces, type Bounces } from './ledger/bounces.ts';
import { createLedger, type Ledger } from './ledger/ledger.ts';
import { createLocation } from './ledger/location.ts';
import { run, write, type RunScript } from './lua/script.ts';
import { blockingOf, type RedisClient } from './redis/connection.ts';
import type { DurabilityWarning } from './redis/durability.ts';
import { intakeName, laneName, type HomeKeys, type ShardKeys } from './redis/keys.ts';
import { shardsOf, type Shards } from './redis/shards.ts';
import { createRekeying, type Rekeying } from './stored-bodies.ts';
import { createSuppressions, type Suppressions } from './suppressions.ts';
import { openSeen, type Seen } from './search/seen.ts';
import { defaultReservePercent, readRoom, type RoomAnswer } from './room.ts';
export type { FormAnswer } from './ledger/stored-form.ts';

/** One shard by itself, for maintenance and the doctor, which look at shards one by one. */
export interface ShardView {
  readonly keys: ShardKeys;
  readonly lanes: Lanes;
  readonly ledger: Ledger;
  readonly deadLetters: DeadLetters;
  /** Puts jobs of a lane in this shard back whose worker has died; for lanes that are at home in another shard now. */
  readonly recoverStalled: (connectorId: string, stalledMs: number) => Promise<void>;
}

export interface OpenQueues extends Callers, Seen, Rekeying {
  readonly keys: HomeKeys;
  readonly shards: Shards;
  readonly views: readonly ShardView[];
  readonly intake: Queue;
  /** Adds a new message to the intake. */
  readonly arrive: Arrive;
  readonly lanes: Lanes;
  /** Messages whose key is in no worker. */
  readonly keyless: Keyless;
  readonly ledger: Ledger;
  readonly deadLetters: DeadLetters;
  /** What delivery reports say of messages. */
  readonly bounces: Bounces;
  /** Signs return paths of single mails. */
  readonly returnPathKey: () => Promise<Buffer>;
  /** Mailboxes that are read for delivery reports. */
  readonly mailboxes: Mailboxes;
  /** Addresses that get no mail. */
  readonly suppressions: Suppressions;
  readonly contents: ContentStore;
  /** What bodies are sealed with, and opened. */
  readonly sealing: () => Sealing;
  readonly quota: Quota;
  /** What is to be delivered to webhooks. */
  readonly deliveries: Deliveries;
  /** The form of what is stored here, against that of this release. */
  readonly form: { readonly read: () => Promise<FormAnswer>; readonly note: () => Promise<number> };
  /** How much room there is for new messages. */
  readonly room: (reservePercent?: number) => Promise<RoomAnswer>;
  /** For metrics: of all shards, and of all servers. */
  readonly totals: () => Promise<LedgerTotals>;
  readonly condition: () => Promise<ServerCondition | null>;
  readonly presence: Presence;
  readonly memory: MemoryHistory;
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
  /** Serves one lane, when it is told to. */
  laneWorker(connectorId: string, processor: LaneProcessor, options: LaneOptions): LaneWorker;
  /** Serves the intake. */
  intakeWorker(processor: IntakeProcessor, options: IntakeOptions): Intake;
}

interface IntakeOptions extends LaneOptions {
  readonly failed: (error: Error) => void;
  /** Slots that are free for messages that go straight through; null while none can. Default: none ever does. */
  readonly freeSlots?: () => number | null;
}

export interface OpenOptions {
  readonly prefix: string;
  readonly shards?: number;
  /** For producers and operators: see `shareConnection`. */
  readonly failFast?: boolean;
  /** The name of a worker: what it asks within a turn of its event loop then goes to Redis together. */
  readonly worker?: string;
  /** For producers: what they add is new, and a full Redis may refuse it. */
  readonly newMail?: boolean;
  /** How long the row of a settled message is kept, in ms. */
  readonly retentionMs?: () => number;
  /** Of messages; jobs have theirs by them. */
  readonly limits?: () => MessageLimits;
  /** For workers: what is indexed of the messages that they route and send. Default: nothing. */
  readonly index?: () => IndexSettings;
  /** What is searched in: what the workers index. Default: the same. */
  readonly searched?: () => IndexSettings;
  /** What bodies are sealed with, and opened. Default: neither. */
  readonly sealing?: () => Sealing;
}

export function openQueues(redis: RedisClient, options: OpenOptions): OpenQueues {
  const { prefix, shards: count = 1, failFast = false, newMail = false, retentionMs = () => 7 * 86_400_000 } = options;
  const { limits = () => defaultMessageLimits, index, sealing = () => unsealed, worker } = options;
  const boundsOf = (queueName: string): JobBounds => ({
    maxDataBytes: maxDataBytesOf(limits(), queueName !== intakeName),
    maxStalls,
  });
  if (!newMail) serveWhenFull(redis);
  const shards = shardsOf(prefix, count);
  const { home } = shards;
  const shared = shards.prefixes.map((each) => shareConnection(redis, each, { failFast, boundsOf }));
  const readField: ReadField = (key, field) => redis.hget(key, field);
  const alone: RunScript = (called, input) => run(redis, called, input);
  const exchanges = shards.all.map((keys) => (worker === undefined ? alone : openExchange(redis, keys, worker)));
  const runIn = (shard: number): RunScript => exchanges[shard] ?? alone;
  const noting = { salt: prefix, retentionMs, noteDay: createDayNotes(redis, Date.now) };
  const notes = index === undefined ? plainNotes : createNotes({ ...noting, index });
  /** Of one shard, for all its queues. */
  const locks = new Map<string, Locks>();
  const locksOf = (shard: number, lockMs: number): Locks => {
    const held = locks.get(`${shard} ${lockMs}`) ?? createLocks(redis, lockMs);
    locks.set(`${shard} ${lockMs}`, held);
    return held;
  };
  const keyOf = (name: string): string => home.queue(intakeName, name);
  const intake = shared[0]!.queue(intakeName);
  intake.on('error', () => undefined);
  const own = rowsAndLanes(redis, shards, shared, retentionMs, runIn, notes, sealing);
  return {
    ...own,
    ...openSeen(redis, shards, own.ledger, prefix, options.searched ?? index),
    keys: home,
    shards,
    views: shared.map((queues, i) => viewOf(redis, shards.only(i), queues, retentionMs, notes, sealing)),
    intake,
    keyless: createKeyless(redis, shards),
    arrive: createArrivals(redis, home),
    returnPathKey: readOnce(() => readSecretKey(redis, home.returnPathKey, 'return paths')),
    mailboxes: createMailboxes(redis, home),
    suppressions: createSuppressions(redis, home, shards),
    contents: createContentStore(redis, home, sealing),
    ...createRekeying(redis, home, sealing),
    sealing,
    quota: createQuota(redis, shards),
    deliveries: createDeliveries(redis, home, shared[0]!),
    ...createCallers(redis, home),
    form: { read: () => readForm(redis, home), note: () => noteForm(redis, home) },
    room: (reservePercent = defaultReservePercent) => readRoom(redis, shards, reservePercent),
    totals: () => readTotals(redis, shards),
    condition: () => readCondition(redis),
    presence: createPresence(redis, home),
    memory: createMemoryHistory(redis, home),
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
    intakeWorker: (process, { lockMs, stalledMs, failed, freeSlots = () => null }) =>
      createIntake({
        run: runIn(0),
        readField,
        keys: keysOfQueue(keyOf),
        prefix: keyOf(''),
        lockMs,
        stalledMs,
        bounds: () => boundsOf(intakeName),
        steps: shared[0]!.steps(intakeName, { stalledMs }),
        locks: locksOf(0, lockMs),
        tokenStart: `${worker ?? ''}:${randomBytes(6).toString('base64url')}`,
        blocking: () => blockingOf(redis, `postlane-intake:${worker ?? ''}`),
        rowKey: home.ledger,
        process,
        pace: createIntakePace(freeSlots, {
          now: () => performance.now(),
          idle: () => performance.eventLoopUtilization().idle,
        }),
        failed,
      }),
    laneWorker(connectorId, process, { lockMs, stalledMs }) {
      const shard = shards.of(connectorId);
      const keys = shards.keysOf(connectorId);
      const name = laneName(connectorId);
      const key = (type: string): string => keys.queue(name, type);
      const [wait, prioritized] = [key('wait'), key('prioritized')];
      return createLaneWorker({
        connectorId,
        run: runIn(shard),
        readField,
        keys: { ready: keys.ready, ...keysOfQueue(key) },
        prefix: key(''),
        channel: keys.wake,
        lockMs,
        bounds: () => boundsOf(name),
        steps: shared[shard]!.steps(name, { stalledMs }),
        locks: locksOf(shard, lockMs),
        turns: createTurns(
          (promoted) => promote(redis, { wait, prioritized }, promoted),
          () => performance.now(),
        ),
        process,
      });
    },
  };
}

function rowsAndLanes(
  redis: RedisClient,
  shards: Shards,
  queues: readonly SharedQueues[],
  retentionMs: () => number,
  runIn: (shard: number) => RunScript,
  notes: Notes,
  sealing: () => Sealing,
): Pick<OpenQueues, 'lanes' | 'ledger' | 'deadLetters' | 'bounces'> {
  const location = createLocation(redis, shards, retentionMs);
  const ledger = createLedger(redis, shards, location, runIn, notes, sealing);
  return {
    ledger,
    lanes: createLanes(redis, shards, queues, { ledger, location }, runIn, notes),
    deadLetters: createDeadLetters(redis, shards, sealing),
    bounces: createBounces(redis, shards, location),
  };
}

function viewOf(
  redis: RedisClient,
  shards: Shards,
  queues: SharedQueues,
  retentionMs: () => number,
  notes: Notes,
  sealing: () => Sealing,
): ShardView {
  const alone: RunScript = (called, input) => run(redis, called, input);
  return {
    ...rowsAndLanes(redis, shards, [queues], retentionMs, () => alone, notes, sealing),
    keys: shards.home,
    recoverStalled: (connectorId, stalledMs) => queues.steps(laneName(connectorId), { stalledMs }).recoverStalled(),
  };
}
