/** Maintenance of failed jobs: what BullMQ gave up, because every worker that took it died, becomes a dead letter, unread. */
import type { Place } from '../unsound-jobs.ts';
import { setUnsoundAside } from '../unsound-jobs.ts';
import type { MaintenanceTools } from './tools.ts';

/** A job that is not sound is one of these, whatever it failed of. A worker of ours fails none; other versions and tools do. */
export async function deadLetterStalled(place: Place, tools: MaintenanceTools): Promise<void> {
  const { jobs } = await tools.jobs.page(place.queue, 'failed', 0);
  for (const { id } of jobs) {
    await setUnsoundAside(place, { jobId: String(id), verdict: 'stalled' }, null, tools);
  }
}
