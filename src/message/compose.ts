/** Composes the RFC 5322 bytes of a message: CRLF line ends, no Bcc, the same input giving the same bytes in every process. */
import { isAscii } from 'node:buffer';
import MailComposer, { type MailComposerAttachment, type MailComposerOptions } from 'nodemailer/lib/mail-composer';
import { routingKey } from './address.ts';
import { composeAttachedMail, composeRaw, tooLarge, type Composed } from './compose-raw.ts';
import { bodyForms, calendarFile, hasForms, placesOf, type BodyForm } from './body-forms.ts';
import { boundaryOf } from './boundary.ts';
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
import { headersOf } from './field-headers.ts';
import { hasLongLine } from './line-ends.ts';
import type { Attachment, Content, Mailbox, Message } from './message.ts';
import { piecesOf } from './mime-tree.ts';
import { joinLines, measurePieces, type Piece } from './pieces.ts';
import { plainMail } from './plain-mail.ts';
import type { TextEncoding } from './text-encoding.ts';
import { textPart, type TextPart } from './text-part.ts';
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
  /** A mail of more bytes is not composed; nothing is allocated for it. Default: without bound. */
  readonly maxBytes?: number;
}

/** Objects, never strings: nodemailer parses strings as address lists, so that one address could become several. */
function addressObjects(mailboxes: readonly Mailbox[]): { name: string; address: string }[] {
  return mailboxes.map(({ name, address }) => ({ name: singleSpaces(name ?? ''), address }));
}

function isMessageType(contentType: string | undefined): contentType is string {
  return contentType !== undefined && /^message\//i.test(contentType);
}

/** What of an attachment is in the mail as it is: all others are base64, which no boundary fits. */
function asItIs({ contentType, content }: MailComposerAttachment): Buffer[] {
  return isMessageType(contentType) && Buffer.isBuffer(content) ? [content] : [];
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
  if (!mail.ok) return { ...common, content: bytes, contentTransferEncoding: 'base64' };
  const isSevenBit = isAscii(mail.value) && !mail.value.includes(0) && !hasLongLine(mail.value);
  return { ...common, content: mail.value, contentTransferEncoding: isSevenBit ? '7bit' : '8bit' };
}

/** What both ways of composing begin with; a text that is empty is none. */
interface Parts {
  readonly message: Message & { readonly from: Mailbox };
  readonly text: TextPart | null;
  readonly html: TextPart | null;
  readonly forms: readonly BodyForm[];
  /** '' where there is one part only. */
  readonly boundary: string;
  readonly options: ComposeOptions;
}

/** RFC 5322 section 3.6.2: where it is the author as well, the field should not be there. */
function senderOf({ from, sender }: Parts['message']): readonly Mailbox[] {
  return sender === undefined || routingKey(sender.address) === routingKey(from.address) ? [] : [sender];
}

/** The fields of a mail but for those that say of what kind its content is. */
function fieldsOf(message: Parts['message'], options: ComposeOptions): string[] {
  return [
    ownFields(headersOf(message)),
    addressField('From', addressObjects([message.from])),
    addressField('Sender', addressObjects(senderOf(message))),
    addressField('To', addressObjects(message.to)),
    addressField('Cc', addressObjects(message.cc)),
    addressField('Reply-To', addressObjects(message.replyTo)),
    message.inReplyTo === undefined || message.inReplyTo === '' ? '' : idsField('In-Reply-To', [message.inReplyTo]),
    idsField('References', message.references),
    textField('Subject', singleSpaces(message.subject ?? '')),
    idsField('Message-ID', [options.messageId]),
    dateField(options.date),
  ];
}

const version = 'MIME-Version: 1.0';

function fieldsOfText(subtype: 'plain' | 'html', encoding: TextEncoding): string[] {
  return [`Content-Transfer-Encoding: ${encoding}`, version, `Content-Type: text/${subtype}; charset=utf-8`];
}

/** Text, HTML or both: the shape of most mails, written at once. The same bytes as `asTree` gives, at a fifth of the cost. */
function atOnce({ message, text, html, boundary: seed, options }: Parts): Piece[] {
  const header = fieldsOf(message, options);
  if (text !== null && html !== null) {
    const boundary = `--_NmP-${seed}-Part_1`;
    header.push(version, plainField('Content-Type', `multipart/alternative; boundary="${boundary}"`));
    return [
      `${headerText(header)}--${boundary}\r\n`,
      ...leafOf('plain', text),
      `\r\n--${boundary}\r\n`,
      ...leafOf('html', html),
      `\r\n--${boundary}--\r\n`,
    ];
  }
  const part = text ?? html;
  if (part === null) {
    header.push(version, 'Content-Type: text/plain');
    return [headerText(header)];
  }
  const subtype = part === html ? 'html' : 'plain';
  return [headerText([...header, ...fieldsOfText(subtype, part.encoding)]), ...part.pieces];
}

