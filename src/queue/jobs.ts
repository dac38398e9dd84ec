/** What travels in jobs: the wire form that any producer may enqueue, and the lane's form. Nothing read back is trusted. */
import { printable, unreachable, type Issue } from '../errors.ts';
import { acceptedAt } from '../message/identity.ts';
import type { Message, MessageLimits, Priority } from '../message/message.ts';
import { parseMessage } from '../message/schema.ts';
import { readText, textOf as contextText } from '../tracing/context.ts';
import type { Sealing } from '../sealing/sealing.ts';
import { jobForm, versionKind } from './redis/versions.ts';
import { isSealedData, namesSealed, openData, sealedContent, sealedVersion } from './sealed.ts';
import { idOfIntakeJob, idOfJob, intakeMessageId, isPossible } from './redis/job-ids.ts';

export { isSealedData, narrowed, openData, resealData, sealData, sealedIn } from './sealed.ts';
export { idOfIntakeJob, idOfJob, intakeJobIdsOf, intakeMessageId, isIntruder, jobIdOf } from './redis/job-ids.ts';

/** How often a job may be found abandoned. A mail that kills its worker must end, but redeploying all workers must not cost mail. */
export const maxStalls = 10;

/** Bytes of a job beside its texts and attachments: recipients, header fields, names. */
const jobAllowanceBytes = 4 * 1024 * 1024;

/**
 * The bytes that a job's data may have. Base64 makes four bytes of three, and JSON escapes some characters. `routed`: in a lane, where
 * the router has filled in what was left out.
 */
export function maxDataBytesOf({ maxBytes }: MessageLimits, routed: boolean): number {
  const most = Math.ceil(maxBytes * 1.4) + jobAllowanceBytes;
  return routed ? 2 * most : most;
}

/** Part of the wire contract. */
export interface WireJob {
  readonly v: 1;
  readonly message: Message;
  /** Who submitted it, where that is known: the token of the HTTP API, for example. */
  readonly by?: string | undefined;
  /** The connector that it is to go through, in place of that of its From. */
  readonly via?: string | undefined;
}

/** What a producer says of a message beside it. */
export type Submission = Pick<WireJob, 'by' | 'via'>;

/** A routed message: everything that must never change between attempts is fixed in it. */
export interface LaneJob {
  readonly v: 1;
  readonly id: string;
  readonly message: Message;
  /** The Message-ID header that the recipient sees; '' if a raw message has an odd one of its own. */
  readonly messageId: string;
  /** ms since the epoch. */
  readonly acceptedAt: number;
  readonly connector: string;
  readonly rule: string;
  /** The message has been in a lane before (replay): its ledger row knows more than this job. */
  readonly known: boolean;
  /** The trace context in which it was sent; missing without one. */
  readonly trace?: string | undefined;
}

export type Decoded<T> =
  | { readonly ok: true; readonly job: T }
  | (NotDecoded & { readonly why: 'invalid' })
  /** A later release wrote it, and will know its form; it is not invalid. */
  | (NotDecoded & { readonly why: 'newer' })
  /** This process has not the key that it is sealed with; that is no fault of the message. */
  | (NotDecoded & { readonly why: 'key-missing'; readonly key: string });

interface NotDecoded {
  readonly ok: false;
  readonly id: string;
  readonly issues: readonly Issue[];
}

/**
 * BullMQ serves jobs without a priority first, then by rising number. So high has none, and normal outruns low. Producers
 * and router use the same numbers, so that a message overtakes at both places.
 */
export const jobPriorities: Readonly<Record<Priority, number>> = { high: 0, normal: 10, low: 20 };

export function encodeWire(message: Message, { by, via }: Submission = {}): WireJob {
  return { v: 1, message, ...(by === undefined ? {} : { by }), ...(via === undefined ? {} : { via }) };
}

