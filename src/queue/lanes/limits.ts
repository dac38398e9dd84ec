/** A lane's limits, pauses and faults, as BullMQ enforces them for all processes. */
import { run } from '../lua/script.ts';
import type { Attributions } from './attribution.ts';
import type { LaneContext } from './context.ts';
import {
  endPause,
  pauseKeysOf,
  readPause,
  tellPausesOver,
  writePause,
  type LanePause,
  type NewPause,
} from './pause.ts';
import { bullmqRateOf } from './rate.ts';
import type { ReadyLanes } from './ready.ts';
import { faultScript, limitsScript } from './scripts.ts';
import type { LaneSnapshot } from './snapshot.ts';
import { endHoldScript, holdLaneScript, type HoldReason } from './wait-reasons.ts';

/** Those of a connector's limits that BullMQ enforces in Redis for all processes. */
export interface LaneLimits {
  readonly concurrency: number;
  readonly messagesPerMinute: number | null;
}

interface NewFault {
  readonly kind: string;
  readonly reply: string;
  readonly toldMs: number | null;
  readonly firstMs: number;
  readonly longestMs: number;
  /** Refusals of several messages have shown it. */
  readonly found: boolean;
  /** As configured. */
  readonly limits: LaneLimits;
  /** How long a number that was too much for a server is not tried again, at most. */
  readonly longestHoldMs: number;
}

interface FaultPause {
  readonly pauseMs: number;
  /** Faults in a row. */
  readonly faults: number;
  /** Messages at once after the pause. */
  readonly concurrency: number;
  /** The rate that was learned; null if there is none. */
  readonly messagesPerMinute: number | null;
}

export interface LaneControls {
  /** → the concurrency in force: that of the limits, unless the connector has faults or its server throttles. */
  setLimits(connectorId: string, limits: LaneLimits): Promise<number>;
  /** Replaces the pause that stands. → that one, and the new one. */
  pause(connectorId: string, pause?: NewPause): ReturnType<typeof writePause>;
  /** An operator's pause; null if there is none. */
  pauseOf(connectorId: string): Promise<LanePause | null>;
  /**
   * Also forgets faults, their pause and open refusals: an operator has repaired something. Maintenance gives the lane its limits
   * back. → the pause that it has ended.
   */
  resume(connectorId: string): Promise<LanePause | null>;
  /** Tells of pauses that are over by their time, `most` of each shard. `now` in ms since the epoch. */
  tellPausesOver(now: number, most: number): Promise<void>;
  /** Forgets faults, their pause and open refusals, as the connector's settings have changed. */
  clearFaults(connectorId: string): Promise<void>;
  /** Holds the lane for a time, in order, without counting an attempt. A longer wait that is under way stays. */
  holdFor(connectorId: string, pauseMs: number, why: HoldReason): Promise<void>;
  /** Ends a wait for a quota, as another one is in force; `setLimits` must follow. */
  endQuotaHold(connectorId: string): Promise<void>;
  /** Counts a fault and holds the lane. → for how long, and what comes after the pause. */
  fault(connectorId: string, fault: NewFault): Promise<FaultPause>;
}

/** Until it is resumed, for a reason that was not given. */
const untold: NewPause = { by: '', reason: '', forMs: null };

/** Whether a lane has other limits than these: it is new, its server was probed, or Redis has lost them. */
export function differs({ limits: found }: LaneSnapshot, { concurrency, messagesPerMinute }: LaneLimits): boolean {
  const { max, durationMs } = bullmqRateOf(messagesPerMinute);
  return (
    Number(found.concurrency) !== concurrency || Number(found.max) !== max || Number(found.duration) !== durationMs
  );
}

