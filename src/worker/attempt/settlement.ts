/** Writes what an attempt came to into the ledger, tells the listeners, and frees what a settled message needed. */
import { printable } from '../../errors.ts';
import type { ContentStore } from '../../queue/ledger/content.ts';
import { refsOf } from '../../queue/ledger/content.ts';
import type { DeadLetter, DeadReason } from '../../queue/ledger/dead-letters.ts';
import { encodeWire, type LaneJob } from '../../queue/jobs.ts';
import type { Carry, HistoryEntry, Ledger, NewRow, RecipientState, Settlement } from '../../queue/ledger/ledger.ts';
import type { Listener } from '../events.ts';
import { insist } from './retry-write.ts';
import type { Decision } from './retry-policy.ts';

export interface SettleTools {
  readonly ledger: Ledger;
  readonly contents: ContentStore;
  readonly emit: Listener;
  readonly now: () => number;
  /** How long terminal rows are kept, in ms. */
  readonly retentionMs: number;
  /** Told when a connector that had faults took a mail, or one that throttles took enough of them. */
  readonly recovered: (connectorId: string, how: 'recovered' | 'raised') => Promise<void>;
}

/** The attempt that is being settled. `token` is that of the open attempt in the ledger, null if there was none. */
export interface Settled {
  readonly job: LaneJob;
  readonly row: NewRow;
  readonly token: string | null;
  /** Attempts made so far, this one included if there was one. */
  readonly attempts: number;
  readonly durationMs: number;
  /** Takes the result along with the end of the job; for a message that ends. */
  readonly carry?: Carry;
}

const nothing = { retryAt: null, reason: null, retentionMs: null, deadLetter: null, countAttempt: true } as const;

/** The end of a message, or its hold for an operator; with its dead letter, if it has one, in the same step. */
export async function settleMessage(
  settled: Settled,
  decision: Decision & { kind: 'settle' },
  tools: SettleTools,
): Promise<void> {
  const { job, row, token, attempts } = settled;
  const { state, reason, dead, recipients } = decision;
  const { code, reply } = lastReply([...dead, ...recipients]);
  const reached = reachedBy(row, recipients);
  const answer = await record(settled, tools, {
    ...nothing,
    state,
    recipients,
    entry: entryOf(tools, state, job.connector, attempts, reply),
    reason,
    retentionMs: state === 'held' ? null : tools.retentionMs,
    deadLetter: reason === null ? null : letterOf(settled, decision, reason, tools.now()),
    reached: reached.count,
    connectorWorks: token !== null,
  });
  if (answer === 'late') return;
  const about = { id: job.id, connector: job.connector };
  announce(settled, reached, tools);
  if (state === 'held') tools.emit({ event: 'held', ...about, recipients: dead.length, reply });
  else if (reason !== null) tools.emit({ event: 'dead', ...about, reason, recipients: dead.length, code, reply });
  // A dead letter keeps its contents: it can be replayed.
  if (reason === null) await tools.contents.release(job.id, refsOf(job.message));
  if (answer !== 'ok') await tools.recovered(job.connector, answer);
}

/** Somebody is left to try again. */
export async function deferMessage(
  settled: Settled,
  decision: Decision & { kind: 'retry' },
  tools: SettleTools,
): Promise<void> {
  const { job, row, token, attempts } = settled;
  const reached = reachedBy(row, decision.recipients);
  const waiting = decision.recipients.filter(({ outcome }) => outcome === 'deferred' || outcome === 'uncertain');
  const uncertain = waiting.some(({ outcome }) => outcome === 'uncertain');
  const { code, reply } = lastReply(waiting);
  const answer = await record(settled, tools, {
    ...nothing,
    state: 'deferred',
    recipients: decision.recipients,
    entry: entryOf(tools, uncertain ? 'uncertain' : 'deferred', job.connector, attempts, reply),
    retryAt: decision.at,
    reached: reached.count,
    connectorWorks: token !== null && !uncertain,
  });
  if (answer === 'late') return;
  const about = { id: job.id, connector: job.connector };
  announce(settled, reached, tools);
  if (uncertain) tools.emit({ event: 'uncertain', ...about, detail: reply ?? '' });
  const retryInMs = decision.at - tools.now();
  tools.emit({ event: 'deferred', ...about, attempt: attempts, recipients: waiting.length, retryInMs, code, reply });
  if (answer !== 'ok') await tools.recovered(job.connector, answer);
}

