/**
 * About how many bytes a message has once it is composed, known without composing it.
 *
 * First as many as it can have at most, from lengths alone; only where those are more than allowed are the texts read. What is
 * composed is measured again before it is sent: an estimate decides what is accepted, not what goes out.
 */
import { contentSize, inlineBytes } from './content.ts';
import { bareLineEnds } from './line-ends.ts';
import type { Alternative, CalendarEvent, Content, Mailbox } from './message.ts';
import { base64Bytes, composedTextBytes, countText, crlfLength, emptyTextCount } from './text-encoding.ts';
import { sliceBytes } from './turns.ts';

/** What the estimate reads of a message; fields that are missing count nothing. */
export interface Estimated {
  readonly subject?: string | undefined;
  readonly text?: string | undefined;
  readonly html?: string | undefined;
  readonly alternatives?: readonly Alternative[] | undefined;
  readonly calendarEvent?: Pick<CalendarEvent, 'content'> | undefined;
  readonly attachments?: readonly Content[] | undefined;
  readonly headers?: Readonly<Record<string, readonly string[]>> | undefined;
  readonly importance?: string | undefined;
  readonly listUnsubscribe?: { readonly url?: string; readonly mailto?: string } | undefined;
  readonly sender?: Mailbox | undefined;
  readonly to?: readonly Mailbox[] | undefined;
  readonly cc?: readonly Mailbox[] | undefined;
  readonly bcc?: readonly Mailbox[] | undefined;
  readonly replyTo?: readonly Mailbox[] | undefined;
  readonly inReplyTo?: string | undefined;
  readonly references?: readonly string[] | undefined;
  readonly raw?: Content | undefined;
}

/** Header fields and MIME structure that the estimate adds per message, and per attachment. */
const structureBytes = 512;
/** A byte of text becomes three (`=C3`), and every 73 characters get three more for their soft line break; a line end becomes two bytes of base64. */
const mostBytesOfText = 4;

/** What text of a header has at most: three bytes a character, each of which an encoded word writes as three, and the words' own. */
function mostEncodedBytes(text: string): number {
  return text.length * 14 + 64;
}

/** What the header has at most, by lengths alone: that is little enough for nearly all messages. */
export function mostHeaderBytes(message: Estimated): number {
  return headerBytes(message, mostEncodedBytes);
}

/** What the message has at most, by lengths alone. UTF-8 has three bytes for a UTF-16 code unit at most. */
function mostBytes(message: Estimated): number {
  const { text = '', html = '', bcc, attachments = [] } = message;
  let most = structureBytes + mostHeaderBytes(message) + mailboxBytes(bcc, mostEncodedBytes);
  for (const attachment of attachments) most += structureBytes + base64Bytes(contentSize(attachment));
  most += formBytes(message, (text) => text.length * 3 * mostBytesOfText);
  return most + (text.length + html.length) * 3 * mostBytesOfText;
}

/** Exact enough only if it is more than `maxBytes`; what is less is said to be as little as comes easily. */
export function estimateBytes(message: Estimated, maxBytes: number): number {
  const { raw, text, html } = message;
  if (raw !== undefined) return rawBytes(raw, maxBytes);
  const quick = mostBytes(message);
  if (quick <= maxBytes) return quick;
  // Bcc is in no header, but what the message takes in Redis and in memory.
  let fixed = structureBytes + headerEstimate(message, maxBytes) + mailboxBytes(message.bcc, encodedBytes);
  for (const attachment of message.attachments ?? []) fixed += structureBytes + base64Bytes(contentSize(attachment));
  fixed += formBytes(message);
  const texts = [text ?? '', html ?? ''];
  const most = texts.reduce((sum, each) => sum + Buffer.byteLength(each) * mostBytesOfText, fixed);
  if (most <= maxBytes) return most;
  return texts.reduce((sum, each) => (sum > maxBytes ? sum : sum + textBytes(each, maxBytes - sum)), fixed);
}

/** Bytes of the further forms of the body; an invitation is in the mail twice. By default their texts are read, which are short by their bound. */
export function formBytes(
  { alternatives = [], calendarEvent }: Pick<Estimated, 'alternatives' | 'calendarEvent'>,
  asText: (content: string) => number = (content) => composedTexts(content),
): number {
  let bytes = 0;
  for (const form of alternatives) {
    bytes += structureBytes + (isText(form) ? asText(form.content) : base64Bytes(contentSize(form)));
  }
  if (calendarEvent === undefined) return bytes;
  const { content } = calendarEvent;
  return bytes + 2 * structureBytes + asText(content) + base64Bytes(Buffer.byteLength(content));
}

