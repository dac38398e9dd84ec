/**
 * The one place that decides what follows from an attempt: done, retry at a time, postpone the lane, or dead. Pure.
 *
 * Default schedule, delay before attempt n+1: 30–45 s, 1–1.5 min, 2–3 min, 4–6 min, 8–12 min, 16–24 min, 32–48 min, then
 * 40–60 min each, until the lifetime of 24 h ends: some 30 attempts.
 */
import type { DeadReason, DeadRecipient } from '../../queue/ledger/dead-letters.ts';
import { isDelivered, isDone, type LedgerState, type RecipientState } from '../../queue/ledger/ledger.ts';
import type { SendPolicy } from '../settings.ts';
import type { FaultClass, Outcome, RecipientOutcome, Reply, StopReason } from '../../transport/transport.ts';
import { unreachable } from '../../errors.ts';
import { defaultAttributeWithinMs, faultOf, type Attributed } from './attribution.ts';

export type Decision =
  /** Nothing is left to try: the end, or `held` for an operator. `dead` lists the recipients of the dead letter, if any. */
  | {
      readonly kind: 'settle';
      readonly state: LedgerState;
      readonly recipients: readonly RecipientState[];
      readonly reason: DeadReason | null;
      readonly dead: readonly DeadRecipient[];
    }
  | { readonly kind: 'retry'; readonly recipients: readonly RecipientState[]; readonly at: number }
  /** The cause of a refusal is open, or it is the connector's: the message waits aside, and the lane goes on or pauses. */
  | {
      readonly kind: 'set-aside';
      readonly recipients: readonly RecipientState[];
      readonly at: number;
      readonly fault: FoundFault | null;
      /** It is not the loss of a connection: a fault from before is over. */
      readonly serverAnswered: boolean;
    }
  | { readonly kind: 'postpone'; readonly fault: FaultClass; readonly reply: Reply; readonly toldMs: number | null }
  | { readonly kind: 'stopped'; readonly why: StopReason };

/** A fault of the connector, with what the server said and the delay that it asked for. */
export interface FoundFault {
  readonly fault: FaultClass;
  readonly reply: Reply;
  readonly toldMs: number | null;
}

export interface Attempt {
  readonly outcome: Outcome;
  /** What other messages say of its refusal; null if there is none, or nothing about it is open. */
  readonly attributed: Attributed | null;
  /** All recipients that the message concerns, with their outcomes so far. */
  readonly recipients: readonly RecipientState[];
  /** Whose copy went to another address. */
  readonly redirected?: ReadonlySet<string>;
  /** This attempt's number, from 1. */
  readonly attempt: number;
  readonly now: number;
  /** ms since the epoch; no attempt begins at or after it. */
  readonly deadline: number;
  readonly policy: SendPolicy;
  /** 0 ≤ random() < 1. */
  readonly random: () => number;
}

export function decide(attempt: Attempt): Decision {
  const { outcome } = attempt;
  switch (outcome.kind) {
    case 'settled':
      return decideAside(attempt, outcome.recipients) ?? decideSettled(attempt, outcome.recipients);
    case 'connector-fault':
      return { kind: 'postpone', fault: outcome.fault, reply: outcome.reply, toldMs: outcome.pauseMs ?? null };
    case 'stopped':
      return { kind: 'stopped', why: outcome.why };
    default:
      return unreachable(outcome);
  }
}

/** Null if the outcome is believed: it is the message's own. Where no time is left for another try, it waits until its deadline. */
function decideAside(attempt: Attempt, outcomes: readonly RecipientOutcome[]): Decision | null {
  const { attributed, now, policy, deadline } = attempt;
  if (attributed === null || attributed.verdict === 'own') return null;
  const { verdict, refusal } = attributed;
  const told = refusal.open.pauseMs ?? null;
  // A plain permanent refusal is not repeated before the end of the hold: nothing in it asks for that.
  const waits = refusal.class === '5' && verdict === 'aside';
  const scheduled = waits ? (policy.attributeWithinMs ?? defaultAttributeWithinMs) : asideDelayMs(attempt, attributed);
  const at = lastChance(now + (told ?? scheduled), now, deadline) ?? deadline;
  const open = new Set(outcomes.flatMap((outcome) => (outcome.open === undefined ? [] : [outcome.address])));
  const recipients = after(attempt, outcomes).map((recipient): RecipientState =>
    open.has(recipient.address) && recipient.outcome === 'rejected' ? { ...recipient, outcome: 'deferred' } : recipient,
  );
  const fault = verdict === 'fault' ? { fault: faultOf(refusal), reply: refusal.reply, toldMs: told } : null;
  return { kind: 'set-aside', recipients, at, fault, serverAnswered: refusal.open.suspect !== 'unreachable' };
}

