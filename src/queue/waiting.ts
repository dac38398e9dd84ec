/** Messages that wait in the intake or in a lane: found by their id, cancelled, and sent before their time. */
import type { Job, Queue } from 'bullmq';
import { acceptedAt } from '../message/identity.ts';
import type { MessageLimits } from '../message/message.ts';
import type { JobReader } from './bullmq/job-reader.ts';
import { parseMessage } from '../message/schema.ts';
import type { Sealing } from '../sealing/sealing.ts';
import { idOfIntakeJob, intakeJobIdsOf, jobIdOf, openData, readIntakeData } from './jobs.ts';
import type { Lanes } from './lanes/lanes.ts';
import { refsOf, type ContentStore } from './ledger/content.ts';
import type { Ledger, WaitingRow } from './ledger/ledger.ts';
import type { SentNow } from './lanes/send-now.ts';

export interface WaitingQueues {
  readonly ledger: Pick<Ledger, 'read' | 'cancel'>;
  readonly intake: Queue;
  readonly jobs: Pick<JobReader, 'job'>;
  readonly lanes: Lanes;
  readonly contents: Pick<ContentStore, 'release'>;
  readonly sealing: () => Sealing;
}

/** The intake job of a message, under its own job id or, for a job that BullMQ numbered, under that number. */
export async function intakeJob(
  { intake, jobs }: Pick<WaitingQueues, 'intake' | 'jobs'>,
  id: string,
): Promise<Job | null> {
  for (const jobId of intakeJobIdsOf(id)) {
    const job = await jobs.job(intake, jobId);
    if (job !== null && idOfIntakeJob(String(job.id), job.timestamp) === id) return job;
  }
  return null;
}

interface CancelOptions {
  readonly limits: MessageLimits;
  readonly retentionMs: number;
}

/** true if the message will not be sent: no attempt was under way, and no recipient has it. */
export async function cancelMessage(
  id: string,
  queues: WaitingQueues,
  { limits, retentionMs }: CancelOptions,
): Promise<boolean> {
  const { ledger, jobs } = queues;
  const job = await intakeJob(queues, id);
  if (
    !(await ledger.cancel(id, Date.now(), retentionMs, job === null ? null : waitingRowOf(id, job, queues.sealing())))
  )
    return false;
  // From here on nothing is sent; removing the job early only saves the router and the lane the work.
  const row = await ledger.read(id);
  const connector = row?.connector ?? null;
  const lane = connector === null ? null : queues.lanes.queue(connector);
  for (const waiting of [job, lane === null ? null : await jobs.job(lane, jobIdOf(id))])
    await removeWaiting(waiting, id, queues, limits);
  return true;
}

function waitingRowOf(id: string, { data, timestamp }: Job, { seal }: Sealing): WaitingRow {
  const { recipients, ...said } = readIntakeData(data);
  // What would be sealed by the worker that routes it is not left in its row.
  const rest = seal === null ? said : { ...said, metadata: null };
  const pending = recipients.map((address) => ({ address, outcome: 'pending', code: null, reply: null }) as const);
  return { ...rest, recipients: pending, acceptedAt: acceptedAt(id, timestamp) };
}

/** Removes a job that no worker works on, and its contents. One that is being worked on ends there: the row says so. */
async function removeWaiting(
  job: Job | null,
  id: string,
  { contents, sealing }: Pick<WaitingQueues, 'contents' | 'sealing'>,
  limits: MessageLimits,
): Promise<void> {
  if (job === null) return;
  try {
    await job.remove();
  } catch {
    return;
  }
  const opened = openData(job.data, id, sealing());
  // Without the key maintenance frees what no message needs.
  if (opened.kind !== 'open') return;
  const message = (opened.data as { message?: unknown } | null)?.message;
  const parsed = parseMessage(message, limits);
  if (parsed.ok) await contents.release(id, refsOf(parsed.message));
}

/** What became of a message that is to be tried at once: `ok`, or what is in the way. `unknown`: no message has this id. */
export type SendNowResult = 'unknown' | SentNow;

/**
 * Tries a scheduled or deferred message at once. A scheduled one is in the intake: its `sendAt` becomes `at`, which is its Date then, and
 * its job is promoted. A crash in between leaves the job where it is, and asking again completes it.
 */
export async function sendMessageNow(id: string, queues: WaitingQueues, at: number): Promise<SendNowResult> {
  const row = await queues.ledger.read(id);
  if (row !== null) {
    const { connector } = row;
    if (connector === null) return 'state';
    return queues.lanes.sendNow(connector, id, { at, event: 'send-now', connector });
  }
  const job = await intakeJob(queues, id);
  if (job === null) return 'unknown';
  if (!(await job.isDelayed())) return 'waiting';
  const data: unknown = job.data;
  const message = typeof data === 'object' && data !== null && 'message' in data ? data.message : null;
  if (typeof message === 'object' && message !== null && 'sendAt' in message && message.sendAt !== undefined) {
    await job.updateData({ ...(data as object), message: { ...message, sendAt: new Date(at).toISOString() } });
  }
  try {
    await job.promote();
  } catch (thrown) {
    // Its time had come meanwhile.
    if (await job.isDelayed()) throw thrown;
  }
  return 'ok';
}
