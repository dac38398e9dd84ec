/**
 * One attempt as one straight line: who is left → compose → (session ready) fence → send → decide → ledger. Returns what
 * the queue must do. Knows neither BullMQ nor lanes.
 */
import { asError, PostlaneError, printable, unreachable } from '../../errors.ts';
import { composeMail } from '../../message/compose.ts';
import { contentSize } from '../../message/content.ts';
import { refsOf } from '../../queue/ledger/content.ts';
import { headerOf, type LaneJob } from '../../queue/jobs.ts';
import { terminalStates, type LedgerRow, type NewRow, type RecipientState } from '../../queue/ledger/ledger.ts';
import type { OutgoingMail, Outcome } from '../../transport/transport.ts';
import { allow, tooLargeFor } from './quota.ts';
import { resolveDoubt } from './verify.ts';
import { createFence, type Fence } from './fence.ts';
import { decide, expire, giveUp, leaveUncertain, type Decision } from './retry-policy.ts';
import type { SendPolicy } from '../settings.ts';
import { deferMessage, settleMessage, takeBack, type Settled } from './settlement.ts';
import type { Delivery, DeliverTask, DeliverTools } from './task.ts';

export async function deliver(task: DeliverTask, tools: DeliverTools): Promise<Delivery> {
  const { job, policy } = task;
  const before = task.rerun || job.known ? await tools.ledger.read(job.id) : null;
  if (before !== null && (terminalStates.has(before.state) || before.state === 'held')) {
    return dropped(task, tools, before.state);
  }
  const row = rowOf(task, before);
  const attempts = before?.attempts ?? 0;
  const settled = (token: string | null, durationMs = 0): Settled => {
    return { job, row, token, durationMs, attempts: token === null ? attempts : attempts + 1 };
  };
  const early = await beforeAttempt(row, before, policy, settled(null), tools);
  if (early !== null) return early;

  const left = row.recipients.filter((recipient) => isLeft(recipient, policy));
  const mail = await compose(task, left, tools);
  if ('missing' in mail) {
    await settleMessage(settled(null), giveUp(row.recipients, 'invalid-message', mail.missing), tools);
    return { kind: 'finished' };
  }
  const tooLarge = tooLargeFor(mail, task.limits);
  if (tooLarge !== null) {
    await settleMessage(settled(null), giveUp(row.recipients, 'too-large', tooLarge), tools);
    return { kind: 'finished' };
  }

  const overOpen = (before?.open ?? null) !== null;
  if (before !== null && policy.onUncertain === 'verify' && (overOpen || left.some(isUncertain))) {
    const { transport, signal } = task;
    const doubt = { transport, mail, row, before, settled: settled(null), policy, signal };
    const found = await resolveDoubt(doubt, tools);
    if (found !== 'send') return found;
  }
  const allowance = await allow(job.connector, mail, task.limits, task.transport, tools);
  if (allowance.kind === 'wait') return allowance;
  const { now, worker } = tools;
  const fence = createFence(tools.ledger, row, { lock: task.lock, now, worker, overOpen, attempts });
  const startedAt = tools.now();
  const outcome = await task.transport.send(mail, { signal: task.signal, fence: fence.ask });
  // What the server has answered must be kept even where Redis refuses this: the booking then stays as it is.
  await allowance.settle(outcome, fence.token() !== null).catch((thrown: unknown) => {
    tools.emit({ event: 'error', id: job.id, where: 'quota', detail: printable(asError(thrown).message, 500) });
  });
  if (fence.error() !== null) throw fence.error()!;
  const decision = decide({
    outcome,
    recipients: row.recipients,
    attempt: attempts + 1,
    now: tools.now(),
    deadline: row.deadline,
    policy,
    random: tools.random,
  });
  return act(task, tools, { decision, outcome, fence, settled: settled(fence.token(), tools.now() - startedAt) });
}

/** What the ledger decides already, before anything is composed: an open attempt, a time that has not come, a deadline. */
async function beforeAttempt(
  row: NewRow,
  before: LedgerRow | null,
  policy: SendPolicy,
  settled: Settled,
  tools: DeliverTools,
): Promise<Delivery | null> {
  const now = tools.now();
  const open = before?.open ?? null;
  if (open !== null) {
    const wait = open.at + tools.lateResultMs;
    if (now < wait) return { kind: 'retry', at: wait, slowDownMs: null };
    const detail = `the attempt of ${open.worker} ended without a result`;
    tools.emit({ event: 'uncertain', id: row.id, connector: settled.job.connector, detail });
    if (policy.onUncertain === 'hold' || now >= row.deadline) {
      await settleMessage(settled, leaveUncertain(row.recipients, detail, policy, now >= row.deadline), tools);
      return { kind: 'finished' };
    }
  }
  if (now >= row.deadline) {
    await settleMessage(settled, expire(row.recipients), tools);
    return { kind: 'finished' };
  }
  // The worker died between the ledger's «deferred» and the queue's: the time stands. A second is no reason to wait again.
  if (before?.state === 'deferred' && before.retryAt !== null && before.retryAt > now + 1_000) {
    return { kind: 'retry', at: before.retryAt, slowDownMs: null };
  }
  return null;
}

