/** Composes the RFC 5322 bytes of a message: CRLF line ends, no Bcc, the same input giving the same bytes in every process. */
import { createHash } from 'node:crypto';
import MailComposer, { type MailComposerAttachment, type MailComposerOptions } from 'nodemailer/lib/mail-composer';
import type { Parsed } from './address.ts';
import type { Attachment, Content, Mailbox, Message } from './message.ts';
import {
  addressField,
  dateField,
  headerList,
  idsField,
  ownFields,
  plainField,
  singleSpaces,
  textField,
} from './header-lines.ts';
import { composeAttachedMail, composeRaw } from './compose-raw.ts';
import { encodedContent, piecesOf } from './mime-tree.ts';
import { joinLines, type Piece } from './pieces.ts';
import { countText, emptyTextCount, encodingOf, type TextEncoding } from './text-encoding.ts';
import { createTurns, type Turns } from './turns.ts';

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

/** Objects, never strings: nodemailer parses strings as address lists, so that one address could become several. */
function addressObjects(mailboxes: readonly Mailbox[]): { name: string; address: string }[] {
  return mailboxes.map(({ name, address }) => ({ name: singleSpaces(name ?? ''), address }));
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

function isMessageType(contentType: string | undefined): contentType is string {
  return contentType !== undefined && /^message\//i.test(contentType);
}

async function attachmentOf(
  attachment: Attachment,
  contentOf: ComposeOptions['contentOf'],
  turns: Turns,
): Promise<MailComposerAttachment> {
  const bytes = await contentOf(attachment);
  const { filename, contentType, cid, disposition } = attachment;
  const common = { filename, contentType, cid, contentDisposition: disposition };
  if (!isMessageType(contentType)) return { ...common, content: bytes };
  // A message/* part is not encoded (RFC 2046 section 5.2.1), so its lines are on the wire as they are.
  const mail = await composeAttachedMail(bytes, contentType, turns);
  // What consists of no lines can only be kept by an encoding, which programs read all the same.
  return mail.ok
    ? { ...common, content: mail.value }
    : { ...common, content: bytes, contentTransferEncoding: 'base64' };
}

/** What both ways of composing begin with. */
interface Parts {
  readonly message: Message & { readonly from: Mailbox };
  readonly text: string;
  readonly html: string;
  readonly options: ComposeOptions;
  readonly turns: Turns;
}

/** Text, HTML or both: the shape of most mails, written at once. The same bytes as `withAttachments` gives, at a fifth of the cost. */
function withoutAttachments({ message, text, html, options, turns }: Parts): Promise<Buffer> {
  const header: string[] = [
    ownFields(message.headers),
    addressField('From', addressObjects([message.from])),
    addressField('To', addressObjects(message.to)),
    addressField('Cc', addressObjects(message.cc)),
    addressField('Reply-To', addressObjects(message.replyTo)),
    message.inReplyTo === undefined || message.inReplyTo === '' ? '' : idsField('In-Reply-To', [message.inReplyTo]),
    idsField('References', message.references),
    textField('Subject', singleSpaces(message.subject ?? '')),
    idsField('Message-ID', [options.messageId]),
    dateField(options.date),
  ];
  const version = 'MIME-Version: 1.0';
  if (text !== '' && html !== '') {
    const boundary = `--_NmP-${boundaryOf(options.boundarySeed, message, [])}-Part_1`;
    header.push(version, plainField('Content-Type', `multipart/alternative; boundary="${boundary}"`));
    return joinLines(
      [
        `${header.filter(isField).join('\r\n')}\r\n\r\n--${boundary}\r\n`,
        ...leafOf('plain', text),
        `\r\n--${boundary}\r\n`,
        ...leafOf('html', html),
        `\r\n--${boundary}--\r\n`,
      ],
      turns,
    );
  }
  if (text === '' && html === '') {
    header.push(version, 'Content-Type: text/plain');
    return joinLines([`${header.filter(isField).join('\r\n')}\r\n\r\n`], turns);
  }
  const subtype = text === '' ? 'html' : 'plain';
  const { encoding, piece } = textPiece(text === '' ? html : text);
  header.push(`Content-Transfer-Encoding: ${encoding}`, version, `Content-Type: text/${subtype}; charset=utf-8`);
  return joinLines([`${header.filter(isField).join('\r\n')}\r\n\r\n`, piece], turns);
}

function isField(line: string): boolean {
  return line !== '';
}

function leafOf(subtype: 'plain' | 'html', content: string): [string, Piece] {
  const { encoding, piece } = textPiece(content);
  const header = `Content-Type: text/${subtype}; charset=utf-8\r\nContent-Transfer-Encoding: ${encoding}\r\n\r\n`;
  return [header, piece];
}

function textPiece(content: string): { encoding: TextEncoding; piece: Piece } {
  const bytes = Buffer.from(content, 'utf8');
  const encoding = encodingOf(countText(emptyTextCount, bytes, bytes.length));
  return { encoding, piece: encodedContent(bytes, encoding) };
}

/** nodemailer would take the blanks out of an id, so it only gives the field its place. No other line of a header begins like this. */
const referencesPlace = /^References: <x@x>$/m;

/** nodemailer makes the tree; nothing of it is a path, a URL or a stream. */
function withAttachments(
  { message, text, html, options, turns }: Parts,
  attachments: MailComposerAttachment[],
): Promise<Buffer> {
  const { subject, inReplyTo, references } = message;
  const mail: MailComposerOptions = {
    from: addressObjects([message.from]),
    to: addressObjects(message.to),
    cc: addressObjects(message.cc),
    replyTo: addressObjects(message.replyTo),
    subject: subject === undefined ? undefined : singleSpaces(subject),
    text,
    html,
    attachments,
    headers: headerList(message.headers),
    inReplyTo,
    references: references.length === 0 ? undefined : '<x@x>',
    messageId: options.messageId,
    date: options.date,
    baseBoundary: boundaryOf(options.boundarySeed, message, attachments),
    disableFileAccess: true,
    disableUrlAccess: true,
  };
  const [header, ...rest] = piecesOf(new MailComposer(mail).compile());
  if (typeof header !== 'string') throw new TypeError('the tree begins with its header');
  return joinLines([header.replace(referencesPlace, () => idsField('References', references)), ...rest], turns);
}

/**
 * The finished mail: 7-bit but for non-ASCII local parts and 8-bit message/* attachments, or why there is none. A raw message
 * passes as it is, but for its Bcc fields, a missing Message-ID or Date, and what SMTP cannot carry. `message.from` must be there unless the message is raw.
 */
export async function composeMail(message: Message, options: ComposeOptions): Promise<Parsed<Buffer>> {
  const turns = createTurns();
  if (message.raw !== undefined) return composeRaw(await options.contentOf(message.raw), options, turns);
  const { from } = message;
  if (from === undefined) throw new TypeError('composeMail needs a message with a from');
  const attachments: MailComposerAttachment[] = [];
  for (const attachment of message.attachments) {
    attachments.push(await attachmentOf(attachment, options.contentOf, turns));
  }
  const text = crlfText(message.text ?? '');
  const html = crlfText(message.html ?? '');
  const parts: Parts = { message: { ...message, from }, text, html, options, turns };
  const value = await (attachments.length === 0 ? withoutAttachments(parts) : withAttachments(parts, attachments));
  return { ok: true, value };
}
