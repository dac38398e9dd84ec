/** Turns the answer of Graph, or its absence, into the outcome of the attempt: Graph takes or refuses a mail as a whole. Pure. */
import { unreachable } from '../../errors.ts';
import type { GraphAnswer } from './client.ts';
import { readAnswer } from './response.ts';
import { classifySocketFault } from '../socket-fault.ts';
import type { CheckResult, FaultClass, Outcome, RecipientOutcome, Reply, Scope } from '../transport.ts';

/** What a request is for: `submit` hands the mail over for sending; `prepare` is an earlier step, which never sends a copy. */
export type Purpose = 'submit' | 'prepare';

/** The same for all requests of one attempt. */
export interface AttemptFacts {
  readonly recipients: readonly string[];
  /** For the text of a Send As refusal. */
  readonly mailbox: string;
  readonly sender: string;
  /** The connector also sends from other mailboxes. */
  readonly isOneOfMany: boolean;
  /** ms since the epoch. */
  readonly now: number;
}

export function outcomeOf(answer: GraphAnswer, purpose: Purpose, facts: AttemptFacts): Outcome {
  switch (answer.kind) {
    case 'no-token': {
      const { fault, reply, pauseMs } = answer.failure;
      return connectorFault(fault, reply, pauseMs);
    }
    case 'no-answer': {
      const { stage, code, message } = answer.failure;
      const reply = { code, enhancedCode: null, text: message };
      if (stage === 'connect') return connectorFault(classifySocketFault(code), reply);
      if (stage === 'complete' && purpose === 'submit') {
        return settled(facts, 'uncertain', 'message', { ...reply, text: `no answer after the message: ${message}` });
      }
      // Graph has no complete message, so it has sent none. This message may be what makes the connection fail.
      return settled(facts, 'deferred', 'message', {
        ...reply,
        text: `no answer after a part of the message: ${message}`,
      });
    }
    case 'answer':
      return byAnswer(answer, purpose, facts);
    default:
      return unreachable(answer);
  }
}

function byAnswer(answer: Extract<GraphAnswer, { kind: 'answer' }>, purpose: Purpose, facts: AttemptFacts): Outcome {
  const { verdict, reply, retryAfterMs } = readAnswer(answer, facts.now);
  switch (verdict.kind) {
    case 'accepted': {
      // Accepted, with the request to slow down.
      const slowDown = retryAfterMs === null ? {} : { slowDownMs: retryAfterMs };
      return { ...settled(facts, purpose === 'submit' ? 'accepted' : 'deferred', 'message', reply), ...slowDown };
    }
    case 'fault': {
      if (verdict.ofMailbox === true && facts.isOneOfMany) return open(facts, verdict.fault, reply, retryAfterMs);
      const pauseMs = waits(verdict.fault) ? (retryAfterMs ?? verdict.pauseMs) : verdict.pauseMs;
      return connectorFault(verdict.fault, reply, pauseMs);
    }
    case 'rejected': {
      const said = verdict.sendAs === true ? namingBoth(reply, facts) : reply;
      const { tooLarge, unfit } = verdict;
      const cause = { ...(tooLarge === true ? { tooLarge } : {}), ...(unfit === true ? { unfit } : {}) };
      return settled(facts, 'rejected', verdict.scope, said, cause);
    }
    case 'deferred':
      return settled(facts, 'deferred', verdict.scope, reply, delay(retryAfterMs));
    case 'uncertain':
      return settled(facts, purpose === 'submit' ? 'uncertain' : 'deferred', 'message', reply, delay(retryAfterMs));
    default:
      return unreachable(verdict);
  }
}

/** Other messages, of other mailboxes, show whether it concerns this mailbox alone. It is tried again until its deadline. */
function open(facts: AttemptFacts, suspect: FaultClass, reply: Reply, pauseMs: number | null): Outcome {
  const refusal = { suspect, atSender: false, ...(pauseMs === null ? {} : { pauseMs }) };
  return settled(facts, 'deferred', 'connector', reply, { ...delay(pauseMs), open: refusal });
}

function waits(fault: FaultClass): boolean {
  return fault === 'throttled' || fault === 'quota';
}

function delay(retryAfterMs: number | null): { retryAfterMs?: number } {
  return retryAfterMs === null ? {} : { retryAfterMs };
}

function connectorFault(fault: FaultClass, reply: Reply, pauseMs?: number): Outcome {
  return { kind: 'connector-fault', fault, reply, ...(pauseMs === undefined ? {} : { pauseMs }) };
}

/** The same outcome for every recipient. */
export function settled(
  { recipients }: Pick<AttemptFacts, 'recipients'>,
  outcome: RecipientOutcome['outcome'],
  scope: Scope,
  reply: Reply,
  more: Pick<RecipientOutcome, 'tooLarge' | 'unfit' | 'retryAfterMs' | 'open'> = {},
): Extract<Outcome, { kind: 'settled' }> {
  return { kind: 'settled', recipients: recipients.map((address) => ({ address, outcome, scope, reply, ...more })) };
}

/** A refusal made here, before anything is on the wire. */
export function refusedHere(
  facts: Pick<AttemptFacts, 'recipients'>,
  text: string,
  tooLarge = false,
): Extract<Outcome, { kind: 'settled' }> {
  return settled(facts, 'rejected', 'message', { code: null, enhancedCode: null, text }, tooLarge ? { tooLarge } : {});
}

function namingBoth(reply: Reply, { mailbox, sender }: AttemptFacts): Reply {
  const text = `the mailbox ${mailbox} may not send as ${sender === '' ? '<>' : sender}; grant it Send As: ${reply.text ?? ''}`;
  return { ...reply, text };
}

/** The fault of the connector in an answer that concerns no mail; null if there is none. */
export function faultOf(answer: GraphAnswer, now: number): Extract<CheckResult, { ok: false }> | null {
  const outcome = outcomeOf(answer, 'prepare', {
    recipients: ['-'],
    mailbox: '',
    sender: '',
    isOneOfMany: false,
    now,
  });
  return outcome.kind === 'connector-fault' ? { ok: false, fault: outcome.fault, reply: outcome.reply } : null;
}
