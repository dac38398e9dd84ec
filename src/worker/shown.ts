/** What the row says of a message's content, for searches and for events. */
import type { Message } from '../message/message.ts';
import type { IndexSettings } from '../queue/journal/index-entries.ts';
import type { NewRow } from '../queue/ledger/ledger.ts';

/** Characters of a subject that are kept. */
const subjectLength = 120;

export function shownOf(
  { from, envelope, metadata, subject }: Message,
  index: IndexSettings | undefined,
): Pick<NewRow, 'from' | 'metadata' | 'subject'> {
  return {
    from: from?.address ?? envelope.from ?? null,
    metadata: metadata ?? null,
    subject: index?.subject === true ? (subject?.slice(0, subjectLength) ?? null) : null,
  };
}