/**
 * The schedule, but where the server throttles: if no other message waits, this one shows that the server takes mail again. Beside
 * others, it returns with the first that is accepted.
 */
function asideDelayMs({ policy, random }: Attempt, { verdict, refusals, refusal }: Attributed): number {
  const scheduled = retryDelayMs(refusals, policy, random);
  if (verdict === 'aside' || faultOf(refusal) !== 'throttled') return scheduled;
  return Math.min(scheduled, throttledAsideMs * 2 ** Math.min(refusals - 1, 20));
}

function after({ recipients, redirected }: Attempt, outcomes: readonly RecipientOutcome[]): RecipientState[] {
  const byAddress = new Map(outcomes.map((outcome) => [outcome.address, outcome]));
  return recipients.map((before): RecipientState => {
    const outcome = byAddress.get(before.address);
    if (outcome === undefined || isDone(before)) return before;
    const { code, text } = outcome.reply;
    const { address } = before;
    if (redirected?.has(address) !== true) return { address, outcome: outcome.outcome, code, reply: text };
    if (outcome.outcome === 'accepted') return { address, outcome: 'redirected', code, reply: text };
    const state = { address, outcome: outcome.outcome, code, reply: text };
    return outcome.outcome === 'uncertain' ? { ...state, elsewhere: true } : state;
  });
}

function decideSettled(attempt: Attempt, outcomes: readonly RecipientOutcome[]): Decision {
  const byAddress = new Map(outcomes.map((outcome) => [outcome.address, outcome]));
  const recipients = after(attempt, outcomes);
  const { policy } = attempt;
  const again = recipients.filter(
    ({ outcome }) =>
      outcome === 'deferred' || outcome === 'pending' || (outcome === 'uncertain' && policy.onUncertain !== 'hold'),
  );
  if (again.length > 0) {
    const told = Math.max(...again.map(({ address }) => byAddress.get(address)?.retryAfterMs ?? 0));
    const delay = told > 0 ? told : retryDelayMs(attempt.attempt, policy, attempt.random);
    const at = lastChance(attempt.now + delay, attempt.now, attempt.deadline);
    if (at !== null) return { kind: 'retry', recipients, at };
  }
  if (recipients.some(isUncertain)) return uncertainEnd(recipients, holds(policy));
  if (again.length > 0) return end(recipients, 'expired');
  return end(recipients, outcomes.some(({ tooLarge }) => tooLarge === true) ? 'too-large' : 'rejected');
}

/** The outcome of a message that was set aside, once a later one has shown that its permanent refusal is its own. */
export function believe(recipients: readonly RecipientState[]): Decision & { kind: 'settle' } {
  return end(recipients, 'rejected');
}

/** The outcome of a message without a recipient who may get a copy. One that an attempt may have reached is for an operator. */
export function noneLeft(recipients: readonly RecipientState[], policy: SendPolicy): Decision & { kind: 'settle' } {
  return recipients.some(isUncertain) ? uncertainEnd(recipients, holds(policy)) : end(recipients, 'rejected');
}

/** The outcome of a message whose deadline passed before an attempt. */
export function expire(recipients: readonly RecipientState[]): Decision & { kind: 'settle' } {
  return end(recipients, recipients.some(isUncertain) ? 'uncertain' : 'expired');
}

/** The outcome of a message that cannot be sent for its own reason: no remaining recipient gets it. */
export function giveUp(
  recipients: readonly RecipientState[],
  reason: DeadReason,
  why: string,
): Decision & { kind: 'settle' } {
  const left = recipients.map((recipient): RecipientState =>
    isDone(recipient) ? recipient : { ...recipient, outcome: 'rejected', reply: why },
  );
  return end(left, reason);
}

/** The outcome of a message whose last attempt has no result and is not repeated: held, or dead after its deadline. */
export function leaveUncertain(
  recipients: readonly RecipientState[],
  why: string,
  policy: SendPolicy,
  pastDeadline: boolean,
  isRedirected: (address: string) => boolean,
): Decision & { kind: 'settle' } {
  const marked = recipients.map((recipient): RecipientState =>
    isDone(recipient) || recipient.outcome === 'rejected'
      ? recipient
      : { ...asUncertain(recipient, isRedirected), reply: why },
  );
  return uncertainEnd(marked, holds(policy) && !pastDeadline);
}

/** What was noted when the attempt failed stands; of an attempt without a result, the rules of now are all that is known. */
export function asUncertain(
  { address, code, reply, outcome, elsewhere: noted }: RecipientState,
  isRedirected: (address: string) => boolean,
): RecipientState {
  const state = { address, outcome: 'uncertain', code, reply } as const;
  const elsewhere = outcome === 'uncertain' ? noted === true : isRedirected(address);
  return elsewhere ? { ...state, elsewhere } : state;
}

