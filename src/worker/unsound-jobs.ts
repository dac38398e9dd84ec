/** Jobs that must not be parsed, and messages that break a rule: each becomes a dead letter with its content as it was found. */
import { isUtf8 } from 'node:buffer';
import type { Job, Queue } from 'bullmq';
import { printable, unreachable, type Issue } from '../errors.ts';
import { type JobReader, type RawJob, type Verdict } from '../queue/bullmq/job-reader.ts';
import { idOfIntakeJob, idOfJob, isShallow } from '../queue/jobs.ts';
import type { DeadReason } from '../queue/ledger/dead-letters.ts';
import { deadLetterInvalid, deadLetterUnread, type Found } from './dead-letter.ts';
import type { LedgerTools } from './ledger-write.ts';

export interface UnsoundTools extends LedgerTools {
  readonly jobs: JobReader;
}

/** Where a job is. `connectorId` is null for the intake. */
export interface Place {
  readonly queue: Queue;
  readonly connectorId: string | null;
}

const reasons: Readonly<Partial<Record<Verdict, DeadReason>>> = {
  stalled: 'stalled',
  'too-large': 'too-large',
  error: 'expired',
};

/**
 * Makes a dead letter of a job that is unsound, or failed for good, and takes it out of its queue. Its content is not parsed. A crash
 * in between repeats it, and the row says that it has been done. `verdict`: as the caller knows it; what Redis says
 * of the job now comes first. `token`: of the lock under which the caller has it.
 */
export async function setUnsoundAside(
  { queue, connectorId }: Place,
  { jobId, verdict }: { readonly jobId: string; readonly verdict: Verdict },
  token: string | null,
  tools: UnsoundTools,
): Promise<void> {
  const raw = await tools.jobs.examine(queue, jobId);
  if (raw !== null) await writeLetter(raw, raw.verdict ?? verdict, connectorId, tools);
  await tools.jobs.discard(queue, jobId, token);
}

async function writeLetter(
  raw: RawJob,
  verdict: Verdict,
  connectorId: string | null,
  tools: UnsoundTools,
): Promise<void> {
  const { ledger, emit, now } = tools;
  const id = connectorId === null ? idOfIntakeJob(raw.jobId, raw.timestamp) : idOfJob(raw.jobId);
  if (connectorId === null) {
    const status = await ledger.idStatus(id);
    // The message of that id has a row, so it is somewhere else, or over.
    if (status.kind === 'in-use') return emit({ event: 'duplicate', id, state: status.state });
  }
  const why = whyOf(raw, verdict);
  const reason = reasons[verdict] ?? 'invalid-message';
  const acceptedAt = raw.timestamp > 0 ? raw.timestamp : now();
  if (reason === 'invalid-message')
    emit({ event: 'invalid', id, issues: [{ field: '', rule: verdict, message: why }] });
  const row = await ledger.read(id);
  await deadLetterUnread(
    id,
    row,
    { found: foundOf(raw, verdict), acceptedAt, connector: connectorId },
    { reason, why },
    tools,
  );
}

/** Dead-letters a job whose message breaks a rule. The job is for the caller to end. */
export async function setInvalidAside(
  { queue }: Place,
  job: Pick<Job, 'id' | 'data' | 'timestamp'>,
  invalid: { readonly id: string; readonly issues: readonly Issue[] },
  tools: UnsoundTools,
): Promise<void> {
  const raw = await tools.jobs.examine(queue, String(job.id));
  const text = raw !== null && isUtf8(raw.data) ? raw.data.toString() : '';
  const found: Found = isShallow(job.data) ? { data: job.data, form: 'json', text } : { data: text, form: 'text' };
  await deadLetterInvalid(invalid, found, job.timestamp, tools);
}

function foundOf({ data }: RawJob, verdict: Verdict): Found {
  const part = verdict === 'too-large';
  // The beginning may end within a character.
  if (part && isUtf8(data.subarray(0, data.length - lastCharacter(data)))) {
    return { data: data.subarray(0, data.length - lastCharacter(data)).toString(), form: 'part' };
  }
  if (isUtf8(data)) return { data: data.toString(), form: 'text' };
  return { data: data.toString('base64'), form: part ? 'part-base64' : 'base64' };
}

/** The bytes of a character at the end that is not whole (RFC 3629 section 3). */
function lastCharacter(data: Buffer): number {
  for (let back = 1; back <= Math.min(3, data.length); back += 1) {
    const byte = data[data.length - back]!;
    if (byte < 0x80) return 0;
    if (byte >= 0xc0) return back;
  }
  return 0;
}

function whyOf({ jobId, name, size, sha1, failedReason }: RawJob, verdict: Verdict): string {
  const where = `(job id "${printable(jobId, 100)}")`;
  switch (verdict) {
    case 'type':
      return `the job's key in Redis is no hash; enqueue with a BullMQ client ${where}`;
    case 'no-data':
      return `the job has no data ${where}`;
    case 'stalled': {
      const said = failedReason === '' ? '' : `: ${printable(failedReason, 300)}`;
      return `the job failed${said}; the worker that had it died or lost Redis each time, and its content was not read again ${where}`;
    }
    case 'too-large':
      return `the job has ${size} bytes, more than \`message.maxSize\` allows; only the beginning is kept; SHA-1 ${sha1 || 'not computed'} ${where}`;
    case 'name':
      return `the job's name is "${printable(name, 100)}"; it must be "message" ${where}`;
    case 'timestamp':
      return `the job's timestamp is no time in ms between 1970 and 9999 ${where}`;
    case 'counter':
      return `a counter of the job (ats, atm, stc) is no number; these fields are BullMQ's own ${where}`;
    case 'opts':
      return `the job's options are no JSON object of at most 64 KiB ${where}`;
    case 'parent':
      return `the job belongs to a flow; enqueue messages on their own ${where}`;
    case 'repeat':
      return `the job belongs to a job scheduler; enqueue each message on its own, with \`sendAt\` ${where}`;
    case 'delay':
      return `the job's delay ends before 1970 or after 9999; use \`sendAt\` ${where}`;
    case 'error':
      return `no worker could route the job within the lifetime of a message; their logs say why ${where}`;
    case 'not-json':
      return `the job's data is no JSON ${where}`;
    default:
      return unreachable(verdict);
  }
}
