/**
 * One attempt as one straight line: who is left → compose → (session ready) fence → send → decide. Returns what is to be written
 * and where the job goes. Knows neither BullMQ nor lanes.
 */
import { asError, printable, unreachable } from '../../errors.ts';
import type { Attribution } from '../../queue/lanes/attribution.ts';
import { refsOf } from '../../queue/ledger/content.ts';
import { terminalStates, type LedgerRow, type RecipientState } from '../../queue/ledger/ledger.ts';
import { errorTypeOf } from '../../transport/error-type.ts';
import type { Outcome, SendContext } from '../../transport/transport.ts';
import { telling } from '../message-trace.ts';
import type { LedgerWrite } from '../ledger-write.ts';
import { retryWhileRefused } from '../retry-write.ts';
import { withDoubt } from './addressees.ts';
import { accusationOf, openRefusalOf, rejectedMeanwhile, type Attributed } from './attribution.ts';
import { attemptEvent } from './attempt-event.ts';
import { beginAttempt, endAttempt, sendTraced } from './attempt-trace.ts';
import { consult, spread } from './consult.ts';
import { createFence, type Fence } from './fence.ts';
import { composeFor } from './outgoing-mail.ts';
import { givenBack, isGuest, withoutUnfit } from './guest.ts';
import { reserveQuota, sizeOf, tooLargeFor } from './quota.ts';
import { rowOf } from './known-row.ts';
import { believe, decide, expire, giveUp, leaveUncertain, noneLeft, type Decision } from './retry-policy.ts';
import { deferred, setAside, settled, takenBack, type Attempted } from './settlement.ts';
import type { Delivery, DeliverTask, DeliverTools, HandBackReason } from './task.ts';
import { verifyAttempt } from './verify.ts';

export async function deliver(task: DeliverTask, tools: DeliverTools): Promise<Delivery> {
  const { direct } = task;
  // What would end without an attempt is for the lane.
  const instead = (delivery: Delivery): Delivery => (direct === undefined ? delivery : elsewhere);
  const { job, policy } = task;
  const before = task.rerun || job.known ? await tools.ledger.read(job.id) : null;
  if (before !== null && (terminalStates.has(before.state) || before.state === 'held')) {
    return dropped(task, tools, before);
  }
  const known = rowOf(task, before, tools);
  const attempts = before?.attempts ?? 0;
  const found: Attempted = { job, row: known, token: null, attempts, durationMs: 0, at: tools.now() };
  const early = beforeAttempt(found, before, task, tools);
  if (early !== null) return instead(early);

  const to = await consult(known, before, task, tools);
  const { redirected } = to;
  const row = { ...known, recipients: to.recipients };
  const notBegun = { ...found, row };
  if (to.envelope.length === 0) return instead(ended(notBegun, noneLeft(row.recipients, policy), tools));
  const mail = await composeFor(task, to, tools);
  if ('why' in mail) return instead(ended(notBegun, giveUp(row.recipients, mail.reason, mail.why), tools));
  const tooLarge = tooLargeFor(mail, task.limits, task.maxBytes);
  if (tooLarge !== null) {
    const end = (): Delivery => ended(notBegun, giveUp(row.recipients, 'too-large', tooLarge), tools);
    return instead(isGuest(job) ? givenBack(notBegun, tooLarge) : end());
  }

  const overOpen = (before?.open ?? null) !== null;
  if (before !== null && policy.onUncertain === 'verify' && (overOpen || row.recipients.some(isUncertain))) {
    const verified = await verifyAttempt({ task, mail, before, attempted: notBegun, redirected }, tools);
    if (verified !== 'send') return verified;
  }
  const reservation = await reserveQuota(job.connector, mail, task.limits, task.transport, tools);
  if (reservation.kind === 'wait') return { write: null, next: reservation };
  const span = task.tracing === null ? null : beginAttempt(task.tracing, job, before, attempts + 1, tools);
  const traced = span === null ? tools : telling(tools, span.ids);
  const { now, worker } = tools;
  const { lock } = task;
  const trace = span?.traceparent;
  const fence = createFence(direct ?? tools.ledger, row, { lock, now, worker, overOpen, attempts, trace, ...to });
  const startedAt = tools.now();
  const context = { signal: task.signal, fence: fence.ask, ...placeOf(task) };
  const answered = await (span === null ? task.transport.send(mail, context) : sendTraced(span, task, mail, context));
  const token = fence.token();
  if (direct !== undefined && token === null && fence.error() === null) return elsewhere;
  // The server's answer must be kept even if Redis refuses this: the reservation then stays as it is.
  if (reservation.kind === 'reserved') {
    await reservation.settle(answered, token !== null).catch((thrown: unknown) => {
      traced.emit({ event: 'error', id: job.id, where: 'quota', detail: printable(asError(thrown).message, 500) });
    });
  }
  if (fence.error() !== null) {
    span?.end('fence');
    throw fence.error()!;
  }
  if (fence.answer() === 'listed') {
    tools.suppressions.noticed();
    return deliver(task, tools);
  }
  const told = spread(answered, task.delivery?.redirectTo ?? null, redirected);
  const outcome = isGuest(job) ? withoutUnfit(told) : told;
  const at = tools.now();
  const refusal = token === null ? null : openRefusalOf(outcome);
  const attributed = refusal === null ? null : await attribute(task, traced, refusal);
  const decision = decide({
    outcome,
    attributed,
    recipients: row.recipients,
    redirected,
    attempt: attempts + 1,
    now: at,
    deadline: row.deadline,
    policy,
    random: tools.random,
  });
  const [bytes, begunAt] = [sizeOf(mail), fence.begunAt()];
  const event = attemptEvent({ job, before, outcome: answered, decision, begunAt, endedAt: at, bytes });
  traced.emit(event);
  if (span !== null) endAttempt(span, event, errorTypeOf(task.transport.kind, answered));
  const made = { worker, bytes, ms: Math.max(0, at - (begunAt ?? at)), enhanced: enhancedCodes(outcome) };
  const counted = token === null ? attempts : attempts + 1;
  const attempted = { ...notBegun, token, attempts: counted, at, made, durationMs: at - startedAt };
  const unfit = outcome !== told;
  if (span === null) return follow(task, tools, { decision, outcome, unfit, fence, attempted });
  const followed = { decision, outcome, unfit, fence, attempted: { ...attempted, trace: span.traceparent } };
  return { ...(await follow(task, traced, followed)), trace: span.ids };
}

