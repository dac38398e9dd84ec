/** Decides how a mail goes through Graph: which mailbox, and which of four ways. Pure, and the same each time for a mail. */
import { readRawHeader } from '../../message/raw.ts';
import { onlyWhole, tooLargeForGraph, tooLargeWhole } from './large.ts';
import { mimeBytes, rawMimeBytes } from './limits.ts';
import { addressTo } from './mime.ts';
import { refusedHere, type AttemptFacts } from './outcome.ts';
import type { GraphSettings } from './settings.ts';
import type { Outcome, OutgoingMail, Structured } from '../transport.ts';

/** Finished bytes. `mime`: in one request. `apart`: too large for one, so in parts, as `large`. */
export interface MimePlan {
  readonly kind: 'mime' | 'apart';
  readonly facts: AttemptFacts;
  readonly messageId: string | null;
  readonly bytes: Buffer;
}

/** `json`: one request, without a copy in Sent Items. `large`: a draft, its attachments one by one, and the request to send it. */
export interface StructuredPlan {
  readonly kind: 'json' | 'large';
  readonly facts: AttemptFacts;
  readonly messageId: string | null;
  readonly structured: Structured;
}

export type Plan = { readonly kind: 'refused'; readonly outcome: Outcome } | MimePlan | StructuredPlan;

/** `addresses`: of the connector, as configured; none if they are not known. `now`: ms since the epoch. */
export function planOf(mail: OutgoingMail, settings: GraphSettings, addresses: readonly string[], now: number): Plan {
  const recipients = [...new Set(mail.envelope.to)];
  const refused = (text: string, tooLarge = false): Plan => ({
    kind: 'refused',
    outcome: refusedHere({ recipients }, text, tooLarge),
  });
  const header = readRawHeader(mail.bytes);
  if (!header.ok) return refused(`the message ${header.problem}`);
  const { from, messageId } = header.value;
  if (!from.ok) return refused(`the message ${from.problem}`);
  const sender = from.value?.address ?? mail.envelope.from ?? '';
  const mailbox = settings.mailbox ?? sender;
  if (mailbox === '') return refused('the message has no From, and the connector no mailbox to send it through');
  const isOneOfMany =
    settings.mailbox === null && addresses.some((address) => address.toLowerCase() !== mailbox.toLowerCase());
  const facts = { recipients, mailbox, sender, isOneOfMany, now };
  const structured = mail.structured?.message.raw === undefined ? mail.structured : undefined;
  const size = mail.bytes.length;
  if (structured === undefined && size > rawMimeBytes) return { kind: 'apart', facts, messageId, bytes: mail.bytes };
  const whole = structured === undefined ? null : onlyWhole(structured.message);
  if (whole !== null && (mail.headerOnly === true || size > rawMimeBytes)) return refused(tooLargeWhole(whole), true);
  if (structured !== undefined && whole === null && (mail.headerOnly === true || size > mimeBytes)) {
    const problem = tooLargeForGraph(structured.message);
    return problem === null ? { kind: 'large', facts, messageId, structured } : refused(problem, true);
  }
  if (structured !== undefined && whole === null && !settings.saveToSentItems)
    return { kind: 'json', facts, messageId, structured };
  const addressed = addressTo(mail.bytes, recipients);
  if (!addressed.ok) return refused(`the message ${addressed.problem}`);
  return { kind: 'mime', facts, messageId, bytes: addressed.bytes };
}
