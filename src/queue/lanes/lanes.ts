/** The lanes as a whole. Each lane is an ordinary BullMQ queue in its connector's shard; everything here is over all shards. */
import type { Queue } from 'bullmq';
import type { SharedQueues } from '../bullmq/shared-queues.ts';
import type { Routed } from '../jobs.ts';
export type { Moved, MovedJob } from './enter.ts';
export type { FallbackRoom, FaultState, Guest, LaneMove, Movable } from './fallback.ts';
import type { Notes } from '../journal/notes.ts';
import type { HistoryEntry, IdStatus, Ledger, NewRow } from '../ledger/ledger.ts';
import type { Location } from '../ledger/location.ts';
import { run, type RunScript } from '../lua/script.ts';
import type { RedisClient } from '../redis/connection.ts';
import type { Shards } from '../redis/shards.ts';
import { createFallbacks, type Fallbacks } from './fallback.ts';
import { createAttributions, type Attributions } from './attribution.ts';
import { createLaneContext } from './context.ts';
import { enterLane, moveIntoLane, type DirectEntry, type LaneEntry, type Moved, type MovedJob } from './enter.ts';
import { createLaneControls, type LaneControls } from './limits.ts';
import { createPacer, type Pacer } from './rate.ts';
import { createReadyLanes, type ReadyLanes } from './ready.ts';
import { sendNowFrom, type SentNow } from './send-now.ts';
import { noteKeyMissingScript } from './wait-reasons.ts';
import { laneStatus, type LaneStatus } from './status.ts';

export interface Lanes extends ReadyLanes, LaneControls {
  readonly attribution: Attributions;
  readonly pace: Pacer;
  /** Moves of mail to connectors that stand in for others. */
  readonly fallback: Fallbacks;
  queue(connectorId: string): Queue;
  /** Puts a message into a lane with its row in the ledger: see `enterLane`. */
  enter(connectorId: string, entry: LaneEntry, row: NewRow, requeued: boolean): Promise<IdStatus>;
  /** Moves a job of the intake into its lane as it is, with its row in the ledger: see `moveIntoLane`. */
  move(
    job: MovedJob,
    routing: Routed,
    priority: number,
    row: NewRow,
    announce: boolean,
    direct?: DirectEntry | null,
  ): Promise<Moved>;
  /** Whether `move` can be a fence: over several shards it never is. */
  readonly movesDirectly: boolean;
  /** Tries a deferred message of the lane at once. */
  sendNow(connectorId: string, id: string, entry: HistoryEntry): Promise<SentNow>;
  status(connectorId: string): Promise<LaneStatus>;
  /** For some ms, messages of the lane count as waiting for a key. */
  noteKeyMissing(connectorId: string, forMs: number): Promise<unknown>;
}

/** `queues`: of each shard. */
export function createLanes(
  redis: RedisClient,
  shards: Shards,
  queues: readonly SharedQueues[],
  rows: { readonly ledger: Pick<Ledger, 'idStatus'>; readonly location: Location },
  runIn: (shard: number) => RunScript,
  notes: Notes,
): Lanes {
  const context = createLaneContext(redis, shards, queues, runIn, notes);
  const ready = createReadyLanes(context);
  const attribution = createAttributions(context, ready);
  const slowed = new Set<string>();
  return {
    ...ready,
    ...createLaneControls(context, ready, attribution, slowed),
    pace: createPacer(redis, shards, slowed),
    attribution,
    fallback: createFallbacks(context),
    queue: context.queue,
    enter: (connectorId, entry, row, requeued) => enterLane(context, rows, connectorId, entry, row, requeued),
    movesDirectly: shards.all.length === 1,
    move: (...moved) => moveIntoLane(context, ...moved),
    sendNow: (connectorId, id, entry) => sendNowFrom(context, ready, connectorId, id, entry),
    noteKeyMissing: (connectorId, forMs) =>
      run(redis, noteKeyMissingScript, {
        keys: { stats: context.shardKeys(connectorId).connectorStats(connectorId) },
        args: { forMs },
      }),
    status: (connectorId) => laneStatus(context, attribution, connectorId),
  };
}
