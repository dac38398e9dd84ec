/** The lanes as a whole: which are ready, their limits, pauses and counts. Each lane is an ordinary BullMQ queue. */
import type { JobsOptions, Queue } from 'bullmq';
import type { RedisClient } from '../redis/connection.ts';
import type { SharedQueues } from '../bullmq/shared-queues.ts';
import type { LaneJob } from '../jobs.ts';
import { routedEntry, rowFields, standingOf, type NewRow, type Standing } from '../ledger/ledger.ts';
import { jobName, laneName, type Keys } from '../redis/keys.ts';
import {
  claimScript,
  enterLua,
  faultScript,
  laneKeyTypes,
  limitsScript,
  passScript,
  refreshScript,
} from './scripts.ts';
import { holdScript, unholdScript, waitScript, type HoldReason, type WaitReason } from './wait-reasons.ts';
import { lookAtLanes, type LaneLook } from './snapshot.ts';
import { paceOf } from './rate.ts';
import { run } from '../lua/script.ts';

/** What BullMQ enforces in Redis for all processes. */
interface LaneLimits {
  readonly concurrency: number;
  readonly messagesPerMinute: number | null;
}

/** Faults of a connector that have not been followed by a success. `untilMs` is the end of the pause, ms since the epoch. */
export interface LaneFaults {
  readonly faults: number;
  readonly fault: string;
  readonly reply: string;
  readonly since: number;
  readonly until: number;
}

export interface LaneStatus {
  readonly waiting: number;
  readonly active: number;
  readonly delayed: number;
  readonly failed: number;
  /** Transactions of the connector that reached somebody, since ever and over all workers. */
  readonly sent: number;
  readonly paused: boolean;
  /** When the oldest waiting message was put into the lane; null if none waits. */
  readonly oldestWaitingAt: number | null;
  readonly faults: LaneFaults | null;
  readonly waitingFor: WaitReason;
  /** How long it still waits, in ms; null where nobody knows. */
  readonly untilMs: number | null;
  /** Messages that may be on their way at once now; null before any worker has set it. */
  readonly concurrency: number | null;
}

/**
 * BullMQ's `rateLimit(ms)`, which pauses a lane, works only where a rate limit is set (getRateLimitTTL.lua). So a lane
 * without one gets one that nothing reaches.
 */
const unreachableRate = { max: 1_000_000, durationMs: 1_000 };

interface NewFault {
  readonly kind: string;
  readonly reply: string;
  readonly toldMs: number | null;
  readonly firstMs: number;
  readonly longestMs: number;
  /** The configured number of messages at once. */
  readonly concurrency: number;
  /** How long a number that was too much for a server is not tried again, at most. */
  readonly longestHoldMs: number;
}

export interface Lanes {
  queue(connectorId: string): Queue;
  /**
   * Up to `count` lanes that are due; nobody else gets them for `visibilityMs`. `waitMs`: until the next one, -1 if none.
   * `left`: how many more are due. Those in `except` are passed over.
   */
  claim(
    count: number,
    visibilityMs: number,
    except?: readonly string[],
  ): Promise<{ connectors: string[]; waitMs: number; left: number }>;
  /** Puts a lane that was claimed back in line, for others to take up. → its place */
  pass(connectorId: string): Promise<number>;
  /** The lane's place in line; null if it has nothing. */
  passedAt(connectorId: string): Promise<number | null>;
  /** Re-reads when a lane is due. `announce` wakes idle processes. → ms until due, -1 if it has nothing. */
  refresh(connectorId: string, mode: 'sooner' | 'exact', announce: boolean): Promise<number>;
  /**
   * Puts a message into a lane, with its row in the ledger: one step, so that there is neither without the other. Does
   * nothing if the id has a row already, but for one that waits to be routed again, if `released` says that it may.
   * → what there was: `new` means that it is done.
   */
  enter(
    connectorId: string,
    job: { readonly data: LaneJob; readonly opts: JobsOptions },
    row: NewRow,
    released: boolean,
  ): Promise<Standing>;
  /** → the concurrency in force: that of the limits, unless the connector has faults or its server throttles. */
  setLimits(connectorId: string, limits: LaneLimits): Promise<number>;
  pause(connectorId: string): Promise<void>;
  /** Also forgets faults and their pause: an operator has mended something. The sweep gives the lane its limits back. */
  resume(connectorId: string): Promise<void>;
  /** Forgets faults and their pause, as the connector's settings have changed. */
  forgive(connectorId: string): Promise<void>;
  /** Holds the lane for a time, in order, without burning an attempt. A longer wait that is under way stays. */
  postpone(connectorId: string, pauseMs: number, why: HoldReason): Promise<void>;
  /** Ends a wait for a quota, as another one is in force; `setLimits` must follow. */
  requota(connectorId: string): Promise<void>;
  /** Counts a fault; → for how long to pause, how many faults there were, and how many messages at once come after them. */
  fault(connectorId: string, fault: NewFault): Promise<{ pauseMs: number; faults: number; concurrency: number }>;
  status(connectorId: string): Promise<LaneStatus>;
  /** Every connector that ever had a lane. */
  known(): Promise<string[]>;
  look(connectorIds: readonly string[]): Promise<LaneLook[]>;
}

