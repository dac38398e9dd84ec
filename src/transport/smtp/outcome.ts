/** Turns what happened in a session into the outcome of the attempt. Pure; every recipient appears exactly once. */
import type { SmtpFailure } from './failure.ts';
import { withHint } from './hints.ts';
import { classifySocketFault } from '../socket-fault.ts';
import { createClassifier, type Classifier } from './classifier.ts';
import { isBelieved, openRefusal, suspectOf } from './open-refusals.ts';
import { parseReply } from './replies.ts';
import type { ReplyRule, SmtpPhase, Verdict } from './reply-table.ts';
import type { Leg } from './legs.ts';
import type { FaultClass, Outcome, RecipientOutcome, Reply } from '../transport.ts';

export interface OutcomeInput {
  /** All recipients of the mail, each once, in the order of the envelope. */
  readonly recipients: readonly string[];
  /** One transaction after the other; no recipient is in two of them. */
  readonly legs: readonly Leg[];
  /** Why those who are in none of them were not tried. */
  readonly untried: Reply | null;
  /** For the text of a Send As refusal: the login (null if there is none) and the sender. */
  readonly account: string | null;
  readonly sender: string;
  /** The operator's rules, tried before the table. */
  readonly rules: readonly ReplyRule[];
}

/** The fault of a session that could not be opened. */
export function faultOf(
  failure: SmtpFailure,
  rules: readonly ReplyRule[],
): { fault: FaultClass; reply: Reply; pauseMs?: number } {
  const { phase } = failure;
  const reply = withHint(failure.reply);
  if (failure.fault !== undefined) {
    const { fault, pauseMs } = failure;
    return { fault, reply, ...(pauseMs === undefined ? {} : { pauseMs }) };
  }
  if (!failure.answered) {
    const fault = reply.code === 'ENOAUTH' || reply.code === 'ECONFIG' ? 'config' : classifySocketFault(reply.code);
    return { fault, reply };
  }
  const verdict = createClassifier(rules)(phase, failure.reply);
  if (verdict.kind !== 'fault') return { fault: 'unreachable', reply };
  return { fault: verdict.fault, reply, ...(verdict.pauseMs === undefined ? {} : { pauseMs: verdict.pauseMs }) };
}

interface Input extends OutcomeInput {
  readonly classify: Classifier;
  readonly legOf: ReadonlyMap<string, Leg>;
}

interface Judged {
  readonly outcome: RecipientOutcome;
  /** The reply concerned the connector, not this recipient. */
  readonly fault: { readonly fault: FaultClass; readonly pauseMs?: number } | null;
  readonly slowDownMs: number | null;
}

export function outcomeOf(input: OutcomeInput): Outcome {
  const classify = createClassifier(input.rules);
  const legOf = new Map<string, Leg>();
  for (const leg of input.legs) for (const address of leg.to) legOf.set(address, leg);
  const judged = input.recipients.map((address) => judge(address, { ...input, classify, legOf }));
  const recipients = judged.map(({ outcome }) => outcome);
  const faults = judged.flatMap(({ fault, outcome }) => (fault === null ? [] : [{ ...fault, reply: outcome.reply }]));
  // A connector's fault is not the outcome of a recipient: the message waits unchanged. But if the server accepted or refused
  // some recipients for good, that stands, and the others are deferred. Those who may have a copy stand as well: an attempt that is
  // taken back leaves no mark, and their second copy would have none.
  const isDecided = recipients.some(({ outcome }) => outcome !== 'deferred');
  if (faults[0] !== undefined && !isDecided) return { kind: 'connector-fault', ...faults[0] };
  // What the server took in the same attempt speaks for the connector: what others were told is their own.
  if (recipients.some(({ outcome }) => outcome === 'accepted')) {
    return { kind: 'settled', recipients: recipients.map(asOwn) };
  }
  const pauses = judged.flatMap(({ slowDownMs, fault }) => slowDownMs ?? fault?.pauseMs ?? []);
  return { kind: 'settled', recipients, ...(pauses.length === 0 ? {} : { slowDownMs: Math.max(...pauses) }) };
}