/** An intake job, which any BullMQ client may have written. `wasSealed`: the data was encrypted, so it may name encrypted contents. */
export function decodeIntake(
  jobId: string,
  enqueuedAtMs: number,
  data: unknown,
  limits: MessageLimits,
  sealing: Sealing,
  wasSealed = false,
): Decoded<{ id: string; message: Message; acceptedAt: number } & Submission> {
  const own = idOfIntakeJob(jobId, enqueuedAtMs);
  if (!isPossible(jobId)) return invalid(own, [notAnId(jobId)]);
  const shape = shapeIssue(data);
  if (shape !== null) return isNewer(data) ? newer(own, shape) : invalid(own, [shape]);
  const input = (data as { message: unknown }).message;
  const named = isRecord(input) && typeof input['id'] === 'string' ? input['id'] : null;
  const id = intakeMessageId(jobId, enqueuedAtMs, named);
  if (named !== null && named !== id) {
    const message = `the job is enqueued under the id "${printable(jobId, 130)}"; both must be the same`;
    return invalid(id, [{ field: 'id', rule: 'id-mismatch', message }]);
  }
  const opened = isSealedData(data) ? openAs(id, data, sealing) : null;
  if (opened?.ok === false) return opened;
  const given = opened === null ? input : opened.message;
  const parsed = parseMessage(isRecord(given) ? { ...given, id } : given, limits);
  if (!parsed.ok) return invalid(id, parsed.issues);
  if (opened === null && !wasSealed && namesSealed(parsed.message)) return invalid(id, [sealedContent]);
  const submission = submissionOf(data as { by?: unknown; via?: unknown });
  if ('issue' in submission) return invalid(id, [submission.issue]);
  return {
    ok: true,
    job: { id, message: parsed.message, acceptedAt: acceptedAt(id, enqueuedAtMs), ...submission },
  };
}

/** The message in data that is sealed, not validated yet. */
function openAs(
  id: string,
  data: unknown,
  sealing: Sealing,
): { readonly ok: true; readonly message: unknown } | Extract<Decoded<never>, NotDecoded> {
  const opened = openData(data, id, sealing);
  switch (opened.kind) {
    case 'open':
      return { ok: true, message: (opened.data as { readonly message: unknown }).message };
    case 'key-missing': {
      const message = `is sealed with the key "${opened.key}", which this process does not have`;
      return {
        ok: false,
        id,
        issues: [{ field: 'sealed', rule: 'key-missing', message }],
        why: 'key-missing',
        key: opened.key,
      };
    }
    case 'damaged':
      return invalid(id, [opened.issue]);
    default:
      return unreachable(opened);
  }
}

/** `by` is only shown; a `via` that is none must not send the message another way. */
function submissionOf({ by, via }: { by?: unknown; via?: unknown }): Submission | { readonly issue: Issue } {
  if (via !== undefined && (typeof via !== 'string' || !/^[a-z0-9][a-z0-9_-]{0,63}$/.test(via))) {
    return { issue: { field: 'via', rule: 'id', message: 'is no id of a connector' } };
  }
  return {
    ...(typeof by === 'string' && /^[\w.@+-]{1,128}$/.test(by) ? { by } : {}),
    ...(via === undefined ? {} : { via }),
  };
}

/** What the data of an intake job says of its message. */
interface WaitingMessage {
  readonly from: string | null;
  readonly recipients: readonly string[];
  readonly metadata: Readonly<Record<string, string>> | null;
  readonly submittedBy: string | null;
}