export function createLaneControls(
  { redis, queue, shards, shardKeys, laneKeys }: LaneContext,
  { refresh }: Pick<ReadyLanes, 'refresh'>,
  attribution: Pick<Attributions, 'returnAll'>,
  slowed: Set<string>,
): LaneControls {
  const note = (connectorId: string, isSlowed: boolean): void => {
    if (isSlowed) slowed.add(connectorId);
    else slowed.delete(connectorId);
  };
  const pauseKeys = (connectorId: string): ReturnType<typeof pauseKeysOf> =>
    pauseKeysOf(shardKeys(connectorId), laneKeys(connectorId).meta, connectorId);
  const clearFaults = async (connectorId: string): Promise<void> => {
    const keys = shardKeys(connectorId);
    const { limiter } = laneKeys(connectorId);
    await redis.del(keys.connector(connectorId), keys.refusals(connectorId), limiter, keys.connectorWait(connectorId));
    await attribution.returnAll(connectorId);
  };
  return {
    clearFaults,

    async setLimits(connectorId, { concurrency, messagesPerMinute }) {
      const keys = shardKeys(connectorId);
      const { meta, limiter } = laneKeys(connectorId);
      const [inForce, isSlowed] = (await run(redis, limitsScript, {
        keys: {
          meta,
          faults: keys.connector(connectorId),
          limiter,
          waitReason: keys.connectorWait(connectorId),
          refusals: keys.refusals(connectorId),
          stats: keys.connectorStats(connectorId),
        },
        args: { configured: concurrency, ...bullmqRateOf(messagesPerMinute) },
      })) as unknown[];
      note(connectorId, Number(isSlowed) === 1);
      await refresh(connectorId, 'sooner', true);
      return Number(inForce);
    },

    async pause(connectorId, pause = untold) {
      const answer = await writePause(redis, pauseKeys(connectorId), connectorId, pause);
      // A pause with an end has a place in line for that time.
      await refresh(connectorId, 'exact', false);
      return answer;
    },

    pauseOf: (connectorId) => readPause(redis, pauseKeys(connectorId)),

    async resume(connectorId) {
      const ended = await readPause(redis, pauseKeys(connectorId));
      await queue(connectorId).resume();
      await endPause(redis, pauseKeys(connectorId), connectorId);
      await clearFaults(connectorId);
      await refresh(connectorId, 'sooner', true);
      return ended;
    },

    async tellPausesOver(now, most) {
      for (const { pauseEnds } of shards.all) await tellPausesOver(redis, pauseEnds, pauseKeys, { now, most });
    },

    async holdFor(connectorId, pauseMs, why) {
      const { limiter } = laneKeys(connectorId);
      const waitReason = shardKeys(connectorId).connectorWait(connectorId);
      const args = { pauseMs: Math.max(1, Math.ceil(pauseMs)), reason: why };
      await run(redis, holdLaneScript, { keys: { limiter, waitReason }, args });
    },

    async endQuotaHold(connectorId) {
      const moreArgs = ['recipients-per-day', 'bytes', 'group'] satisfies HoldReason[];
      const waitReason = shardKeys(connectorId).connectorWait(connectorId);
      await run(redis, endHoldScript, { keys: { waitReason }, moreArgs });
    },

    async fault(connectorId, { kind, reply, toldMs, firstMs, longestMs, found, limits, longestHoldMs }) {
      const { meta, active, wait, prioritized, limiter } = laneKeys(connectorId);
      const keys = shardKeys(connectorId);
      const [faults, waitReason] = [keys.connector(connectorId), keys.connectorWait(connectorId)];
      const [refusals, stats] = [keys.refusals(connectorId), keys.connectorStats(connectorId)];
      const { max, durationMs } = bullmqRateOf(limits.messagesPerMinute);
      const answer = (await run(redis, faultScript, {
        keys: { faults, meta, active, wait, prioritized, limiter, waitReason, refusals, stats },
        args: {
          firstMs,
          longestMs,
          toldMs: toldMs ?? '',
          kind,
          reply,
          found: found ? 1 : 0,
          configured: limits.concurrency,
          max,
          durationMs,
          longestHoldMs,
        },
      })) as unknown[];
      const [pauseMs, count, concurrency, perMinute] = answer.map(Number) as [number, number, number, number];
      note(connectorId, perMinute >= 0);
      return { pauseMs, faults: count, concurrency, messagesPerMinute: perMinute < 0 ? null : perMinute };
    },
  };
}