/** A look for an attempt's result that found nothing out: looked for again at `at`. Burns no attempt. */
export async function deferUnverified(
  { job, row }: Settled,
  recipients: readonly RecipientState[],
  at: number,
  tools: SettleTools,
): Promise<void> {
  await tools.ledger.settle(row, null, {
    ...nothing,
    state: 'deferred',
    recipients,
    entry: entryOf(tools, 'unverified', job.connector, null, null),
    retryAt: at,
    connectorWorks: false,
  });
}

/** Whom this attempt reached; those who had their copy before do not count. */
function reachedBy(
  { recipients: before }: NewRow,
  after: readonly RecipientState[],
): { count: number; reply: string | null } {
  const had = new Set(before.filter(({ outcome }) => outcome === 'accepted').map(({ address }) => address));
  const reached = after.filter(({ address, outcome }) => outcome === 'accepted' && !had.has(address));
  return { count: reached.length, reply: lastReply(reached).reply };
}

function announce(
  { job, attempts, durationMs }: Settled,
  { count, reply }: ReturnType<typeof reachedBy>,
  { emit }: SettleTools,
): void {
  if (count === 0) return;
  const about = { id: job.id, connector: job.connector, attempt: attempts };
  emit({ event: 'sent', ...about, recipients: count, durationMs, reply });
}

/** Closes an attempt that came to nothing: it does not count, and the message stands as before. */
export async function takeBack(settled: Settled, why: string, tools: SettleTools): Promise<void> {
  const { job, row, token } = settled;
  if (token === null) return;
  await record(settled, tools, {
    ...nothing,
    state: row.recipients.some(({ outcome }) => outcome !== 'pending') ? 'deferred' : 'queued',
    recipients: row.recipients,
    entry: entryOf(tools, 'postponed', job.connector, null, printable(why, 300)),
    countAttempt: false,
    connectorWorks: false,
  });
}

/** The result of an attempt is written even if Redis refuses for hours; what nobody has attempted can be found out again. */
async function record(
  { job, row, token, carry }: Settled,
  { ledger, emit }: SettleTools,
  settlement: Settlement,
): ReturnType<Ledger['settle']> {
  if (carry !== undefined) {
    try {
      return await ledger.settle(row, token, settlement, carry);
    } catch {
      // The job's end was refused or did not come: the result is written by itself.
    }
  }
  const write = (): ReturnType<Ledger['settle']> => ledger.settle(row, token, settlement);
  if (token === null) return write();
  return insist(write, (error) =>
    emit({ event: 'error', id: job.id, where: 'ledger', detail: printable(error.message, 500) }),
  );
}

function letterOf(
  { job, attempts }: Settled,
  { dead }: Decision & { kind: 'settle' },
  reason: DeadReason,
  at: number,
): DeadLetter {
  const { id, connector, acceptedAt, message } = job;
  const { reply } = lastReply(dead);
  const data = encodeWire({ ...message, envelope: { ...message.envelope, to: dead.map(({ address }) => address) } });
  return { id, reason, connector, recipients: dead, at, reply, attempts, acceptedAt, data };
}

function lastReply(recipients: readonly Pick<RecipientState, 'code' | 'reply'>[]): {
  code: string | null;
  reply: string | null;
} {
  const spoken = recipients.find(({ reply }) => reply !== null);
  return { code: spoken?.code ?? null, reply: spoken?.reply ?? null };
}

function entryOf(
  { now }: SettleTools,
  event: string,
  connector: string,
  attempt: number | null,
  detail: string | null,
): HistoryEntry {
  const entry = { at: now(), event, connector };
  return { ...entry, ...(attempt === null ? {} : { attempt }), ...(detail === null ? {} : { detail }) };
}
