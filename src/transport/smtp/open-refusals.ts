/** Which refusals within a transaction are open: their words do not show whether they concern the mail or the connector. Pure. */
import { askedDelayMs } from '../retry-hint.ts';
import type { FaultClass, OpenRefusal, Reply } from '../transport.ts';
import { believedOf, topicsOf } from './reply-topics.ts';
import type { SmtpPhase, Verdict } from './reply-table.ts';

export function openRefusal(phase: SmtpPhase, reply: Reply, suspect: FaultClass | null): OpenRefusal {
  const pauseMs = reply.text === null ? null : askedDelayMs(reply.text);
  return { suspect, atSender: phase === 'mail', ...(pauseMs === null ? {} : { pauseMs }) };
}

/** A temporary refusal in words of a rate, whatever its code, is a server that throttles. */
export function suspectOf({ code, text }: Reply): FaultClass | null {
  return code?.startsWith('4') === true && topicsOf(text ?? '').topics.has('rate') ? 'throttled' : null;
}

/** Whom a refusal is believed to speak of at once; null if it is open. What the table blames on the connector, only other messages clear. */
export function beliefOf(phase: SmtpPhase, reply: Reply, verdict: Verdict): 'recipient' | 'message' | null {
  if (verdict.kind === 'fault') return null;
  if (verdict.sendAs === true && !namesHost(reply)) return 'message';
  return believedOf(phase, reply);
}

/** Whether a refusal is believed at once. An operator's own rule always is. */
export function isBelieved(phase: SmtpPhase, reply: Reply, verdict: Verdict & { kind: 'outcome' }): boolean {
  return verdict.believed === true || beliefOf(phase, reply, verdict) !== null;
}

/** "Not allowed to send from this IP address" is said of all mail. Exchange calls the login a client. */
function namesHost({ text }: Reply): boolean {
  if (/SendAsDenied|send as this|not owned by/i.test(text ?? '')) return false;
  const { topics } = topicsOf(text ?? '');
  return (['host', 'list', 'relay', 'rate'] as const).some((topic) => topics.has(topic));
}