function isText({ encoding, contentType }: Alternative): boolean {
  return encoding === 'utf8' && /^text\//i.test(contentType);
}

/** About how many bytes the texts of a message have once they are composed; each is read. */
export function composedTexts(...texts: readonly string[]): number {
  return texts.reduce((sum, text) => sum + textBytes(text, Infinity), 0);
}

/** No more of the text is read once its lines alone are too many. */
function textBytes(text: string, maxBytes: number): number {
  const utf8 = Buffer.from(text);
  let count = emptyTextCount;
  while (count.length < utf8.length && crlfLength(count) <= maxBytes) {
    count = countText(count, utf8, Math.min(count.length + sliceBytes, utf8.length));
  }
  return composedTextBytes(count);
}

/** A finished message gets CRLF line ends. What it has in `ref` is not here to be counted. */
function rawBytes(raw: Content, maxBytes: number): number {
  const size = contentSize(raw);
  if (size > maxBytes || size * 2 <= maxBytes) return size;
  const bytes = inlineBytes(raw);
  if (bytes === null) return size;
  let added = 0;
  for (let start = 0; start < size && size + added <= maxBytes; start += sliceBytes) {
    added += bareLineEnds({ source: bytes, start: 0, end: size }, start, Math.min(start + sliceBytes, size));
  }
  return size + added;
}

/** Bytes of the header of a composed mail, at most. What is more than `enough` by its lengths alone is not looked at any closer. */
export function headerEstimate(message: Estimated, enough = Infinity): number {
  const least = headerBytes(message, (text) => Buffer.byteLength(text));
  return least > enough ? least : headerBytes(message, encodedBytes);
}

type BytesOf = (text: string, isStructured: boolean) => number;

function headerBytes(message: Estimated, bytesOf: BytesOf): number {
  let bytes = message.subject === undefined ? 0 : bytesOf(message.subject, false) + 12;
  for (const [name, values] of Object.entries(message.headers ?? {})) {
    for (const value of values) bytes += name.length + bytesOf(value, true) + 4;
  }
  const { url = '', mailto = '' } = message.listUnsubscribe ?? {};
  // The names of the fields, and what says that one click is enough.
  if (message.importance !== undefined) bytes += 40;
  bytes += url === '' && mailto === '' ? 0 : url.length + mailto.length + 80;
  if (message.sender !== undefined) bytes += mailboxBytes([message.sender], bytesOf) + 10;
  for (const list of [message.to, message.cc, message.replyTo]) bytes += mailboxBytes(list, bytesOf);
  for (const id of [message.inReplyTo ?? '', ...(message.references ?? [])]) bytes += id.length + 3;
  return bytes;
}

function mailboxBytes(list: readonly Mailbox[] = [], bytesOf: BytesOf): number {
  // `, ` and the fold, angle brackets and quotes.
  return list.reduce((sum, { name = '', address }) => sum + bytesOf(name, false) + Buffer.byteLength(address) + 10, 0);
}

/**
 * A structured value in ASCII goes out as it is, in folded lines, and so does other text without quotes and control characters. The
 * rest becomes encoded words of 75 characters at most, a third of which holds none of it (RFC 2047 section 2): `Q` if there are more
 * letters than what is no text of a mail, three characters for each that is no letter or digit, else `B`.
 */
function encodedBytes(text: string, isStructured: boolean): number {
  let letters = 0;
  let others = 0;
  let safe = 0;
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i);
    const lower = code | 0x20;
    if (lower >= 0x61 && lower <= 0x7a) letters += 1;
    else if ((code >= 0x30 && code <= 0x39) || code === 0x20) safe += 1;
    else if (code >= 0x7f || (code < 0x20 && code !== 0x09)) others += 1;
  }
  const bytes = Buffer.byteLength(text);
  if (others === 0 && (isStructured || !(text.includes('"') || text.includes('=?'))))
    return bytes + Math.ceil(bytes / 50) * 2;
  const plain = letters + safe;
  const encoded = others < letters ? plain + 3 * (bytes - plain) : Math.ceil(bytes / 3) * 4;
  return Math.ceil(encoded * 1.5) + 60;
}