interface Acted {
  readonly decision: Decision;
  readonly outcome: Outcome;
  readonly fence: Fence;
  readonly settled: Settled;
}

async function act(task: DeliverTask, tools: DeliverTools, acted: Acted): Promise<Delivery> {
  const { decision, outcome, fence, settled } = acted;
  switch (decision.kind) {
    case 'settle': {
      const { carry } = task;
      if (carry === undefined || settled.token === null) {
        await settleMessage(settled, decision, tools);
        return finished(outcome);
      }
      return { ...finished(outcome), ending: settleMessage({ ...settled, carry }, decision, tools) };
    }
    case 'retry':
      await deferMessage(settled, decision, tools);
      return { kind: 'retry', at: decision.at, slowDownMs: slowDownOf(outcome) };
    case 'postpone':
      await takeBack(settled, `${decision.fault}: ${decision.reply.text ?? ''}`, tools);
      return { kind: 'postpone', decision };
    case 'stopped': {
      await takeBack(settled, decision.why, tools);
      const answer = fence.answer();
      if (decision.why === 'no-session') return { kind: 'hand-back', why: 'no session' };
      if (answer === 'lost') return { kind: 'hand-back', why: 'lock lost' };
      // An attempt that was open all the time, or a state that ends the message: the next run looks again, or it is done.
      if (answer === null || answer === 'go' || answer === 'open') return { kind: 'hand-back', why: 'stopping' };
      return dropped(task, tools, answer);
    }
    default:
      return unreachable(decision);
  }
}

function finished(outcome: Outcome): Delivery & { kind: 'finished' } {
  const slowDownMs = slowDownOf(outcome);
  return slowDownMs === null ? { kind: 'finished' } : { kind: 'finished', slowDownMs };
}

/** The ledger says that nothing is to be sent: the job ends. */
async function dropped(task: DeliverTask, tools: DeliverTools, state: string): Promise<Delivery> {
  const { id, connector, message } = task.job;
  tools.emit({ event: 'dropped', id, connector, state });
  if (state === 'sent' || state === 'cancelled') await tools.contents.release(id, refsOf(message));
  return { kind: 'finished' };
}

/** Who gets this attempt. Where policy holds, an uncertain recipient waits for an operator and not for a retry. */
function isLeft({ outcome }: RecipientState, { onUncertain }: SendPolicy): boolean {
  return outcome === 'pending' || outcome === 'deferred' || (outcome === 'uncertain' && onUncertain !== 'hold');
}

function isUncertain({ outcome }: RecipientState): boolean {
  return outcome === 'uncertain';
}

/** The message as the ledger knows it, or as it begins. */
function rowOf({ job, policy }: DeliverTask, before: LedgerRow | null): NewRow {
  const { id, connector, rule, acceptedAt, message } = job;
  const messageId = headerOf(job);
  const known = new Map((before?.recipients ?? []).map((recipient) => [recipient.address, recipient]));
  for (const address of message.envelope.to) {
    if (!known.has(address)) known.set(address, { address, outcome: 'pending', code: null, reply: null });
  }
  const deadline = before?.deadline || deadlineOf(job, policy.lifetimeMs);
  return { id, connector, rule, messageId, recipients: [...known.values()], acceptedAt, deadline };
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
  { job: { id, message, messageId, acceptedAt }, transport: { wholeBytes = Infinity } }: DeliverTask,
  left: readonly RecipientState[],
  { contents }: DeliverTools,
): Promise<OutgoingMail | { readonly missing: string }> {
  try {
    const { attachments, raw } = message;
    const contentOf = contents.read.bind(contents);
    const options = { messageId, date: new Date(acceptedAt), boundarySeed: id, contentOf };
    const from = message.envelope.from ?? message.from?.address ?? '';
    const envelope = { from, to: left.map(({ address }) => address) };
    // A raw message has no parts that could be told apart: whoever takes large ones only in parts cannot take it.
    if (raw !== undefined) return { id, envelope, bytes: await composeMail(message, options) };
    const structured = { message, contentOf, rangeOf: contents.range.bind(contents) };
    // Encoding only adds to this. What is sent in parts is never in memory as a whole, and is looked at beforehand.
    const size = attachments.reduce((sum, attachment) => sum + contentSize(attachment), 0);
    if (size <= wholeBytes) return { id, envelope, bytes: await composeMail(message, options), structured };
    for (const attachment of attachments) await contents.verify(attachment);
    const { html: _html, ...rest } = message;
    const bytes = await composeMail({ ...rest, text: '', attachments: [] }, options);
    return { id, envelope, bytes, headerOnly: true, structured };
  } catch (error) {
    if (error instanceof PostlaneError && error.code === 'attachment-missing') return { missing: error.message };
    throw error;
  }
}

function slowDownOf(outcome: Outcome): number | null {
  return outcome.kind === 'settled' ? (outcome.slowDownMs ?? null) : null;
}
