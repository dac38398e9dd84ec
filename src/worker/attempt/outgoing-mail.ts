/** Composes the mail of one attempt: for the recipients that are left, and as a whole only where the transport needs it whole. */
import { PostlaneError } from '../../errors.ts';
import { composeMail } from '../../message/compose.ts';
import { contentSize } from '../../message/content.ts';
import { readyAt } from '../../message/identity.ts';
import type { Message } from '../../message/message.ts';
import type { RecipientState } from '../../queue/ledger/ledger.ts';
import type { OutgoingMail } from '../../transport/transport.ts';
import type { LedgerTools } from '../ledger-write.ts';
import type { DeliverTask } from './task.ts';

/** Why there is no mail, in words. */
export interface NoMail {
  readonly reason: 'invalid-message' | 'too-large';
  readonly why: string;
}

function withoutContent({ html: _html, ...message }: Message): Message {
  return { ...message, text: '', attachments: [] };
}

/** → the mail, or why there is none: stored content is missing, SMTP cannot carry the message, or it is larger than `message.maxSize`. */
export async function composeFor(
  { job: { id, message, messageId, acceptedAt }, transport: { maxInMemoryBytes = Infinity }, maxBytes }: DeliverTask,
  left: readonly RecipientState[],
  { contents }: Pick<LedgerTools, 'contents'>,
): Promise<OutgoingMail | NoMail> {
  try {
    const { attachments, raw } = message;
    const contentOf = contents.read.bind(contents);
    const options = { messageId, date: new Date(readyAt(message, acceptedAt)), boundarySeed: id, contentOf, maxBytes };
    const from = message.envelope.from ?? message.from?.address ?? '';
    const envelope = { from, to: left.map(({ address }) => address) };
    const structured = { message, contentOf, rangeOf: contents.range.bind(contents) };
    // Encoding only adds to this. A mail that is sent in parts is never in memory as a whole; its contents are verified first.
    const size = attachments.reduce((sum, attachment) => sum + contentSize(attachment), 0);
    const isWhole = raw !== undefined || size <= maxInMemoryBytes;
    if (!isWhole) for (const attachment of attachments) await contents.verify(attachment);
    const composed = await composeMail(isWhole ? message : withoutContent(message), options);
    if (!composed.ok) {
      const isTooLarge = composed.reason === 'too-large';
      const where = isTooLarge ? ' (message.maxSize)' : '';
      return { reason: isTooLarge ? 'too-large' : 'invalid-message', why: `the message ${composed.problem}${where}` };
    }
    const mail = { id, envelope, bytes: composed.value };
    // A raw message is what its bytes say; a transport that takes large mails only in parts takes these apart.
    if (raw !== undefined) return mail;
    return isWhole ? { ...mail, structured } : { ...mail, headerOnly: true, structured };
  } catch (error) {
    if (error instanceof PostlaneError && error.code === 'attachment-missing')
      return { reason: 'invalid-message', why: error.message };
    throw error;
  }
}
