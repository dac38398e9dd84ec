/** Composes the RFC 5322 bytes of a message: CRLF line ends, no Bcc, the same input giving the same bytes in every process. */
import { createHash } from 'node:crypto';
import MailComposer, { type MailComposerAttachment, type MailComposerOptions } from 'nodemailer/lib/mail-composer';
import type { Attachment, Content, Mailbox, Message } from './message.ts';
import { normaliseLineEnds, removeBcc } from './raw.ts';

export interface ComposeOptions {
  /** The Message-ID header's value with its angle brackets, as `messageIdHeader` gives it. */
  readonly messageId: string;
  /** The Date header's value; whole seconds count. */
  readonly date: Date;
  /** Text of which MIME boundaries are derived; the message's id. */
  readonly boundarySeed: string;
  /** Bytes of an attachment or raw message: decodes inline content, fetches stored content. May reject; composing then rejects too. */
  readonly contentOf: (content: Content) => Buffer | Promise<Buffer>;
}

/** Long runs of spaces could fold into a line of spaces alone, which some programs take for the end of the header. */
function singleSpaces(text: string): string {
  return text.replaceAll(/[ \t]{20,}/g, ' ').trim();
}

/** Objects, never strings: nodemailer parses strings as address lists, so that one address could become several. */
function addressObjects(mailboxes: readonly Mailbox[]): { name: string; address: string }[] {
  return mailboxes.map(({ name, address }) => ({ name: singleSpaces(name ?? ''), address }));
}

/** ASCII values go out as written (`prepared`), only folded: nodemailer would make an encoded word of any value with a quote in it, which breaks structured fields. */
function headerList(
  headers: Message['headers'],
): { key: string; value: string | { prepared: boolean; foldLines: boolean; value: string } }[] {
  return Object.entries(headers).flatMap(([key, values]) =>
    values.map((each) => {
      const value = singleSpaces(each);
      return { key, value: /^[\t -~]*$/.test(value) ? { prepared: true, foldLines: true, value } : value };
    }),
  );
}

function crlfText(text: string): string {
  return text.replaceAll(/\r\n|\r|\n/g, '\r\n');
}

/**
 * The seed alone would not do: whoever knows a message's id beforehand and has a say in its text could write the boundary
 * into the text and add parts of his own. No text contains its own hash.
 */
function boundaryOf(seed: string, { text, html }: Message, attachments: readonly MailComposerAttachment[]): string {
  const hash = createHash('sha256').update(JSON.stringify([seed, text, html]));
  for (const { contentType, content } of attachments) {
    if (isMessageType(contentType) && Buffer.isBuffer(content)) hash.update(content);
  }
  return hash.digest('hex').slice(0, 32);
}

function isMessageType(contentType: string | undefined): boolean {
  return contentType !== undefined && /^message\//i.test(contentType);
}

async function attachmentOf(
  attachment: Attachment,
  contentOf: ComposeOptions['contentOf'],
): Promise<MailComposerAttachment> {
  const bytes = await contentOf(attachment);
  const { filename, contentType, cid, disposition } = attachment;
  // A message/* part is not encoded (RFC 2046 section 5.2.1), so its line ends are on the wire as they are.
  const content = isMessageType(contentType) ? normaliseLineEnds(bytes) : bytes;
  return { content, filename, contentType, cid, contentDisposition: disposition };
}

/**
 * The finished mail, 7-bit but for non-ASCII local parts and 8-bit message/* attachments. A raw message passes as it is,
 * but for its Bcc header fields and line ends. `message.from` must be there unless the message is raw.
 */
export async function composeMail(message: Message, options: ComposeOptions): Promise<Buffer> {
  if (message.raw !== undefined) return removeBcc(normaliseLineEnds(await options.contentOf(message.raw)));
  if (message.from === undefined) throw new TypeError('composeMail needs a message with a from');
  const attachments: MailComposerAttachment[] = [];
  for (const attachment of message.attachments) attachments.push(await attachmentOf(attachment, options.contentOf));
  const { text, html, subject, inReplyTo, references } = message;
  const mail: MailComposerOptions = {
    from: addressObjects([message.from]),
    to: addressObjects(message.to),
    cc: addressObjects(message.cc),
    replyTo: addressObjects(message.replyTo),
    subject: subject === undefined ? undefined : singleSpaces(subject),
    text: text === undefined ? undefined : crlfText(text),
    html: html === undefined ? undefined : crlfText(html),
    attachments,
    headers: headerList(message.headers),
    inReplyTo,
    references: [...references],
    messageId: options.messageId,
    date: options.date,
    baseBoundary: boundaryOf(options.boundarySeed, message, attachments),
    disableFileAccess: true,
    disableUrlAccess: true,
  };
  return await new MailComposer(mail).compile().build();
}
