/** What the doctor looks for in queues: jobs whose message is settled or not known, and jobs that failed. */
import type { Job } from 'bullmq';
import { verdictOf } from '../../queue/bullmq/job-reader.ts';
import { decodeLane, idOfIntakeJob, idOfJob, isNewer, jobIdOf, versionOf } from '../../queue/jobs.ts';
import { transit } from '../../queue/redis/keys.ts';
import type { Body, Examination, Suspicion } from './findings.ts';
import { done, jobsOf } from './scan.ts';

/** Jobs in lanes: their message must be known, and not be settled. Jobs that failed, there and in the intake. */
export async function* suspectJobs(body: Body, { lifetimeMs, now, looked }: Examination): AsyncGenerator<Suspicion[]> {
  const { lanes, ledger, intake, limits, deadLetters, keys, shards } = body;
  const gone = async (connector: string, id: string): Promise<boolean> =>
    ['unknown', 'active'].includes(await lanes.queue(connector).getJobState(jobIdOf(id)));

  const waiting = async (job: Job, connector: string): Promise<Suspicion[]> => {
    // It becomes a dead letter as soon as a worker fetches it.
    if (verdictOf(job) !== null) return [];
    const id = idOfJob(String(job.id));
    if (isNewer(job.data)) return [newer(job, id, `the lane of ${connector}`)];
    const row = await ledger.read(id);
    if (row === null) {
      // Its row is on its way to another shard, too: one that is written here would be a second one.
      if (connector === transit) return [];
      const decoded = decodeLane(String(job.id), job.data, limits, body.sealing());
      if (!decoded.ok) return [];
      const { message, messageId, acceptedAt, rule } = decoded.job;
      const { expiresAt } = message;
      const deadline = expiresAt === undefined ? now() + lifetimeMs : Date.parse(expiresAt);
      const recipients = message.envelope.to.map(
        (address) => ({ address, outcome: 'pending', code: null, reply: null }) as const,
      );
      const fresh = { id, connector, rule, messageId, recipients, acceptedAt, deadline };
      return [
        {
          kind: 'job-without-row',
          id,
          detail: `it waits in the lane of ${connector}`,
          holds: async () => (await ledger.read(id)) === null && !(await gone(connector, id)),
          fix: () => ledger.create(fresh),
        },
      ];
    }
    const over = async (): Promise<boolean> => {
      const state = (await ledger.read(id))?.state;
      if (state === 'sent' || state === 'cancelled') return true;
      // The dead letter must have what the job has.
      return (state === 'dead' || state === 'partial' || state === 'held') && (await deadLetters.summary(id)) !== null;
    };
    if (!(await over())) return [];
    return [
      {
        kind: 'job-settled',
        id,
        detail: `it waits in the lane of ${connector}, and the ledger says ${row.state}`,
        holds: async () => (await over()) && !(await gone(connector, id)),
        fix: () => done(job.remove()),
      },
    ];
  };
  const newer = (job: Job, id: string, where: string): Suspicion => ({
    kind: 'format-newer',
    id,
    detail: `version ${versionOf(job.data)}, in ${where}`,
    holds: async () => (await job.getState()) !== 'unknown',
    fix: null,
  });
  const failed = (job: Job, connector: string | null): Suspicion => ({
    kind: 'job-failed',
    id: connector === null ? idOfIntakeJob(String(job.id), job.timestamp) : idOfJob(String(job.id)),
    detail: `in ${connector === null ? 'the intake' : `the lane of ${connector}`}: ${job.failedReason}`,
    holds: async () => (await job.getState()) === 'failed',
    fix: async () => {
      const retried = await done(job.retry('failed'));
      if (connector !== null) await lanes.refresh(connector, 'sooner', true);
      return retried;
    },
  });

  if (keys.prefix === shards.home.prefix) {
    for await (const jobs of jobsOf(body, intake, 'failed')) {
      looked(jobs.length);
      yield jobs.map((job) => failed(job, null));
    }
    for await (const jobs of jobsOf(body, intake, 'delayed')) {
      looked(jobs.length);
      const unknown = jobs.filter((job) => verdictOf(job) === null && isNewer(job.data));
      yield unknown.map((job) => newer(job, idOfIntakeJob(String(job.id), job.timestamp), 'the intake'));
    }
  }
  for (const connector of await lanes.known()) {
    const queue = lanes.queue(connector);
    for await (const jobs of jobsOf(body, queue, 'failed')) {
      looked(jobs.length);
      yield jobs.map((job) => failed(job, connector));
    }
    for (const type of ['wait', 'prioritized', 'delayed'] as const) {
      for await (const jobs of jobsOf(body, queue, type)) {
        looked(jobs.length);
        yield (await Promise.all(jobs.map((job) => waiting(job, connector)))).flat();
      }
    }
  }
}