export function createLanes(redis: RedisClient, keys: Keys, shared: SharedQueues): Lanes {
  const queues = new Map<string, Queue>();
  const queue = (connectorId: string): Queue => {
    const known = queues.get(connectorId);
    if (known !== undefined) return known;
    const made = shared.queue(laneName(connectorId));
    made.on('error', () => undefined);
    queues.set(connectorId, made);
    return made;
  };
  const key = (connectorId: string, type: string): string => keys.queue(laneName(connectorId), type);
  const keyLists = new Map<string, readonly string[]>();
  const laneKeys = (connectorId: string): readonly string[] => {
    let known = keyLists.get(connectorId);
    if (known === undefined) keyLists.set(connectorId, (known = laneKeyTypes.map((type) => key(connectorId, type))));
    return known;
  };
  const refresh = async (connectorId: string, mode: 'sooner' | 'exact', announce: boolean): Promise<number> => {
    const args = [connectorId, mode, announce ? keys.wake : ''];
    return Number(await run(redis, refreshScript, [keys.ready, keys.lanes, ...laneKeys(connectorId)], args));
  };
  const setLimits = async (connectorId: string, limits: LaneLimits): Promise<number> => {
    const { max, durationMs } = rateOf(limits.messagesPerMinute);
    const limitKeys = [
      key(connectorId, 'meta'),
      keys.connector(connectorId),
      key(connectorId, 'limiter'),
      keys.connectorWait(connectorId),
    ];
    const concurrency = await run(redis, limitsScript, limitKeys, [limits.concurrency, max, durationMs]);
    await refresh(connectorId, 'sooner', true);
    return Number(concurrency);
  };
  const forgive = async (connectorId: string): Promise<void> => {
    await redis.del(keys.connector(connectorId), key(connectorId, 'limiter'), keys.connectorWait(connectorId));
  };
  return {
    queue,
    refresh,
    forgive,

    async claim(count, visibilityMs, except = []) {
      const args = [count, visibilityMs, ...except];
      const [waitMs, left, ...ids] = (await run(redis, claimScript, [keys.ready], args)) as unknown[];
      return { waitMs: Number(waitMs), left: Number(left), connectors: ids.map(String) };
    },

    pass: async (connectorId) => Number(await run(redis, passScript, [keys.ready], [connectorId, keys.wake])),

    async passedAt(connectorId) {
      const at = await redis.zscore(keys.ready, connectorId);
      return at === null ? null : Number(at);
    },

    async enter(connectorId, { data, opts }, row, released) {
      const { id } = row;
      const enterKeys = [keys.ledger(id), keys.unsettled, keys.ready, keys.lanes, ...laneKeys(connectorId)];
      const args = [id, row.deadline, routedEntry(row), connectorId, keys.wake, released ? 1 : 0, ...rowFields(row)];
      const job = { name: jobName, data, opts: { ...opts, jobId: id } };
      const answer = await shared.addWith(queue(connectorId), job, { lua: enterLua, keys: enterKeys, args });
      if (answer === 'ok') return { kind: 'new' };
      const [state, routed, via, deadline] = answer as (string | undefined)[];
      return standingOf(state, routed, via, deadline);
    },

    setLimits,

    async pause(connectorId) {
      await queue(connectorId).pause();
      await refresh(connectorId, 'exact', false);
    },

    async resume(connectorId) {
      await queue(connectorId).resume();
      await forgive(connectorId);
      await refresh(connectorId, 'sooner', true);
    },

    async postpone(connectorId, pauseMs, why) {
      const args = [Math.max(1, Math.ceil(pauseMs)), why, Number.MAX_SAFE_INTEGER];
      await run(redis, holdScript, [key(connectorId, 'limiter'), keys.connectorWait(connectorId)], args);
    },

    async requota(connectorId) {
      const reasons = ['recipients-per-day', 'bytes'] satisfies HoldReason[];
      await run(redis, unholdScript, [keys.connectorWait(connectorId)], reasons);
    },

    async fault(connectorId, { kind, reply, toldMs, firstMs, longestMs, concurrency, longestHoldMs }) {
      const args = [firstMs, longestMs, toldMs ?? '', kind, reply, concurrency, longestHoldMs];
      const laneKeys = ['meta', 'active', 'wait', 'prioritized'].map((type) => key(connectorId, type));
      const answer = (await run(redis, faultScript, [keys.connector(connectorId), ...laneKeys], args)) as unknown[];
      return { pauseMs: Number(answer[0]), faults: Number(answer[1]), concurrency: Number(answer[2]) };
    },

    async status(connectorId) {
      const lane = queue(connectorId);
      const types = ['wait', 'prioritized', 'delayed', 'active', 'meta', 'limiter'];
      const waitKeys = [...types.map((type) => key(connectorId, type)), keys.connectorWait(connectorId)];
      const [counts, paused, oldest, faults, sent, wait] = await Promise.all([
        lane.getJobCounts('wait', 'prioritized', 'active', 'delayed', 'failed'),
        lane.isPaused(),
        lane.getJobs(['wait', 'prioritized'], 0, 0, true),
        redis.hgetall(keys.connector(connectorId)),
        redis.hget(keys.connectorStats(connectorId), 'sent'),
        run(redis, waitScript, waitKeys, []) as Promise<[WaitReason, number, number]>,
      ]);
      const [waitingFor, untilMs, concurrency] = wait;
      return {
        waiting: (counts['wait'] ?? 0) + (counts['prioritized'] ?? 0),
        active: counts['active'] ?? 0,
        delayed: counts['delayed'] ?? 0,
        failed: counts['failed'] ?? 0,
        sent: Number(sent ?? 0),
        paused,
        oldestWaitingAt: oldest.reduce<number | null>((min, job) => Math.min(min ?? Infinity, job.timestamp), null),
        faults: parseFaults(faults),
        waitingFor,
        untilMs: untilMs < 0 ? null : untilMs,
        concurrency: concurrency < 0 ? null : concurrency,
      };
    },

    known: () => redis.smembers(keys.lanes),

    look: (connectorIds) => lookAtLanes(redis, keys, connectorIds),
  };
}

/** As BullMQ has it, with a rate that nothing reaches where there is none. */
function rateOf(messagesPerMinute: number | null): { readonly max: number; readonly durationMs: number } {
  return messagesPerMinute === null ? unreachableRate : paceOf(messagesPerMinute);
}

/** Whether a lane has other limits than these: it is new, its server was probed, or Redis has lost them. */
export function differs({ limits: found }: LaneLook, { concurrency, messagesPerMinute }: LaneLimits): boolean {
  const { max, durationMs } = rateOf(messagesPerMinute);
  return (
    Number(found.concurrency) !== concurrency || Number(found.max) !== max || Number(found.duration) !== durationMs
  );
}

function parseFaults(hash: Record<string, string>): LaneFaults | null {
  const faults = Number(hash['faults'] ?? 0);
  if (faults === 0) return null;
  return {
    faults,
    fault: hash['fault'] ?? '',
    reply: hash['reply'] ?? '',
    since: Number(hash['since'] ?? 0),
    until: Number(hash['until'] ?? 0),
  };
}
