/**
 * One attempt as one straight line: who is left → compose → (session ready) fence → send → decide → ledger. Returns what
 * the queue must do. Knows neither BullMQ nor lanes.
 */
import { asError, PostlaneError, printable, unreachable } from '../errors.ts';
import { composeMail } from '../message/compose.ts';
import type { ContentStore } from '../queue/content.ts';
import { refsOf } from '../queue/content.ts';
import { encodeWire, type LaneJob } from '../queue/jobs.ts';
import {
  terminalStates,
  type HistoryEntry,
  type Ledger,
  type LedgerRow,
  type NewRow,
  type RecipientState,
} from '../queue/ledger.ts';
import type { OutgoingMail, Outcome, Transport } from '../transport/transport.ts';
import type { Listener } from './events.ts';
import { decide, expire, type Decision, type RetrySchedule } from './retry-policy.ts';

export interface DeliverTools {
  readonly ledger: Ledger;
  readonly contents: ContentStore;
  readonly emit: Listener;
  readonly now: () => number;
  readonly random: () => number;
  /** Name of this worker, for the ledger. */
  readonly worker: string;
  /** How long terminal rows are kept, in ms. */
  readonly retentionMs: number;
}

export interface DeliverTask {
  readonly job: LaneJob;
  readonly transport: Transport;
  readonly schedule: RetrySchedule;
  readonly lifetimeMs: number;
  readonly lock: { readonly key: string; readonly token: string };
  /** The job was started before, here or elsewhere: the ledger knows more than the job. */
  readonly rerun: boolean;
  readonly signal: AbortSignal;
}

/** What the queue must do with the job. */
export type Delivery =
  | { readonly kind: 'finished' }
  | { readonly kind: 'retry'; readonly at: number; readonly slowDownMs: number | null }
  | { readonly kind: 'postpone'; readonly decision: Decision & { kind: 'postpone' } }
  /** Give it back untouched: this worker stops, or may not send. */
  | { readonly kind: 'hand-back'; readonly lockLost: boolean };

export async function deliver(task: DeliverTask, tools: DeliverTools): Promise<Delivery> {
  const { job } = task;
  const before = task.rerun || job.known ? await tools.ledger.read(job.id) : null;
  if (before !== null && (terminalStates.has(before.state) || before.state === 'held')) {
    return dropped(task, tools, before.state);
  }
  const row = rowOf(task, before);
  const left = row.recipients.filter(({ outcome }) => outcome !== 'accepted' && outcome !== 'rejected');
  const attempt = (before?.attempts ?? 0) + 1;
  if (tools.now() >= row.deadline) return finish(task, tools, row, expire(row.recipients), null, attempt, 0);
  if (before?.state === 'deferred' && before.retryAt !== null && before.retryAt > tools.now() + 1_000) {
    // The worker died between the ledger's «deferred» and the queue's: the time stands.
    return { kind: 'retry', at: before.retryAt, slowDownMs: null };
  }

  const mail = await compose(job, left, tools);
  if ('missing' in mail) return finish(task, tools, row, unusable(row, mail.missing), null, attempt, 0);

  const fence = fenceOf(task, tools, row);
  const startedAt = tools.now();
  const outcome = await task.transport.send(mail, { signal: task.signal, fence: fence.ask });
  if (fence.error() !== null) throw fence.error()!;
  const decision = decide({
    outcome,
    recipients: row.recipients,
    attempt,
    now: tools.now(),
    deadline: row.deadline,
    schedule: task.schedule,
    random: tools.random,
  });
  return act(task, tools, { row, decision, outcome, attempt, fence, durationMs: tools.now() - startedAt });
}

interface Acted {
  readonly row: NewRow;
  readonly decision: Decision;
  readonly outcome: Outcome;
  readonly attempt: number;
  readonly fence: Fence;
  readonly durationMs: number;
}

async function act(task: DeliverTask, tools: DeliverTools, acted: Acted): Promise<Delivery> {
  const { row, decision, outcome, attempt, fence, durationMs } = acted;
  switch (decision.kind) {
    case 'settle':
      return finish(task, tools, row, decision, fence.token(), attempt, durationMs);
    case 'retry':
      return retry(task, tools, acted, decision);
    case 'postpone':
      if (fence.token() !== null) await takeBack(task, tools, row, fence, `${decision.fault}: ${decision.reply.text ?? ''}`);
      return { kind: 'postpone', decision };
    case 'stopped': {
      const answer = fence.answer();
      if (answer !== null && answer !== 'go' && answer !== 'open' && answer !== 'lost') {
        return dropped(task, tools, answer);
      }
      if (fence.token() !== null && answer === 'go') await takeBack(task, tools, row, fence, decision.why);
      return { kind: 'hand-back', lockLost: answer === 'lost' };
    }
    default:
      return unreachable(decision);
  }
}

