/** Builds what an attempt writes into the ledger, with the events and the dead letter that go with it. Pure. */
import { printable } from '../../errors.ts';
import { encodeWire, type LaneJob } from '../../queue/jobs.ts';
import { refsOf } from '../../queue/ledger/content.ts';
import type { DeadLetter, DeadReason } from '../../queue/ledger/dead-letters.ts';
import { isDelivered, noteOfAttempt } from '../../queue/ledger/ledger.ts';
import type {
  AttemptFacts,
  LedgerState,
  NewRow,
  RecipientState,
  Settlement,
  StoredEntry,
} from '../../queue/ledger/ledger.ts';
import type { WorkerEvent } from '../events.ts';
import type { LedgerWrite } from '../ledger-write.ts';
import { readyAt } from '../../message/identity.ts';
import type { Decision } from './retry-policy.ts';

/** The attempt that is written down. */
export interface Attempted {
  readonly job: LaneJob;
  readonly row: NewRow;
  /** The token of the open attempt in the ledger; null if none was begun. */
  readonly token: string | null;
  /** Attempts made so far, including this one if it was begun. */
  readonly attempts: number;
  readonly durationMs: number;
  /** For the log of attempts; missing where none was made. */
  readonly made?: AttemptFacts;
  /** Now, ms since the epoch. */
  readonly at: number;
  /** The trace context of the attempt; missing without one. */
  readonly trace?: string;
}

const unchanged = { retryAt: null, reason: null, retentionMs: null, deadLetter: null, countAttempt: true } as const;

/** The end of a message, or its hold for an operator; with its dead letter, if it has one. `contentMs`: how long the content of a sent one is kept. */
export function settled(
  attempted: Attempted,
  decision: Decision & { kind: 'settle' },
  retentionMs: number,
  contentMs = 0,
): LedgerWrite {
  const { job, row, token, attempts } = attempted;
  const { state, reason, dead, recipients } = decision;
  const { code, reply } = lastReply([...dead, ...recipients]);
  const reached = reachedBy(row, recipients);
  const settlement = {
    ...unchanged,
    state,
    recipients,
    entry: entryOf(attempted, state, attempts, reply, recipients),
    reason,
    retentionMs: state === 'held' ? null : retentionMs,
    deadLetter: reason === null ? null : letterOf(attempted, decision, reason),
    reached: reached.count,
    connectorWorks: token !== null,
    keepContentMs: state === 'sent' ? contentMs : 0,
  } satisfies Settlement;
  const about = { id: job.id, connector: job.connector, recipients: dead.length, reply };
  const events: WorkerEvent[] = sentEvents(attempted, reached, state);
  for (const outcome of ['redirected', 'suppressed'] as const) {
    const count = recipients.filter((each) => each.outcome === outcome).length;
    if (count > 0) events.push({ event: outcome, id: job.id, connector: job.connector, recipients: count });
  }
  if (state === 'held') events.push({ event: 'held', ...about });
  else if (reason !== null) events.push({ event: 'dead', ...about, state, reason, code });
  // A dead letter keeps its contents, because it can be replayed; so does a sent message whose content is kept.
  const needed = reason !== null || settlement.keepContentMs > 0;
  return { row, token, settlement, events, unneeded: needed ? [] : refsOf(job.message) };
}

/** Some recipients are to be tried again. */
export function deferred(attempted: Attempted, { recipients, at }: Decision & { kind: 'retry' }): LedgerWrite {
  const { job, row, token, attempts } = attempted;
  const reached = reachedBy(row, recipients);
  const waiting = recipients.filter(({ outcome }) => outcome === 'deferred' || outcome === 'uncertain');
  const uncertain = waiting.some(({ outcome }) => outcome === 'uncertain');
  const { code, reply } = lastReply(waiting);
  const settlement: Settlement = {
    ...unchanged,
    state: 'deferred',
    recipients,
    entry: entryOf(attempted, uncertain ? 'uncertain' : 'deferred', attempts, reply, recipients),
    retryAt: at,
    reached: reached.count,
    connectorWorks: token !== null && !uncertain,
  };
  const about = { id: job.id, connector: job.connector };
  const events: WorkerEvent[] = sentEvents(attempted, reached, 'deferred');
  if (uncertain) events.push({ event: 'uncertain', ...about, detail: reply ?? '' });
  const retryInMs = at - attempted.at;
  events.push({ event: 'deferred', ...about, attempt: attempts, recipients: waiting.length, retryInMs, code, reply });
  return { row, token, settlement, events, unneeded: [] };
}

