/** Maintenance of stalled jobs: a job that failed because every worker that took it died becomes a dead letter. */
import type { Queue } from 'bullmq';
import { printable } from '../../errors.ts';
import { decodeIntake, decodeLane } from '../../queue/jobs.ts';
import { deadLetterInvalid, deadLetterMessage } from '../dead-letter.ts';
import { page, type MaintenanceTools } from './tools.ts';

/** Dead-letters the failed jobs of a queue. `connectorId` is null for the intake. */
export async function deadLetterStalled(
  queue: Queue,
  connectorId: string | null,
  tools: MaintenanceTools,
): Promise<void> {
  const { config } = tools.routing();
  for (const job of await queue.getJobs(['failed'], 0, page, true)) {
    const id = String(job.id);
    const why = `the job failed: ${printable(job.failedReason, 300)}; the worker that had it died or lost Redis each time`;
    const decoded =
      connectorId === null
        ? decodeIntake(id, job.timestamp, job.data, config.message)
        : decodeLane(id, job.data, config.message);
    if (decoded.ok) {
      const { message, acceptedAt } = decoded.job;
      const messageId = 'messageId' in decoded.job ? decoded.job.messageId : '';
      const about = { acceptedAt, messageId, connector: connectorId };
      await deadLetterMessage({ ...message, id: decoded.job.id }, about, 'stalled', why, tools);
    } else {
      await deadLetterInvalid(decoded, job.data, job.timestamp, tools);
    }
    await job.remove();
  }
}