async function retry(
  task: DeliverTask,
  tools: DeliverTools,
  { row, outcome, attempt, fence }: Acted,
  decision: Decision & { kind: 'retry' },
): Promise<Delivery> {
  const { job } = task;
  const waiting = decision.recipients.filter(({ outcome }) => outcome === 'deferred' || outcome === 'uncertain');
  const uncertain = waiting.some((recipient) => recipient.outcome === 'uncertain');
  const [first] = waiting;
  const reply = first?.reply ?? null;
  const code = first?.code ?? null;
  await tools.ledger.settle(row, fence.token(), {
    state: 'deferred',
    recipients: decision.recipients,
    entry: entry(tools, uncertain ? 'uncertain' : 'deferred', job.connector, attempt, reply),
    retryAt: decision.at,
    reason: null,
    retentionMs: null,
    deadLetter: null,
    countAttempt: true,
    connectorWorks: true,
  });
  if (uncertain) tools.emit({ event: 'uncertain', id: job.id, connector: job.connector, detail: reply ?? '' });
  const retryInMs = decision.at - tools.now();
  const about = { id: job.id, connector: job.connector, attempt, recipients: waiting.length, retryInMs, code, reply };
  tools.emit({ event: 'deferred', ...about });
  return { kind: 'retry', at: decision.at, slowDownMs: slowDownOf(outcome) };
}

/** Writes the end of a message, with its dead letter if it has one, in one step; then frees what it needed. */
async function finish(
  task: DeliverTask,
  tools: DeliverTools,
  row: NewRow,
  decision: Decision & { kind: 'settle' },
  token: string | null,
  attempt: number,
  durationMs: number,
): Promise<Delivery> {
  const { job } = task;
  const { state, reason, dead, recipients } = decision;
  const last = dead.find(({ reply }) => reply !== null) ?? recipients.find(({ reply }) => reply !== null);
  const reply = last?.reply ?? null;
  const code = last?.code ?? null;
  const made = token === null ? attempt - 1 : attempt;
  const answer = await tools.ledger.settle(row, token, {
    state,
    recipients,
    entry: entry(tools, state, job.connector, made, reply),
    retryAt: null,
    reason,
    retentionMs: tools.retentionMs,
    deadLetter:
      reason === null
        ? null
        : {
            id: job.id,
            reason,
            connector: job.connector,
            recipients: dead,
            at: tools.now(),
            reply,
            attempts: made,
            acceptedAt: job.acceptedAt,
            data: encodeWire({ ...job.message, envelope: { ...job.message.envelope, to: dead.map((d) => d.address) } }),
          },
    countAttempt: true,
    connectorWorks: token !== null,
  });
  if (answer === 'late') return { kind: 'finished' };
  const about = { id: job.id, connector: job.connector };
  const accepted = recipients.length - dead.length;
  if (accepted > 0) tools.emit({ event: 'sent', ...about, attempt: made, recipients: accepted, durationMs, reply });
  if (reason !== null) tools.emit({ event: 'dead', ...about, reason, recipients: dead.length, code, reply });
  // A dead letter keeps its contents: it can be replayed.
  else await tools.contents.release(job.id, refsOf(job.message));
  return { kind: 'finished' };
}

/** Closes an attempt that came to nothing: it does not count, and the message stands as before. */
async function takeBack(
  task: DeliverTask,
  tools: DeliverTools,
  row: NewRow,
  fence: Fence,
  why: string,
): Promise<void> {
  await tools.ledger.settle(row, fence.token(), {
    state: row.recipients.some(({ outcome }) => outcome !== 'pending') ? 'deferred' : 'queued',
    recipients: row.recipients,
    entry: entry(tools, 'postponed', task.job.connector, undefined, printable(why, 300)),
    retryAt: null,
    reason: null,
    retentionMs: null,
    deadLetter: null,
    countAttempt: false,
    connectorWorks: false,
  });
}

async function dropped(task: DeliverTask, tools: DeliverTools, state: string): Promise<Delivery> {
  tools.emit({ event: 'dropped', id: task.job.id, connector: task.job.connector, state });
  if (state === 'sent' || state === 'cancelled') await tools.contents.release(task.job.id, refsOf(task.job.message));
  return { kind: 'finished' };
}

