/**
 * Ids of messages and ids of jobs. A caller's id is a name, never a key: BullMQ keeps a job under `<queue>:<job id>`, beside its
 * own `<queue>:wait`, `<queue>:meta` and so on, and takes a number for one that it gave itself. So an id that BullMQ cannot carry
 * gets a job id that begins with `.`, which no id of a message can; everything else keeps its id as job id.
 *
 * A stranger's job id may be anything, also what a terminal obeys. Nothing is kept under one that no message may have: its job has
 * an id that is made of its hash.
 */
import { createHash } from 'node:crypto';

/** Names of BullMQ's own keys of a queue (bullmq/dist/esm/classes/queue-keys.js); `job-ids.test.ts` holds the list. */
const queueKeyNames: ReadonlySet<string> = new Set([
  'active',
  'completed',
  'de',
  'delayed',
  'events',
  'failed',
  'id',
  'limiter',
  'marker',
  'meta',
  'paused',
  'pc',
  'prioritized',
  'repeat',
  'stalled',
  'stalled-check',
  'wait',
  'waiting-children',
]);

/** `metrics` is no key itself, but the beginning of some. */
export const reservedWords: ReadonlySet<string> = new Set([...queueKeyNames, 'metrics']);

/** Whether a job of a foreign client stands where BullMQ keeps a key of its own. */
export function isIntruder(jobId: string): boolean {
  return queueKeyNames.has(jobId);
}

/** What BullMQ gives by itself. */
const given = /^(?:0|[1-9]\d*)$/;
/** What BullMQ refuses as an id of a caller: `Job.validateOptions`. */
const integer = /^-?(?:0|[1-9]\d*)$/;

/** Whether BullMQ would take the id for something else: a key of its own, or a number that it gives. */
export function isReserved(id: string): boolean {
  return integer.test(id) || reservedWords.has(id);
}

/** The job id of a message. */
export function jobIdOf(id: string): string {
  return isReserved(id) ? `.${id}` : id;
}

/** What an id of a message may be: the rule `id` of the message schema. */
const possible = /^[A-Za-z0-9_-]{1,128}$/;

/** The message of a job in a lane, where every job id is ours. */
export function idOfJob(jobId: string): string {
  const id = jobId.slice(1);
  return withinRule(jobId.startsWith('.') && isReserved(id) ? id : jobId, jobId);
}

/** The message of a job in the intake. One that BullMQ numbered gets an id made of its number and its time. */
export function idOfIntakeJob(jobId: string, timestampMs: number): string {
  return given.test(jobId) ? withinRule(`auto-${jobId}-${timestampMs}`, jobId) : idOfJob(jobId);
}

/** The same where the job names its id inside (`named`): one that BullMQ numbered may; any other must be enqueued under it. */
export function intakeMessageId(jobId: string, timestampMs: number, named: string | null): string {
  const own = idOfIntakeJob(jobId, timestampMs);
  return own === jobId || own === idOfJob(jobId) || named === null || !isPossible(named) ? own : named;
}

/** Whether the job id is one that a message may have. */
export function isPossible(jobId: string): boolean {
  return given.test(jobId)
    ? jobId.length <= 20
    : possible.test(jobId) || (jobId.startsWith('.') && isReserved(jobId.slice(1)));
}

function withinRule(id: string, jobId: string): string {
  return possible.test(id) ? id : `invalid-${createHash('sha256').update(jobId).digest('hex').slice(0, 32)}`;
}

/** The job ids in the intake that may stand for a message. */
export function intakeJobIdsOf(id: string): string[] {
  const numbered = /^auto-(\d+)-\d+$/.exec(id)?.[1];
  return numbered === undefined ? [jobIdOf(id)] : [jobIdOf(id), numbered];
}
