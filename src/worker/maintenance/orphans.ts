/** Maintenance of orphans: messages in a lane whose connector is gone, or at home in another shard, are routed again. */
import type { Job, Queue } from 'bullmq';
import { verdictOf } from '../../queue/bullmq/job-reader.ts';
import type { Message } from '../../message/message.ts';
import { decodeLane, idOfJob } from '../../queue/jobs.ts';
import type { IdStatus } from '../../queue/ledger/ledger.ts';
import { transit } from '../../queue/redis/keys.ts';
import type { ShardView } from '../../queue/open.ts';
import { deadLetterMessage } from '../dead-letter.ts';
import { enterLane } from '../router.ts';
import { connectorFor, type Routing } from '../routes.ts';
import { setInvalidAside, setUnsoundAside } from '../unsound-jobs.ts';
import { guarded, page, type MaintenanceTools } from './tools.ts';

/** After the number of shards has grown: moves what waits in the lanes of connectors that are at home in another shard now. */
export async function moveToHomeShards(tools: MaintenanceTools): Promise<void> {
  if (tools.views.length === 1) return;
  for (const [shard, view] of tools.views.entries()) {
    await guarded(`shard ${shard}`, tools, () => moveHome(shard, view, tools));
  }
}

async function moveHome(shard: number, { lanes, recoverStalled }: ShardView, tools: MaintenanceTools): Promise<void> {
  for (const connectorId of await lanes.known()) {
    if (tools.shardOf(connectorId) === shard || connectorId === transit) continue;
    const queue = lanes.queue(connectorId);
    // The operator's pause moves first: no message of the lane may be sent in between.
    const pause = await lanes.pauseOf(connectorId);
    if (pause !== null) {
      const { by, reason, until } = pause;
      const forMs = until === null ? null : Math.max(1, until - tools.now());
      await tools.lanes.pause(connectorId, { by: by ?? '', reason: reason ?? '', forMs });
      await queue.resume();
    }
    if ((await queue.getActiveCount()) > 0) await recoverStalled(connectorId, tools.everyMs);
    await rerouteOrphans(connectorId, tools, lanes, 0);
  }
}

/**
 * Moves what waits in a lane without a connector to where it would be routed now. It waits for a grace time, because another
 * process may have the newer configuration. One process at a time does this, so no message is moved twice.
 */
export async function rerouteOrphans(
  connectorId: string,
  tools: MaintenanceTools,
  lanes = tools.lanes,
  graceMs = tools.orphanGraceMs,
): Promise<void> {
  const routing = tools.routing();
  const queue = lanes.queue(connectorId);
  const lists = ['wait', 'prioritized', 'delayed'] as const;
  const pages = await Promise.all(lists.map((list) => tools.jobs.page(queue, list, 0)));
  const jobs = pages.flatMap((each) => each.jobs).slice(0, page);
  if (jobs.length === 0) {
    if ((await queue.getActiveCount()) === 0) await lanes.refresh(connectorId, 'exact', false);
    return;
  }
  const due = tools.now() - tools.configuredAt() >= graceMs;
  let rerouted = 0;
  for (const job of due ? jobs : []) {
    const verdict = verdictOf(job);
    if (verdict !== null) {
      await setUnsoundAside({ queue, connectorId }, { jobId: String(job.id), verdict }, null, tools);
    } else if (await reroute(job, { queue, connectorId }, routing, tools)) await job.remove();
    else continue;
    rerouted += 1;
  }
  tools.emit({ event: 'lane-orphaned', connector: connectorId, waiting: jobs.length, rerouted });
}

/** → whether the job may go. Its message is then in another lane, or a dead letter. */
async function reroute(
  job: Job,
  place: { readonly queue: Queue; readonly connectorId: string },
  routing: Routing,
  tools: MaintenanceTools,
): Promise<boolean> {
  const id = idOfJob(String(job.id));
  const { config } = routing;
  const decoded = decodeLane(String(job.id), job.data, config.message, tools.sealing());
  // A newer release, or a worker that has its key, knows where it goes.
  if (!decoded.ok && decoded.why !== 'invalid') return false;
  if (!decoded.ok) {
    await setInvalidAside(place, job, decoded, tools);
    return true;
  }
  const { message, acceptedAt, messageId } = decoded.job;
  const row = await tools.ledger.read(id);
  const deadline = row?.deadline ?? tools.now() + config.retry.lifetimeMs;
  const open = row?.open ?? null;
  // The worker of an open attempt may still report its result. After that, no connector's policy says what follows.
  if (open !== null && tools.now() < open.at + tools.lateResultMs) return false;
  const released = await tools.ledger.release(id, {
    from: ['queued', 'deferred', ...(open === null ? [] : ['sending' as const])],
    entry: {
      at: tools.now(),
      event: open === null ? 'rerouted' : 'uncertain',
      detail: `the connector ${place.connectorId} is not configured any more, or in another shard`,
    },
    deadline,
    via: null,
  });
  if (!released) return true;
  await routeAnew({ ...message, id }, { acceptedAt, messageId }, deadline, routing, tools);
  return true;
}

/** Routes a message whose row waits for that. → how its id stands then; `new`: it is in its lane, or a dead letter. */
export async function routeAnew(
  message: Message & { readonly id: string },
  identity: { readonly acceptedAt: number; readonly messageId: string },
  deadline: number,
  routing: Routing,
  tools: MaintenanceTools,
): Promise<IdStatus['kind'] | 'lost'> {
  const found = connectorFor(message, { kind: 'new' }, routing);
  if ('why' in found) {
    await deadLetterMessage(message, { ...identity, connector: null }, 'no-route', found.why, tools);
    return 'new';
  }
  return (await enterLane(message, identity, found, { kind: 'requeued', via: null, deadline }, tools)).kind;
}
