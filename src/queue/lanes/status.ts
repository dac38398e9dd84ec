/** What an operator sees of a lane: its counts, its faults, and what it waits for. */
import { oldestWaitingAt } from '../bullmq/job-reader.ts';
import { run } from '../lua/script.ts';
import type { Attributions, Suspect } from './attribution.ts';
import type { LaneContext } from './context.ts';
import { pauseKeysOf, readPause, type LanePause } from './pause.ts';
import { waitScript, type WaitReason } from './wait-reasons.ts';

/** Faults of a connector that have not been followed by a success. `until` is the end of the pause, ms since the epoch. */
interface LaneFaults {
  readonly faults: number;
  readonly fault: string;
  readonly reply: string;
  readonly since: number;
  readonly until: number;
}

/** That the mail of a connector goes by others: since when, by which (as configured then), and messages that have entered their lanes. */
interface LaneFallback {
  readonly since: number;
  readonly to: string;
  readonly messages: number;
}

export interface LaneStatus {
  readonly waiting: number;
  readonly active: number;
  readonly delayed: number;
  readonly failed: number;
  /** Transactions of the connector that reached at least one recipient, since ever and over all workers. */
  readonly sent: number;
  readonly paused: boolean;
  /** An operator's pause; null if there is none. */
  readonly pause: LanePause | null;
  /** When the oldest waiting message was put into the lane; null if none waits. */
  readonly oldestWaitingAt: number | null;
  readonly faults: LaneFaults | null;
  /** Its mail goes by another connector; null: by itself. */
  readonly fallback: LaneFallback | null;
  /** Refusals within transactions whose cause is not known yet; null if there are none. */
  readonly suspect: Suspect | null;
  readonly waitingFor: WaitReason;
  /** How long it still waits, in ms; null where that is not known. */
  readonly untilMs: number | null;
  /** Messages that may be on their way at once now; null before any worker has set it. */
  readonly concurrency: number | null;
  /** The rate at which messages are taken since the server refused a faster one; null if none was learned. */
  readonly learnedMessagesPerMinute: number | null;
}

export async function laneStatus(
  { redis, queue, shardKeys, laneKeys }: LaneContext,
  attribution: Pick<Attributions, 'suspect'>,
  connectorId: string,
): Promise<LaneStatus> {
  const lane = queue(connectorId);
  const keys = shardKeys(connectorId);
  const waitKeys = {
    ...laneKeys(connectorId),
    waitReason: keys.connectorWait(connectorId),
    refusals: keys.refusals(connectorId),
    stats: keys.connectorStats(connectorId),
  };
  const [counts, pause, oldest, faults, fallback, sent, suspect, wait] = await Promise.all([
    lane.getJobCounts('wait', 'prioritized', 'active', 'delayed', 'failed'),
    readPause(redis, pauseKeysOf(keys, waitKeys.meta, connectorId)),
    oldestWaitingAt(redis, lane),
    redis.hgetall(keys.connector(connectorId)),
    redis.hgetall(keys.fallback(connectorId)),
    redis.hget(keys.connectorStats(connectorId), 'sent'),
    attribution.suspect(connectorId),
    run(redis, waitScript, { keys: waitKeys }) as Promise<[WaitReason, number, number, number]>,
  ]);
  const [waitingFor, untilMs, concurrency, learned] = wait;
  return {
    waiting: (counts['wait'] ?? 0) + (counts['prioritized'] ?? 0),
    active: counts['active'] ?? 0,
    delayed: counts['delayed'] ?? 0,
    failed: counts['failed'] ?? 0,
    sent: Number(sent ?? 0),
    paused: pause !== null,
    pause,
    oldestWaitingAt: oldest,
    faults: parseFaults(faults),
    fallback: parseFallback(fallback),
    suspect,
    waitingFor,
    untilMs: untilMs < 0 ? null : untilMs,
    concurrency: concurrency < 0 ? null : concurrency,
    learnedMessagesPerMinute: learned < 0 ? null : learned,
  };
}

function parseFallback({ since, to = '', moved }: Record<string, string>): LaneFallback | null {
  return since === undefined ? null : { since: Number(since), to, messages: Number(moved ?? 0) };
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