/** The message as the ledger knows it, or as it begins. A replay concerns only the recipients that its envelope names. */
function rowOf({ job, lifetimeMs }: DeliverTask, before: LedgerRow | null): NewRow {
  const { message } = job;
  const known = new Map((before?.recipients ?? []).map((recipient) => [recipient.address, recipient]));
  for (const address of message.envelope.to) {
    if (!known.has(address)) known.set(address, { address, outcome: 'pending', code: null, reply: null });
  }
  return {
    id: job.id,
    connector: job.connector,
    rule: job.rule,
    messageId: job.messageId,
    recipients: [...known.values()],
    acceptedAt: job.acceptedAt,
    deadline: before?.deadline || deadlineOf(job, lifetimeMs),
  };
}

/** No attempt begins at or after this time: `expiresAt`, else the lifetime from acceptance or from `sendAt`. ms since the epoch. */
export function deadlineOf(
  { message, acceptedAt }: Pick<LaneJob, 'message' | 'acceptedAt'>,
  lifetimeMs: number,
): number {
  if (message.expiresAt !== undefined) return Date.parse(message.expiresAt);
  const from = message.sendAt === undefined ? acceptedAt : Math.max(acceptedAt, Date.parse(message.sendAt));
  return from + lifetimeMs;
}

async function compose(
  job: LaneJob,
  left: readonly RecipientState[],
  { contents }: DeliverTools,
): Promise<OutgoingMail | { readonly missing: string }> {
  const { id, message, messageId, acceptedAt } = job;
  try {
    const date = new Date(acceptedAt);
    const contentOf = contents.read.bind(contents);
    const bytes = await composeMail(message, { messageId, date, boundarySeed: id, contentOf });
    const from = message.envelope.from ?? message.from?.address ?? '';
    return { id, envelope: { from, to: left.map(({ address }) => address) }, bytes };
  } catch (error) {
    if (error instanceof PostlaneError && error.code === 'attachment-missing') return { missing: error.message };
    throw error;
  }
}

function unusable(row: NewRow, why: string): Decision & { kind: 'settle' } {
  const recipients = row.recipients.map(
    (recipient): RecipientState =>
      recipient.outcome === 'accepted' ? recipient : { ...recipient, outcome: 'rejected', reply: why },
  );
  const dead = recipients.filter(({ outcome }) => outcome !== 'accepted');
  const state = dead.length === recipients.length ? 'dead' : 'partial';
  return { kind: 'settle', state, recipients, reason: 'invalid-message', dead };
}

interface Fence {
  readonly ask: () => Promise<boolean>;
  readonly answer: () => Awaited<ReturnType<Ledger['fence']>> | null;
  /** The token of the attempt that is open in the ledger, or null. */
  readonly token: () => string | null;
  readonly error: () => Error | null;
}

/** Asks the ledger, right before the transaction, whether this worker may send. An attempt without a result is retried over. */
function fenceOf({ job, lock }: DeliverTask, tools: DeliverTools, row: NewRow): Fence {
  let answer: Awaited<ReturnType<Ledger['fence']>> | null = null;
  let error: Error | null = null;
  const attempt = { lockKey: lock.key, token: lock.token, now: tools.now(), worker: tools.worker };
  return {
    async ask() {
      try {
        answer = await tools.ledger.fence(row, { ...attempt, overOpen: false });
        if (answer === 'open') {
          const detail = 'an earlier attempt ended without a result; it is made again';
          tools.emit({ event: 'uncertain', id: job.id, connector: job.connector, detail });
          answer = await tools.ledger.fence(row, { ...attempt, overOpen: true });
        }
        return answer === 'go';
      } catch (thrown) {
        error = asError(thrown);
        return false;
      }
    },
    answer: () => answer,
    token: () => (answer === 'go' ? lock.token : null),
    error: () => error,
  };
}

function slowDownOf(outcome: Outcome): number | null {
  return outcome.kind === 'settled' ? (outcome.slowDownMs ?? null) : null;
}

function entry(
  tools: DeliverTools,
  event: string,
  connector: string,
  attempt: number | undefined,
  detail: string | null,
): HistoryEntry {
  return {
    at: tools.now(),
    event,
    connector,
    ...(attempt === undefined ? {} : { attempt }),
    ...(detail === null ? {} : { detail }),
  };
}
