/** Maintenance of strays: jobs of the intake that would never be fetched become dead letters, and what is over goes. */
import { idOfIntakeJob } from '../../queue/jobs.ts';
import { setUnsoundAside } from '../unsound-jobs.ts';
import type { MaintenanceTools } from './tools.ts';

export async function removeStrays(tools: MaintenanceTools): Promise<void> {
  const { intake, jobs, ledger, repair, retentionMs, now } = tools;
  const { never, over } = await repair.strays();
  for (const jobId of never) {
    await setUnsoundAside({ queue: intake, connectorId: null }, { jobId, verdict: 'delay' }, null, tools);
  }
  for (const { jobId, at } of over) {
    // It was routed or it is a dead letter: its id has a row, as long as rows are kept.
    const job = await jobs.job(intake, jobId);
    const status = await ledger.idStatus(idOfIntakeJob(jobId, job?.timestamp ?? 0));
    if (status.kind === 'in-use' || at < now() - retentionMs()) await jobs.discard(intake, jobId, null);
  }
}
