/** The lanes as a whole. Each lane is an ordinary BullMQ queue in its connector's shard; everything here is over all shards. */
import type { Queue } from 'bullmq';
import type { SharedQueues } from '../bullmq/shared-queues.ts';
import type { IdStatus, Ledger, NewRow } from '../ledger/ledger.ts';
import type { Location } from '../ledger/location.ts';
import type { RedisClient } from '../redis/connection.ts';
import type { Shards } from '../redis/shards.ts';
import { createAttributions, type Attributions } from './attribution.ts';
import { createLaneContext } from './context.ts';
import { enterLane, type LaneEntry } from './enter.ts';
import { createLaneControls, type LaneControls } from './limits.ts';
import { createPacer, type Pacer } from './rate.ts';
import { createReadyLanes, type ReadyLanes } from './ready.ts';
import { laneStatus, type LaneStatus } from './status.ts';

export interface Lanes extends ReadyLanes, LaneControls {
  readonly attribution: Attributions;
  readonly pace: Pacer;
  queue(connectorId: string): Queue;
  /** Puts a message into a lane with its row in the ledger: see `enterLane`. */
  enter(connectorId: string, entry: LaneEntry, row: NewRow, requeued: boolean): Promise<IdStatus>;
  status(connectorId: string): Promise<LaneStatus>;
}

/** `queues`: of each shard. */
export function createLanes(
  redis: RedisClient,
  shards: Shards,
  queues: readonly SharedQueues[],
  rows: { readonly ledger: Pick<Ledger, 'idStatus'>; readonly location: Location },
): Lanes {
  const context = createLaneContext(redis, shards, queues);
  const ready = createReadyLanes(context);
  const attribution = createAttributions(context, ready);
  const slowed = new Set<string>();
  return {
    ...ready,
    ...createLaneControls(context, ready, attribution, slowed),
    pace: createPacer(redis, shards, slowed),
    attribution,
    queue: context.queue,
    enter: (connectorId, entry, row, requeued) => enterLane(context, rows, connectorId, entry, row, requeued),
    status: (connectorId) => laneStatus(context, attribution, connectorId),
  };
}
