/** Which sent message a report is about, and which of its recipients: pure. The caller looks the clues up. */
import { domainToASCII } from 'node:url';
import type { Report } from './report.ts';
import type { ReportedRecipient } from './recipient.ts';

/** A message that was sent, as far as a report is compared with it. */
export interface SentMessage {
  readonly id: string;
  readonly recipients: readonly string[];
}

/** Why a report changes nothing. `stranger`: it names only recipients that the message was not sent to, so it may be forged. */
export type Unmatched = 'no-report' | 'no-clue' | 'unknown' | 'ambiguous' | 'stranger';

export type Match =
  | { readonly kind: 'matched'; readonly id: string; readonly recipients: readonly ReportedRecipient[] }
  | { readonly kind: 'unmatched'; readonly why: Unmatched };

/** One step of the search: values that are looked up together. Two messages in one step are none. */
export interface ClueStep {
  /** `message`: Message-IDs and ids from replies to the end of data. `id`: ids of ours, out of a return path. */
  readonly by: 'message' | 'id';
  readonly values: readonly string[];
}

/** What to look up, the surest first. A step is asked only where the one before found nothing. `idIn`: of a return path; null if it is none. */
export function stepsOf({ clues }: Report, idIn: (address: string) => string | null): ClueStep[] {
  const ids = clues.sentTo.flatMap((address) => idIn(address) ?? []);
  const steps: ClueStep[] = [
    { by: 'message', values: [...clues.messageIds, ...clues.envelopeIds] },
    { by: 'id', values: ids },
    { by: 'message', values: clues.queueIds },
    // A thread may name several of our mails; the report answers to one, which comes first.
    ...clues.threadIds.map((id): ClueStep => ({ by: 'message', values: [id] })),
  ];
  return steps.filter(({ values }) => values.length > 0);
}

/** `found`: the messages that the first step with any found; null where there was no step. */
export function matched(report: Report, found: readonly SentMessage[] | null): Match {
  if (!['report', 'delay', 'delivered', 'complaint'].includes(report.kind)) return unmatched('no-report');
  if (found === null) return unmatched('no-clue');
  const messages = new Map(found.map((message) => [message.id, message]));
  const [message] = messages.values();
  if (message === undefined) return unmatched('unknown');
  if (messages.size > 1) return unmatched('ambiguous');
  const own = new Set(message.recipients.map(folded));
  const recipients = report.recipients.filter(({ recipient }) => recipient !== null && own.has(folded(recipient)));
  return recipients.length === 0 ? unmatched('stranger') : { kind: 'matched', id: message.id, recipients };
}

function unmatched(why: Unmatched): Match {
  return { kind: 'unmatched', why };
}

/** Servers change the case of letters, and write a domain as A-label or as it is read. */
export function folded(address: string): string {
  const at = address.lastIndexOf('@');
  const domain = address.slice(at + 1);
  return `${address.slice(0, at)}@${domainToASCII(domain) || domain}`.toLowerCase();
}
