/** Which refusals within a transaction are open: their words do not show whether they concern the mail or the connector. Pure. */
import { askedDelayMs } from '../retry-hint.ts';
import type { FaultClass, OpenRefusal, Reply } from '../transport.ts';
import type { SmtpPhase, Verdict } from './reply-table.ts';

export function openRefusal(phase: SmtpPhase, reply: Reply, suspect: FaultClass | null): OpenRefusal {
  const pauseMs = reply.text === null ? null : askedDelayMs(reply.text);
  return { suspect, atSender: phase === 'mail', ...(pauseMs === null ? {} : { pauseMs }) };
}

/** RFC 3463: the recipient's address or mailbox, at any digit; the size of the message. Provider pages are in the reply table. */
const ownCodes = /^[45]\.(?:1\.(?:[1-6]|10)|2\.\d{1,3}|3\.4|5\.3)$/;
const recipientWords =
  /\b(?:no such (?:user|mailbox|recipient|person)|(?:user|recipient|mailbox|address)(?: address)?(?: \S+)? (?:is )?(?:unknown|not found|unavailable|disabled|full|does ?n.t exist|over quota|rejected)|unknown (?:user|recipient|mailbox)|invalid (?:recipient|mailbox)|unrouteable address|mailbox full|does not exist)/i;
const senderWords = /\b(?:sender|host|helo|relay|blocklist|block list|blacklist|reputation|client|ip)\b|listed/i;

/** Whether a refusal speaks of this mail or of a recipient: it is believed at once. */
export function isBelieved({ enhancedCode, text }: Reply, verdict: Verdict & { kind: 'outcome' }): boolean {
  if (verdict.believed === true || verdict.sendAs === true || verdict.tooLarge === true) return true;
  if (ownCodes.test(enhancedCode ?? '')) return true;
  // RFC 6647 section 5: greylisting is for each triple of host, sender and recipient.
  if (/gr[ae]y-?list/i.test(text ?? '')) return true;
  return recipientWords.test(text ?? '') && !senderWords.test(text ?? '');
}
