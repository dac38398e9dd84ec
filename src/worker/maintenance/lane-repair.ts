/** Maintenance of lanes: jobs whose worker died go back, a lane with work is in the ready set, and its limits are in force. */
import { differs } from '../../queue/lanes/limits.ts';
import type { LaneSnapshot } from '../../queue/lanes/snapshot.ts';
import { transit } from '../../queue/redis/keys.ts';
import { rerouteOrphans } from './orphans.ts';
import { deadLetterStalled } from './stalled.ts';
import { guarded, page, type MaintenanceTools } from './tools.ts';

/** All lanes that ever had work. Most are as they should be, and cost no more than the snapshot. */
export async function repairLanes(tools: MaintenanceTools, signal: AbortSignal): Promise<void> {
  const { lanes, now } = tools;
  await guarded('pauses', tools, () => lanes.tellPausesOver(now(), page));
  for (const lane of await lanes.snapshot(await lanes.known())) {
    if (signal.aborted) return;
    await guarded(`lane ${lane.connectorId}`, tools, () => repairLane(lane, tools));
  }
}

async function repairLane(lane: LaneSnapshot, tools: MaintenanceTools): Promise<void> {
  const { lanes } = tools;
  const { connectorId } = lane;
  if (connectorId === transit) return;
  if (lane.active > 0) await tools.laneWorker(connectorId).recoverStalled();
  if (lane.failed > 0 || lane.active > 0)
    await deadLetterStalled({ queue: lanes.queue(connectorId), connectorId }, tools);
  const connector = tools.routing().senders.get(connectorId);
  if (connector === undefined) {
    if (lane.waiting > 0 || lane.ready) await rerouteOrphans(connectorId, tools);
  }
  // Also puts the lane into the ready set, and restores the concurrency that a probe had reduced.
  else if (differs(lane, connector.limits)) await lanes.setLimits(connectorId, connector.limits);
  // A job that was active in the snapshot may have been recovered above: it is waiting now.
  else if (lane.waiting + lane.active > 0) await lanes.refresh(connectorId, 'sooner', true);
}
