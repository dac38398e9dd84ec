/** Composes the mail of one attempt: for the recipients that are left, and as a whole only where the transport needs it whole. */
import { PostlaneError } from '../../errors.ts';
import { composeMail } from '../../message/compose.ts';
import { contentSize } from '../../message/content.ts';
import type { RecipientState } from '../../queue/ledger/ledger.ts';
import type { OutgoingMail } from '../../transport/transport.ts';
import type { LedgerTools } from '../ledger-write.ts';
import type { DeliverTask } from './task.ts';

/** → the mail, or in words which stored content is missing. */
export async function composeFor(
  { job: { id, message, messageId, acceptedAt }, transport: { maxInMemoryBytes = Infinity } }: DeliverTask,
  left: readonly RecipientState[],
  { contents }: Pick<LedgerTools, 'contents'>,
): Promise<OutgoingMail | { readonly missing: string }> {
  try {
    const { attachments, raw } = message;
    const contentOf = contents.read.bind(contents);
    const options = { messageId, date: new Date(acceptedAt), boundarySeed: id, contentOf };
    const from = message.envelope.from ?? message.from?.address ?? '';
    const envelope = { from, to: left.map(({ address }) => address) };
    // A raw message cannot be separated into parts, so a transport that takes large mails only in parts cannot take it.
    if (raw !== undefined) return { id, envelope, bytes: await composeMail(message, options) };
    const structured = { message, contentOf, rangeOf: contents.range.bind(contents) };
    // Encoding only adds to this. A mail that is sent in parts is never in memory as a whole; its contents are verified first.
    const size = attachments.reduce((sum, attachment) => sum + contentSize(attachment), 0);
    if (size <= maxInMemoryBytes) return { id, envelope, bytes: await composeMail(message, options), structured };
    for (const attachment of attachments) await contents.verify(attachment);
    const { html: _html, ...rest } = message;
    const bytes = await composeMail({ ...rest, text: '', attachments: [] }, options);
    return { id, envelope, bytes, headerOnly: true, structured };
  } catch (error) {
    if (error instanceof PostlaneError && error.code === 'attachment-missing') return { missing: error.message };
    throw error;
  }
}