function headerText(lines: readonly string[]): string {
  return `${lines.filter((line) => line !== '').join('\r\n')}\r\n\r\n`;
}

function leafOf(subtype: 'plain' | 'html', { encoding, pieces }: TextPart): readonly Piece[] {
  const header = `Content-Type: text/${subtype}; charset=utf-8\r\nContent-Transfer-Encoding: ${encoding}\r\n\r\n`;
  return [header, ...pieces];
}

/** nodemailer would take the blanks out of an id, so it only gives the field its place. No other line of a header begins like this. */
const referencesPlace = /^References: <x@x>$/m;

/** nodemailer makes the tree; nothing of it is a path, a URL or a stream, and it sees a word in place of a text. */
function asTree(
  { message, text, html, forms, boundary, options }: Parts,
  attachments: MailComposerAttachment[],
): Piece[] {
  const { subject, inReplyTo, references } = message;
  const placeOf = (word: string, part: TextPart | null) => {
    if (part === null) return undefined;
    // It finds out by itself that the word needs no encoding.
    return part.encoding === '7bit' ? word : { content: word, contentTransferEncoding: part.encoding };
  };
  const { alternatives, words } = placesOf(forms);
  const mail: MailComposerOptions = {
    from: addressObjects([message.from]),
    sender: addressObjects(senderOf(message))[0],
    to: addressObjects(message.to),
    cc: addressObjects(message.cc),
    replyTo: addressObjects(message.replyTo),
    subject: subject === undefined ? undefined : singleSpaces(subject),
    text: placeOf('text', text),
    html: placeOf('html', html),
    alternatives,
    attachments,
    headers: headerList(headersOf(message)),
    inReplyTo,
    references: references.length === 0 ? undefined : '<x@x>',
    messageId: options.messageId,
    date: options.date,
    baseBoundary: boundary,
    disableFileAccess: true,
    disableUrlAccess: true,
  };
  const prepared = new Map([
    ['text', text?.pieces ?? []],
    ['html', html?.pieces ?? []],
    ...words.map((word, index): [string, readonly Piece[]] => [word, forms[index]?.pieces ?? []]),
  ]);
  const [header, ...rest] = piecesOf(new MailComposer(mail).compile(), prepared);
  if (typeof header !== 'string') throw new TypeError('the tree begins with its header');
  return [header.replace(referencesPlace, () => idsField('References', references)), ...rest];
}

/**
 * The finished mail: 7-bit but for non-ASCII local parts and 8-bit message/* attachments, or why there is none. A raw message
 * passes as it is, but for its Bcc fields, a missing Message-ID or Date, and what SMTP cannot carry. `message.from` must be there unless the message is raw.
 */
export async function composeMail(
  message: Message,
  options: ComposeOptions,
  turns: Turns = createTurns(),
): Promise<Composed> {
  const { maxBytes = Infinity } = options;
  if (message.raw !== undefined) return composeRaw(await options.contentOf(message.raw), options, turns, maxBytes);
  const { from } = message;
  if (from === undefined) throw new TypeError('composeMail needs a message with a from');
  const { text = '', html = '' } = message;
  const isAtOnce = message.attachments.length === 0 && !hasForms(message);
  if (text !== '' && html === '' && isAtOnce) {
    const header = headerText([...fieldsOf({ ...message, from }, options), ...fieldsOfText('plain', '7bit')]);
    const mail = plainMail(header, text, maxBytes);
    if (mail !== null) return { ok: true, value: mail };
  }
  const attachments: MailComposerAttachment[] = [];
  for (const attachment of message.attachments) {
    attachments.push(await attachmentOf(attachment, options.contentOf, turns));
  }
  const forms = await bodyForms(message, turns);
  const inParts = [...attachments.flatMap(asItIs), ...forms.map(({ bytes }) => bytes)];
  if (message.calendarEvent !== undefined) attachments.push(calendarFile(message.calendarEvent));
  const parts: Parts = {
    message: { ...message, from },
    text: text === '' ? null : await textPart(text, turns),
    html: html === '' ? null : await textPart(html, turns),
    forms,
    boundary:
      !isAtOnce || (text !== '' && html !== '')
        ? await boundaryOf(
            { seed: options.boundarySeed, text: message.text, html: message.html, parts: inParts },
            turns,
          )
        : '',
    options,
  };
  const pieces = isAtOnce ? atOnce(parts) : asTree(parts, attachments);
  const measured = await measurePieces(pieces, turns);
  if (measured.size > maxBytes) return tooLarge(measured.size, maxBytes);
  return { ok: true, value: await joinLines(measured, turns) };
}