/** For those who show a message before a worker has judged it: any client may have written it. */
export function readIntakeData(data: unknown): WaitingMessage {
  const job = recordOf(data);
  const message = recordOf(job['message']);
  const to = recordOf(message['envelope'])['to'];
  const metadata = Object.entries(recordOf(message['metadata'])).filter(([, value]) => typeof value === 'string');
  return {
    from: textOf(recordOf(message['from'])['address']),
    recipients: Array.isArray(to) ? (to as unknown[]).filter((each) => typeof each === 'string') : [],
    metadata: metadata.length === 0 ? null : (Object.fromEntries(metadata) as Record<string, string>),
    submittedBy: textOf(job['by']),
  };
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

/** What the router says of a message: with the data of its producer it makes a lane job. */
export type Routed = Pick<LaneJob, 'messageId' | 'acceptedAt' | 'connector' | 'rule' | 'known' | 'trace'>;

/** A routed message with its data. */
export function laneJobOf(id: string, message: Message, routed: Routed): LaneJob {
  return { v: 1, id, message, ...routed };
}

/** A lane job as it comes out of Redis: checked again, as others may have written there. */
export function decodeLane(jobId: string, data: unknown, limits: MessageLimits, sealing: Sealing): Decoded<LaneJob> {
  const id = idOfJob(jobId);
  if (!isPossible(jobId)) return invalid(id, [notAnId(jobId)]);
  const shape = shapeIssue(data);
  if (shape !== null) return isNewer(data) ? newer(id, shape) : invalid(id, [shape]);
  const record = data as Record<string, unknown>;
  const { messageId, acceptedAt, connector, rule } = record;
  if (
    typeof messageId !== 'string' ||
    !/^(?:<[^<>\s]+>)?$/.test(messageId) ||
    typeof acceptedAt !== 'number' ||
    !Number.isFinite(acceptedAt) ||
    Math.abs(acceptedAt) > 8.64e15 ||
    typeof connector !== 'string' ||
    typeof rule !== 'string'
  ) {
    return notFromRouter(id);
  }
  const opened = isSealedData(data) ? openAs(id, data, sealing) : null;
  if (opened?.ok === false) return opened;
  // The data may be that of a producer, who need not have named the id.
  const input = opened === null ? record['message'] : opened.message;
  const parsed = parseMessage(isRecord(input) ? { ...input, id } : input, limits);
  if (!parsed.ok) return invalid(id, parsed.issues);
  const { message } = parsed;
  if (opened === null && namesSealed(message)) return invalid(id, [sealedContent]);
  if (messageId === '' && message.raw === undefined) return notFromRouter(id);
  // Raw messages that were routed before they got a Message-ID keep what they have.
  const isFormer = message.raw !== undefined && messageId.startsWith(`<${id}@`);
  return {
    ok: true,
    job: {
      v: 1,
      id,
      message,
      messageId: isFormer ? '' : messageId,
      acceptedAt,
      connector,
      rule,
      known: record['known'] === true,
      trace: record['trace'] === undefined ? undefined : contextText(readText(record['trace'])) || undefined,
    },
  };
}

function notFromRouter(id: string): Invalid {
  const message = 'the lane job is not of the form that the router writes';
  return invalid(id, [{ field: '', rule: 'job', message }]);
}

type Invalid = NotDecoded & { readonly why: 'invalid' };

function invalid(id: string, issues: readonly Issue[]): Invalid {
  return { ok: false, id, issues, why: 'invalid' };
}

function newer(id: string, shape: Issue): NotDecoded & { readonly why: 'newer' } {
  return { ok: false, id, issues: [shape], why: 'newer' };
}

/** The version that the data of a job gives itself; 0 if it gives none. */
export function versionOf(data: unknown): number {
  return isRecord(data) && typeof data['v'] === 'number' ? data['v'] : 0;
}

/** A newer version may have any form but for its `v`. */
export function isNewer(data: unknown): boolean {
  return isRecord(data) && versionKind(data['v'], jobForm) === 'newer';
}

/** The id is left out of the answer as far as it could harm who reads it. */
function notAnId(jobId: string): Issue {
  const message = `the job was enqueued under the id "${printable(jobId, 100)}"; an id has 1 to 128 characters of A-Z a-z 0-9 _ -`;
  return { field: 'id', rule: 'id', message };
}

function shapeIssue(data: unknown): Issue | null {
  if (!isRecord(data)) return { field: '', rule: 'job', message: 'the job data must be {"v": 1, "message": {…}}' };
  if (data['v'] !== 1 && data['v'] !== sealedVersion) {
    // Of a plain value only: what is written of an object is the object's to say, and it may be nested without end.
    const v = data['v'];
    const isPlain = typeof v === 'string' || typeof v === 'number' || typeof v === 'boolean';
    const what = isPlain ? printable(String(v), 40) : 'of this form';
    const message = `version ${what} is not known; it must be 1`;
    return { field: 'v', rule: 'job-version', message };
  }
  if (!('message' in data)) return { field: 'message', rule: 'required', message: 'is missing' };
  return null;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Deeper JSON is kept and shown as text only: what walks through it, JSON.stringify included, might end at the size of the stack. */
const maxDepth = 64;

/** Whether a value of JSON is nested at most so deep. */
export function isShallow(value: unknown, depth = maxDepth): boolean {
  if (typeof value !== 'object' || value === null) return true;
  return depth > 0 && Object.values(value).every((each) => isShallow(each, depth - 1));
}