/** The outcome of a message that was found to have been sent: all remaining recipients have it, or who gets their copies. */
export function foundSent(
  recipients: readonly RecipientState[],
  redirected: ReadonlySet<string>,
): Decision & { kind: 'settle' } {
  const found = recipients.map((recipient): RecipientState => {
    if (isDone(recipient) || recipient.outcome === 'rejected') return recipient;
    const outcome = redirected.has(recipient.address) ? 'redirected' : 'accepted';
    return { ...recipient, outcome, reply: 'found among the sent items' };
  });
  return end(found, 'rejected');
}

function holds({ onUncertain, onUnverified }: SendPolicy): boolean {
  return onUncertain === 'hold' || (onUncertain === 'verify' && onUnverified !== 'retry');
}

function uncertainEnd(recipients: readonly RecipientState[], hold: boolean): Decision & { kind: 'settle' } {
  const decision = end(recipients, 'uncertain');
  return hold ? { ...decision, state: 'held' } : decision;
}

function end(recipients: readonly RecipientState[], reason: DeadReason): Decision & { kind: 'settle' } {
  const failed = recipients.filter((recipient) => !isDone(recipient));
  const isAny = recipients.some(isDelivered);
  if (failed.length === 0 && isAny) return { kind: 'settle', state: 'sent', recipients, reason: null, dead: [] };
  // All are suppressed.
  const dead = failed.length === 0 ? recipients : failed;
  return {
    kind: 'settle',
    state: isAny ? 'partial' : 'dead',
    recipients,
    reason: failed.length === 0 ? 'suppressed' : reason,
    dead: dead.map(({ address, code, reply }) => ({ address, code, reply })),
  };
}

function isUncertain({ outcome }: RecipientState): boolean {
  return outcome === 'uncertain';
}

/**
 * Exponential from the first delay, doubled each time, spread over half as much again so that messages deferred together do
 * not come back together. Never outside of [firstDelayMs, maxDelayMs]. RFC 5321 section 4.5.4.1 asks for 30 minutes between
 * tries of a relay; transactional mail is worth more haste at first, and greylisting opens after minutes.
 */
export function retryDelayMs(
  attempt: number,
  { firstDelayMs, maxDelayMs }: Pick<SendPolicy, 'firstDelayMs' | 'maxDelayMs'>,
  random: () => number,
): number {
  const grown = firstDelayMs * 2 ** Math.min(Math.max(attempt, 1) - 1, 40);
  const highest = Math.min(grown * 1.5, maxDelayMs);
  const lowest = Math.max(Math.min(grown, maxDelayMs / 1.5), Math.min(firstDelayMs, maxDelayMs));
  return Math.round(lowest + Math.max(0, highest - lowest) * random());
}

/** Half a minute before the deadline is worth one last try; after that nothing is. null: there is no time left. */
const lastTryBeforeMs = 30_000;

function lastChance(at: number, now: number, deadline: number): number | null {
  if (at < deadline) return at;
  const last = deadline - lastTryBeforeMs;
  return last - now >= lastTryBeforeMs ? last : null;
}

/** How long a connector's lane pauses after its first fault, and at most; doubled each time. A time that the server asks for wins. */
export const faultPauses: Readonly<Record<FaultClass, { readonly firstMs: number; readonly longestMs: number }>> = {
  unreachable: { firstMs: 5_000, longestMs: 300_000 },
  tls: { firstMs: 30_000, longestMs: 900_000 },
  // Each try is a failed login; providers lock accounts after some ten (FluentSMTP #214).
  auth: { firstMs: 60_000, longestMs: 3_600_000 },
  throttled: { firstMs: 10_000, longestMs: 300_000 },
  // Daily windows slide; asking each quarter of an hour finds the end soon enough.
  quota: { firstMs: 900_000, longestMs: 3_600_000 },
  blocked: { firstMs: 300_000, longestMs: 3_600_000 },
  config: { firstMs: 30_000, longestMs: 900_000 },
};

/**
 * The first pause after refusals of several messages. One that blocks everything is looked at by someone, and a false alarm must not
 * cost much. A server that counts messages is tried again soon, so that its rate is found; one that says 421 closes the connection
 * because it is short of something else (RFC 5321 section 3.8).
 */
const foundPauses = { blockedMs: 60_000, throttledMs: 1_000 } as const;

/** Until the first further try of a message whose refusal has shown that the server throttles; doubled each time. */
const throttledAsideMs = 2_000;

/** `found`: refusals of several messages have shown the fault. */
export function firstPauseMs(fault: FaultClass, found: boolean, { code }: Reply): number {
  if (found && fault === 'blocked') return foundPauses.blockedMs;
  if (found && fault === 'throttled' && code !== '421') return foundPauses.throttledMs;
  return faultPauses[fault].firstMs;
}

/** How long a number of messages at once that was too much for a server is not tried again, at most. */
export const longestHoldMs = 3_600_000;