/** It is not known yet whose fault its refusal is, or it is the connector's: no attempt is counted. */
export function setAside(
  attempted: Attempted,
  { recipients, at, fault, serverAnswered }: Decision & { kind: 'set-aside' },
): LedgerWrite {
  const { job, row, token } = attempted;
  const waiting = recipients.filter(({ outcome }) => outcome === 'deferred');
  const { code, reply } = lastReply(waiting);
  const settlement: Settlement = {
    ...unchanged,
    state: 'deferred',
    recipients,
    entry: entryOf(attempted, 'set-aside', null, reply, recipients),
    retryAt: at,
    countAttempt: false,
    connectorWorks: token !== null && fault === null && serverAnswered,
  };
  const about = { id: job.id, connector: job.connector, recipients: waiting.length };
  const event: WorkerEvent = { event: 'set-aside', ...about, retryInMs: at - attempted.at, code, reply };
  return { row, token, settlement, events: [event], unneeded: [] };
}

/** A verification that was inconclusive: the next one is due at `retryAt`. Counts no attempt. */
export function unverified(attempted: Attempted, recipients: readonly RecipientState[], retryAt: number): LedgerWrite {
  const settlement: Settlement = {
    ...unchanged,
    state: 'deferred',
    recipients,
    entry: entryOf(attempted, 'unverified', null, null),
    retryAt,
    connectorWorks: false,
  };
  return { row: attempted.row, token: null, settlement, events: [], unneeded: [] };
}

/** Takes an attempt back that sent nothing: it does not count, and the message stands as before. null if none was begun. */
export function takenBack(attempted: Attempted, why: string): LedgerWrite | null {
  const { row, token } = attempted;
  if (token === null) return null;
  const settlement: Settlement = {
    ...unchanged,
    state: row.recipients.some(({ outcome }) => outcome !== 'pending' && outcome !== 'suppressed')
      ? 'deferred'
      : 'queued',
    recipients: row.recipients,
    entry: entryOf(attempted, 'postponed', null, printable(why, 300)),
    countAttempt: false,
    connectorWorks: false,
  };
  return { row, token, settlement, events: [], unneeded: [] };
}

interface Reached {
  readonly count: number;
  readonly reply: string | null;
}

/** The recipients this attempt reached; those who had their copy before do not count. */
function reachedBy({ recipients: before }: NewRow, after: readonly RecipientState[]): Reached {
  const had = new Set(before.filter(isDelivered).map(({ address }) => address));
  const reached = after.filter((recipient) => isDelivered(recipient) && !had.has(recipient.address));
  return { count: reached.length, reply: lastReply(reached).reply };
}

function sentEvents(
  { job, row, attempts, durationMs, at }: Attempted,
  reached: Reached,
  state: LedgerState,
): WorkerEvent[] {
  const { count, reply } = reached;
  if (count === 0) return [];
  const { id, connector, message } = job;
  const before = row.recipients.some(isDelivered);
  const latencyMs = before ? null : Math.max(0, at - readyAt(message, job.acceptedAt));
  const about = { id, connector, priority: message.priority, state, attempt: attempts };
  return [{ event: 'sent', ...about, recipients: count, durationMs, latencyMs, reply }];
}

function letterOf(
  { job, attempts, at }: Attempted,
  { dead }: Decision & { kind: 'settle' },
  reason: DeadReason,
): DeadLetter {
  const { id, connector, acceptedAt, message } = job;
  const { reply } = lastReply(dead);
  const data = encodeWire({ ...message, envelope: { ...message.envelope, to: dead.map(({ address }) => address) } });
  const from = message.from?.address ?? null;
  return { id, reason, connector, recipients: dead, at, reply, attempts, acceptedAt, from, data, form: 'json' };
}

function lastReply(recipients: readonly Pick<RecipientState, 'code' | 'reply'>[]): {
  code: string | null;
  reply: string | null;
} {
  const answered = recipients.find(({ reply }) => reply !== null);
  return { code: answered?.code ?? null, reply: answered?.reply ?? null };
}

/** `after`: the recipients as the attempt left them. */
function entryOf(
  { job, row, token, made, at, trace }: Attempted,
  event: string,
  attempt: number | null,
  detail: string | null,
  after?: readonly RecipientState[],
): StoredEntry {
  const entry = { at, event, connector: job.connector };
  const tried =
    made === undefined || token === null || after === undefined
      ? {}
      : { tried: noteOfAttempt(made, row.recipients, after, detail) };
  const traced = trace === undefined || token === null ? {} : { trace };
  return {
    ...entry,
    ...(attempt === null ? {} : { attempt }),
    ...(detail === null ? {} : { detail }),
    ...tried,
    ...traced,
  };
}
