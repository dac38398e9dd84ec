/** What identifies the mail that was sent: the returned mail, the status, the text of the report and its header. */
import { maxClues } from './bounds.ts';
import { fieldsOf, valueOf, type Field } from './fields.ts';

/** Everything in a report that may identify the mail it is about. Message-IDs stand without angle brackets. */
export interface Clues {
  /** Of returned mails, of the status and of the text: each may be the one that was sent, or one that a server put in its place. */
  readonly messageIds: readonly string[];
  /** What the report answers to; the last mail of a thread comes first. */
  readonly threadIds: readonly string[];
  /** The sender's own id of the envelope (RFC 3461 section 4.4). */
  readonly envelopeIds: readonly string[];
  /** Ids that a server gives a mail in its reply to the end of data. */
  readonly queueIds: readonly string[];
  /** Where the report was sent to: a return path of its own for each mail (VERP) identifies it. */
  readonly sentTo: readonly string[];
}

/**
 * Fields in which a server keeps the Message-ID that it replaced: Exchange and Outlook.com, NetEase, Gmail's reports. They come before
 * Message-ID, which then is the server's.
 */
const keptIds = ['x-microsoft-original-message-id', 'x-cm-original-message-id', 'x-original-message-id'];

/** The ids in a value: in angle brackets, also several; without any, the first word. */
export function idsIn(value: string): string[] {
  const bracketed = [...value.matchAll(/<\s*([^<>\s]{1,900})\s*>/g)].flatMap(([, id]) =>
    id === undefined ? [] : [id],
  );
  if (bracketed.length > 0) return bracketed.slice(0, maxClues);
  const word = /^[^\s<>]{1,900}/.exec(value.trim())?.[0];
  return word === undefined ? [] : [word];
}

/** The ids of the header of a returned mail, the surest first. Servers add fields on top, so the last of two is the older one. */
export function idsOfHeader(fields: readonly Field[]): string[] {
  const all = (name: string): string[] =>
    fields.filter((field) => field.name === name).flatMap(({ value }) => idsIn(value));
  return unique([...keptIds.flatMap(all), ...all('message-id').toReversed()]);
}

/** The lines of the header with which a returned mail begins. */
function headerLines(lines: readonly string[]): readonly string[] {
  const first = lines.findIndex((line) => line.trim() !== '');
  if (first < 0) return [];
  const end = lines.findIndex((line, at) => at > first && line.trim() === '');
  return lines.slice(first, end < 0 ? undefined : end);
}

export function headerOf(lines: readonly string[]): Field[] {
  return fieldsOf(headerLines(lines));
}

/** What the status says about the message: Gmail repeats its Message-ID there, and the sender's own id of the envelope comes back (RFC 3461 section 4.4). */
export function idsOfStatus(message: readonly Field[]): {
  messageIds: string[];
  envelopeIds: string[];
  queueIds: string[];
} {
  const envelopeId = valueOf(message, 'original-envelope-id');
  const queueId = valueOf(message, 'x-postfix-queue-id', 'x-queue-id');
  return {
    messageIds: keptIds.flatMap((name) => idsIn(valueOf(message, name))),
    envelopeIds: envelopeId === '' ? [] : unique([...idsIn(envelopeId), envelopeId, decodedXtext(envelopeId)]),
    queueIds: queueId === '' ? [] : [queueId],
  };
}

/** A report has it decoded (RFC 3464 section 2.2.1), but some servers repeat what they were told (RFC 3461 section 4). */
function decodedXtext(text: string): string {
  return text.replaceAll(/\+([2-7][0-9A-F])/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

export function unique(values: readonly string[]): string[] {
  return [...new Set(values)].slice(0, maxClues);
}
