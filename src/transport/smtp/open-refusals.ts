/** Which refusals within a transaction are open: their words do not show whether they concern the mail or the connector. Pure. */
import { askedDelayMs } from '../retry-hint.ts';
import type { FaultClass, OpenRefusal, Reply } from '../transport.ts';
import { believedOf } from './reply-topics.ts';
import type { SmtpPhase, Verdict } from './reply-table.ts';

export function openRefusal(phase: SmtpPhase, reply: Reply, suspect: FaultClass | null): OpenRefusal {
  const pauseMs = reply.text === null ? null : askedDelayMs(reply.text);
  return { suspect, atSender: phase === 'mail', ...(pauseMs === null ? {} : { pauseMs }) };
}

/** Whether a refusal speaks of this mail or of a recipient: it is believed at once. An operator's own rule always is. */
export function isBelieved(phase: SmtpPhase, reply: Reply, verdict: Verdict & { kind: 'outcome' }): boolean {
  if (verdict.believed === true || verdict.sendAs === true) return true;
  return believedOf(phase, reply) !== null;
}
