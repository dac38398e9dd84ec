/** Maintenance of moves between shards (worker/failover): a message that a crash has left on its way is routed again, one that has arrived is let go. */
import type { Job, Queue } from 'bullmq';
import { verdictOf } from '../../queue/bullmq/job-reader.ts';
import { decodeLane, idOfJob } from '../../queue/jobs.ts';
import type { ShardView } from '../../queue/open.ts';
import { transit } from '../../queue/redis/keys.ts';
import { deadLetterMessage } from '../dead-letter.ts';
import { setInvalidAside, setUnsoundAside } from '../unsound-jobs.ts';
import { routeAnew } from './orphans.ts';
import { guarded, type MaintenanceTools } from './tools.ts';

export async function landMoves(tools: MaintenanceTools): Promise<void> {
  if (tools.views.length === 1) return;
  for (const [shard, view] of tools.views.entries()) {
    await guarded(`moves from shard ${shard}`, tools, async () => {
      const queue = view.lanes.queue(transit);
      const { jobs } = await tools.jobs.page(queue, 'wait', 0);
      for (const job of jobs) await guarded(`moves from shard ${shard}`, tools, () => land(job, queue, view, tools));
    });
  }
}

/**
 * The ledger says where a message is: whatever its row says of another lane or of an end, its job here is a copy that is left. So a move that
 * another process goes on with meanwhile, however late, does no harm.
 */
async function land(job: Job, queue: Queue, { lanes }: ShardView, tools: MaintenanceTools): Promise<void> {
  const { ledger } = tools;
  const jobId = String(job.id);
  const id = idOfJob(jobId);
  // Before anything is read of the message: a later move of it has another number.
  const move = await lanes.fallback.moveOf(transit, jobId);
  const arrived = (): Promise<void> => lanes.fallback.arrived(transit, jobId, move);
  const status = await ledger.idStatus(id);
  if (status.kind === 'in-use') return arrived();
  const row = await ledger.read(id);
  // It has just set out: its process is at work on it.
  const age = tools.now() - (row?.updatedAt ?? 0);
  if (age >= 0 && age < tools.everyMs) return;
  const verdict = verdictOf(job);
  const connectorId = row?.connector ?? transit;
  if (verdict !== null) return setUnsoundAside({ queue, connectorId }, { jobId, verdict }, null, tools);
  const routing = tools.routing();
  const decoded = decodeLane(jobId, job.data, routing.config.message, tools.sealing());
  // A newer release, or a worker that has its key, knows what it is.
  if (!decoded.ok && decoded.why !== 'invalid') return;
  if (!decoded.ok) {
    await setInvalidAside({ queue, connectorId }, job, decoded, tools);
    return arrived();
  }
  const message = { ...decoded.job.message, id };
  const { acceptedAt, messageId } = decoded.job;
  if (status.kind === 'new') {
    // No copy without an operator's word: rows outlive their messages, so it may have been sent.
    const why = 'it was on its way to another connector, and the ledger does not know any more whether it was sent';
    await deadLetterMessage(
      message,
      { acceptedAt, messageId, connector: row?.connector ?? null },
      'stalled',
      why,
      tools,
    );
    return arrived();
  }
  const { deadline } = status;
  const kind = await routeAnew(message, { acceptedAt, messageId }, deadline, routing, tools);
  // In its lane, in another one by another process, or a dead letter.
  if (kind === 'new' || kind === 'in-use') await arrived();
}