function enhancedCodes(outcome: Outcome): ReadonlyMap<string, string> {
  const recipients = outcome.kind === 'settled' ? outcome.recipients : [];
  return new Map(
    recipients.flatMap(({ address, reply }) => (reply.enhancedCode ? [[address, reply.enhancedCode]] : [])),
  );
}

const elsewhere: Delivery = { write: null, next: { kind: 'elsewhere' } };

function placeOf({ direct }: DeliverTask): Pick<SendContext, 'place'> {
  return direct === undefined ? {} : { place: direct.place };
}

/** What the ledger decides before anything is composed: an open attempt, a time in the future, a deadline in the past. */
function beforeAttempt(
  notBegun: Attempted,
  before: LedgerRow | null,
  { policy, delivery }: Pick<DeliverTask, 'policy' | 'delivery'>,
  tools: DeliverTools,
): Delivery | null {
  const { row, job, at: now } = notBegun;
  const open = before?.open ?? null;
  if (open !== null) {
    const lateAt = open.at + tools.lateResultMs;
    if (now < lateAt) return retryAt(lateAt);
    const detail = `the attempt of ${open.worker} ended without a result`;
    tools.emit({ event: 'uncertain', id: row.id, connector: job.connector, detail });
    if (policy.onUncertain === 'hold' || now >= row.deadline) {
      const isRedirected = (address: string): boolean =>
        (delivery?.redirectTo ?? null) !== null && delivery?.allows(address) === false;
      const late = now >= row.deadline;
      return ended(notBegun, leaveUncertain(withDoubt(row.recipients), detail, policy, late, isRedirected), tools);
    }
  }
  if (now >= row.deadline) return ended(notBegun, expire(row.recipients), tools);
  const rejected = before === null ? null : rejectedMeanwhile(before);
  if (rejected !== null) return ended(notBegun, believe(rejected), tools);
  // The worker died after it had written the retry into the ledger, and before the queue had it. A second is not worth another wait.
  if (before?.state === 'deferred' && before.retryAt !== null && before.retryAt > now + 1_000) {
    return retryAt(before.retryAt);
  }
  return null;
}

