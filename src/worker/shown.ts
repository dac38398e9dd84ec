/** What the row says of a message's content, for searches and for events. */
import type { Message } from '../message/message.ts';
import type { IndexSettings } from '../queue/journal/index-entries.ts';
import type { SealingTools } from './sealing-tools.ts';
import type { NewRow } from '../queue/ledger/ledger.ts';

/** Characters of a subject that are kept. */
const subjectLength = 120;

export function shownOf(
  { from, envelope, metadata, subject }: Message,
  index: IndexSettings | undefined,
  tools: Pick<SealingTools, 'sealing' | 'indexedMetadata'>,
): Pick<NewRow, 'from' | 'metadata' | 'subject'> {
  return {
    from: from?.address ?? envelope.from ?? null,
    metadata: metadata === undefined ? null : readableOf(metadata, tools),
    subject: index?.subject === true ? (subject?.slice(0, subjectLength) ?? null) : null,
  };
}

/** What is sealed with the message leaves its row, but for what it is found by. */
function readableOf(
  metadata: NonNullable<Message['metadata']>,
  { sealing, indexedMetadata }: Pick<SealingTools, 'sealing' | 'indexedMetadata'>,
): Readonly<Record<string, string>> | null {
  if (sealing().seal === null) return metadata;
  const entries = indexedMetadata().flatMap((key) => (Object.hasOwn(metadata, key) ? [[key, metadata[key]]] : []));
  return entries.length === 0 ? null : (Object.fromEntries(entries) as Record<string, string>);
}
