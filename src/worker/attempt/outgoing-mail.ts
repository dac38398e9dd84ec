/** Composes the mail of one attempt: for the recipients that are left, and as a whole only where the transport needs it whole. */
import { PostlaneError } from '../../errors.ts';
import { routingKey } from '../../message/address.ts';
import { composeMail } from '../../message/compose.ts';
import { contentSize } from '../../message/content.ts';
import { readyAt } from '../../message/identity.ts';
import type { Message } from '../../message/message.ts';
import type { OutgoingMail } from '../../transport/transport.ts';
import { signMail, type DkimSettings } from '../../message/dkim.ts';
import { originalToLine, withOriginalTo } from '../../message/original-to.ts';
import { returnPath } from '../../message/return-path.ts';
import { fitWithoutEightBit } from '../../message/transfer.ts';
import type { Addressees } from './addressees.ts';
import type { DeliverTask, DeliverTools } from './task.ts';

/** Why there is no mail, in words. */
export interface NoMail {
  readonly reason: 'invalid-message' | 'too-large';
  readonly why: string;
}

/** Who reads reports finds the message by its Message-ID. */
function dsnOf({ dsn }: Message, messageId: string | null): Pick<OutgoingMail, 'dsn'> {
  if (dsn === undefined) return {};
  return { dsn: { ...dsn, envelopeId: messageId?.replace(/^<(.*)>$/, '$1') ?? null } };
}

/** A sender who wants reports elsewhere, or none at all (the null reverse-path), has said so. */
function mayReplace(sender: string, { from }: Message): boolean {
  return from !== undefined && routingKey(sender) === routingKey(from.address);
}

/**
 * Last, as nothing may be changed after it: so in the form that every server takes (RFC 6376 section 5.3), which the transport leaves as it is.
 * Its price: a recipient in To or Cc whose address is not ASCII is not named there, also at servers with SMTPUTF8.
 */
async function signed(bytes: Buffer, dkim: DkimSettings): Promise<Buffer> {
  const fitted = await fitWithoutEightBit(bytes, { eightBitMime: false, smtpUtf8: true });
  return signMail(fitted.bytes, dkim);
}

function withoutContent({ html: _html, alternatives: _forms, calendarEvent: _event, ...message }: Message): Message {
  return { ...message, text: '', attachments: [] };
}

/** → the mail, or why there is none: stored content is missing, SMTP cannot carry the message, or it is larger than `message.maxSize`. */
export async function composeFor(
  {
    job: { id, message: asItCame, messageId, acceptedAt },
    transport: { maxInMemoryBytes = Infinity },
    bouncePath,
    dkim,
    maxBytes,
  }: DeliverTask,
  { envelope: to, redirected }: Pick<Addressees, 'envelope' | 'redirected'>,
  { contents, returnPathKey }: Pick<DeliverTools, 'contents' | 'returnPathKey'>,
): Promise<OutgoingMail | NoMail> {
  try {
    const message = withOriginalTo(asItCame, redirected);
    const { attachments, raw } = message;
    const contentOf = contents.read.bind(contents);
    const options = { messageId, date: new Date(readyAt(message, acceptedAt)), boundarySeed: id, contentOf, maxBytes };
    const sender = message.envelope.from ?? message.from?.address ?? '';
    const isOwn = bouncePath !== null && mayReplace(sender, message);
    const from = isOwn ? (returnPath(bouncePath, id, await returnPathKey()) ?? sender) : sender;
    const envelope = { from, to };
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
    const isMarked = raw !== undefined && redirected.size > 0;
    const unsigned = isMarked
      ? Buffer.concat([Buffer.from(originalToLine(redirected)), composed.value])
      : composed.value;
    const bytes = dkim === null ? unsigned : await signed(unsigned, dkim);
    const mail = { id, envelope, bytes, ...dsnOf(message, messageId) };
    // A raw message is what its bytes say; a transport that takes large mails only in parts takes these apart.
    if (raw !== undefined) return mail;
    return isWhole ? { ...mail, structured } : { ...mail, headerOnly: true, structured };
  } catch (error) {
    if (error instanceof PostlaneError && error.code === 'attachment-missing')
      return { reason: 'invalid-message', why: error.message };
    throw error;
  }
}