function judge(address: string, input: Input): Judged {
  const leg = input.legOf.get(address);
  if (leg === undefined) return notTried(address, input.untried);
  const { refusedHere, transaction } = leg;
  const here = refusedHere.get(address);
  if (here !== undefined) return { outcome: here, fault: null, slowDownMs: null };
  const refused = transaction.refused.get(address);
  if (refused !== undefined) return byReply(address, 'rcpt', refused.reply, input);
  const { failure, reply, body } = transaction;
  if (failure === null) {
    if (reply !== null && body === 'complete' && transaction.taken.has(address)) {
      const said = parseReply(reply);
      return said.code === null ? unclear(address, said) : byReply(address, 'end-of-data', said, input);
    }
    return unknown(address, 'the server answered before the message had ended');
  }
  if (failure.answered) {
    // A reply to the end of data that is no refusal (noise, the reply to something else) leaves the result open.
    if (body === 'complete' && failure.phase === 'end-of-data' && !/^[45]/.test(failure.reply.code ?? '')) {
      return unclear(address, failure.reply);
    }
    const judged = byReply(address, failure.phase, failure.reply, input);
    // A failure whose reply is positive is no result at all.
    return judged.outcome.outcome === 'accepted' ? unknown(address, 'the server contradicts itself') : judged;
  }
  if (body === 'complete') {
    return plain({ address, outcome: 'uncertain', scope: 'message', reply: after('the end of data', failure) });
  }
  // The server has no complete message. If a body had begun, this body may be what makes the server fail.
  const answer = after(body === 'none' ? 'the beginning of the transaction' : 'a part of the message', failure);
  const open = openRefusal(failure.phase, answer, 'unreachable');
  return plain({ address, outcome: 'deferred', scope: body === 'none' ? 'connector' : 'message', reply: answer, open });
}

/** Others may have their copy already; nothing was on its way to this recipient. */
function notTried(address: string, why: Reply | null): Judged {
  const reply = { code: null, enhancedCode: null, text: `not tried yet: ${why?.text ?? 'the attempt ended before'}` };
  return plain({ address, outcome: 'deferred', scope: 'message', reply });
}

function unknown(address: string, text: string): Judged {
  return plain({ address, outcome: 'deferred', scope: 'message', reply: { code: null, enhancedCode: null, text } });
}

function unclear(address: string, reply: Reply): Judged {
  return plain({ address, outcome: 'uncertain', scope: 'message', reply });
}

function plain(outcome: RecipientOutcome): Judged {
  return { outcome, fault: null, slowDownMs: null };
}

function after(what: string, { reply }: SmtpFailure): Reply {
  return { ...reply, text: `no answer after ${what}: ${reply.text ?? 'connection lost'}` };
}

function byReply(address: string, phase: SmtpPhase, reply: Reply, input: Input): Judged {
  const verdict: Verdict = input.classify(phase, reply);
  if (verdict.kind === 'fault') return byFault(address, phase, reply, verdict);
  const { outcome, scope, slowDownMs } = verdict;
  const open = isOpen(phase, reply, verdict) ? openRefusal(phase, reply, suspectOf(reply)) : null;
  // A server names no time for what it refuses for good: a permanent code with a time is a limit.
  if (outcome === 'rejected' && open?.pauseMs !== undefined) {
    return byFault(address, phase, reply, { kind: 'fault', fault: 'throttled' });
  }
  // While nothing is known, the server's own delay counts, and not one that the table has for such a reply.
  const retryAfterMs = open === null ? verdict.retryAfterMs : open.pauseMs;
  return {
    outcome: {
      address,
      outcome,
      scope,
      reply: verdict.sendAs === true ? namingBoth(reply, input) : reply,
      ...(verdict.tooLarge === true ? { tooLarge: true } : {}),
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
      ...(open === null ? {} : { open }),
    },
    fault: null,
    slowDownMs: verdict.believed === true ? (slowDownMs ?? null) : null,
  };
}

function asOwn(recipient: RecipientOutcome): RecipientOutcome {
  const own: { -readonly [Key in keyof RecipientOutcome]: RecipientOutcome[Key] } = { ...recipient };
  delete own.open;
  return own;
}

function isOpen(phase: SmtpPhase, reply: Reply, verdict: Verdict & { kind: 'outcome' }): boolean {
  return verdict.outcome !== 'accepted' && !isBelieved(phase, reply, verdict);
}

/** Words that name a fault of the connector: if it turns out to be the message's own, its code decides. */
function byFault(address: string, phase: SmtpPhase, reply: Reply, verdict: Verdict & { kind: 'fault' }): Judged {
  const { fault, pauseMs, believed } = verdict;
  const hinted = withHint(reply);
  if (believed === true) {
    const delay = pauseMs === undefined ? {} : { retryAfterMs: pauseMs };
    const known = { fault, ...(pauseMs === undefined ? {} : { pauseMs }) };
    return {
      outcome: { address, outcome: 'deferred', scope: 'connector', reply: hinted, ...delay },
      fault: known,
      slowDownMs: null,
    };
  }
  const isTemporary = reply.code?.startsWith('5') !== true || fault === 'throttled' || fault === 'quota';
  const open = openRefusal(phase, reply, fault);
  const delay = open.pauseMs === undefined || !isTemporary ? {} : { retryAfterMs: open.pauseMs };
  return plain({
    address,
    outcome: isTemporary ? 'deferred' : 'rejected',
    scope: 'connector',
    reply: hinted,
    ...delay,
    open,
  });
}

function namingBoth(reply: Reply, { account, sender }: OutcomeInput): Reply {
  const who = account === null ? 'an unauthenticated session' : `the account ${account}`;
  return { ...reply, text: `${who} may not send as ${sender === '' ? '<>' : sender}: ${reply.text ?? ''}` };
}