/** Asks the lane whose fault an open refusal is. */
async function attribute(
  { job, policy }: DeliverTask,
  tools: DeliverTools,
  refusal: Attributed['refusal'],
): Promise<Attributed> {
  const { id, connector } = job;
  const report = (thrown: unknown): void =>
    tools.emit({ event: 'error', id, where: 'attribution', detail: printable(asError(thrown).message, 500) });
  const accusation = accusationOf(id, refusal, policy, tools.random());
  try {
    const accuse = (): Promise<Attribution> => tools.attribution.accuse(connector, accusation);
    return { refusal, ...(await retryWhileRefused(accuse, report)) };
  } catch (thrown) {
    // Nothing is noted, and no canary message is called: the message is tried again at its time.
    report(thrown);
    return { refusal, verdict: 'aside', refusals: 1 };
  }
}

interface Followed {
  readonly decision: Decision;
  readonly outcome: Outcome;
  readonly unfit: boolean;
  readonly fence: Fence;
  readonly attempted: Attempted;
}

function follow(task: DeliverTask, tools: DeliverTools, followed: Followed): Delivery | Promise<Delivery> {
  const { decision, outcome, unfit, fence, attempted } = followed;
  switch (decision.kind) {
    case 'settle':
      return {
        write: settled(attempted, decision, tools.retentionMs(), tools.contentMs()),
        next: { kind: 'done', slowDownMs: slowDownOf(outcome) },
      };
    case 'retry':
      return {
        write: deferred(attempted, decision),
        next: { kind: 'retry', at: decision.at, slowDownMs: slowDownOf(outcome), unfit },
      };
    case 'set-aside': {
      const { at, fault } = decision;
      return { write: setAside(attempted, decision), next: { kind: 'set-aside', at, fault } };
    }
    case 'postpone': {
      const why = `${decision.fault}: ${decision.reply.text ?? ''}`;
      return { write: takenBack(attempted, why), next: { kind: 'postpone', decision } };
    }
    case 'stopped': {
      const write = takenBack(attempted, decision.why);
      const answer = fence.answer();
      if (decision.why === 'no-session') return handBack(write, 'no session');
      if (answer === 'lost') return handBack(write, 'lock lost');
      if (answer === 'paused') return handBack(write, 'paused');
      // The stop came before or after a fence that opened the attempt, or the ledger has an open attempt that this worker did not
      // know of: the next run reads the row.
      if (answer === null || answer === 'go' || answer === 'open') return handBack(write, 'stopping');
      return dropped(task, tools, { state: answer, setAside: false });
    }
    default:
      return unreachable(decision);
  }
}

function ended(attempted: Attempted, decision: Decision & { kind: 'settle' }, tools: DeliverTools): Delivery {
  return {
    write: settled(attempted, decision, tools.retentionMs(), tools.contentMs()),
    next: { kind: 'done', slowDownMs: null },
  };
}

function retryAt(at: number): Delivery {
  return { write: null, next: { kind: 'retry', at, slowDownMs: null } };
}

function handBack(write: LedgerWrite | null, why: HandBackReason): Delivery {
  return { write, next: { kind: 'hand-back', why } };
}

/** The ledger says that nothing is to be sent: the job ends. */
async function dropped(
  task: DeliverTask,
  tools: DeliverTools,
  { state, setAside }: Pick<LedgerRow, 'setAside'> & { readonly state: string },
): Promise<Delivery> {
  const { id, connector, message } = task.job;
  if (setAside) await tools.attribution.forget(connector, id);
  tools.emit({ event: 'dropped', id, connector, state });
  if (state === 'sent' || state === 'cancelled') await tools.contents.release(id, refsOf(message));
  return { write: null, next: { kind: 'done', slowDownMs: null } };
}

function isUncertain({ outcome }: RecipientState): boolean {
  return outcome === 'uncertain';
}

function slowDownOf(outcome: Outcome): number | null {
  return outcome.kind === 'settled' ? (outcome.slowDownMs ?? null) : null;
}
