/**
 * Work on finished RFC 5322 bytes: finds header fields, reads who sends and receives, removes Bcc, makes line ends CRLF.
 *
 * Everything works on bytes or latin1, so that no byte changes that is not meant to: old messages carry 8-bit header bytes
 * in whatever charset their program had.
 */
import { parseMailboxList, type Parsed } from './address.ts';
import type { Mailbox } from './message.ts';

const cr = 0x0d;
const lf = 0x0a;
/** Ten thousand recipients fit; more would let one message hold up a process for seconds. */
const maxHeaderBytes = 1024 * 1024;

interface HeaderField {
  readonly name: string;
  /** Unfolded, one character per byte (latin1), without white space around it. */
  readonly value: string;
  /** Byte range of the field with its line end. */
  readonly start: number;
  readonly end: number;
}

export interface HeaderBlock {
  readonly fields: readonly HeaderField[];
  /** Where the body begins, behind the empty line; the end of the message if there is none. */
  readonly bodyStart: number;
  /** What makes programs disagree about this header, or null. */
  readonly problem: string | null;
}

/** What a raw message says of its sender and its recipients; each can be unreadable by itself. */
export interface RawHeader {
  /** First mailbox of From; null without that field. */
  readonly from: Parsed<Mailbox | null>;
  /** All of To, Cc and Bcc. */
  readonly recipients: Parsed<readonly Mailbox[]>;
  /** The Message-ID field's value, with its angle brackets. */
  readonly messageId: string | null;
}

/** Lists the header fields between `start` and `end` of `bytes`. Line ends may be CRLF or LF. A line that is no field is skipped and named in `problem`. */
export function readHeaderBlock(bytes: Buffer, start = 0, end = bytes.length): HeaderBlock {
  const fields: HeaderField[] = [];
  let problem: string | null = null;
  let current: { name: string; start: number } | null = null;
  let position = start;
  const finish = (at: number) => {
    if (current === null) return;
    const text = bytes.toString('latin1', current.start, at);
    const value = text
      .slice(text.indexOf(':') + 1)
      .replaceAll(/[\r\n]+/g, '')
      .trim();
    fields.push({ name: current.name, value, start: current.start, end: at });
    current = null;
  };
  for (let line = 1; position < end; line += 1) {
    const newline = bytes.indexOf(lf, position);
    const lineEnd = newline < 0 || newline >= end ? end : newline + 1;
    let textEnd = newline < 0 || newline >= end ? end : newline;
    if (textEnd > position && textEnd < end && bytes[textEnd - 1] === cr) textEnd -= 1;
    if (textEnd === position) {
      finish(position);
      return { fields, bodyStart: lineEnd, problem };
    }
    const first = bytes[position];
    const text = bytes.subarray(position, textEnd);
    if (text.includes(cr)) problem ??= `has a bare CR in line ${line} of its header`;
    if (text.includes(0)) problem ??= `has a NUL in line ${line} of its header`;
    if (first !== 0x20 && first !== 0x09) {
      finish(position);
      const colon = text.indexOf(0x3a);
      const name = colon < 0 ? '' : text.toString('latin1', 0, colon).trimEnd();
      if (/^[!-9;-~]+$/.test(name)) current = { name, start: position };
      else problem ??= `has a line ${line} in its header that is no header field`;
    } else if (current === null)
      problem ??= `has a continuation in line ${line} of its header without a field before it`;
    position = lineEnd;
  }
  finish(end);
  return { fields, bodyStart: end, problem };
}

/** Header text for reading: UTF-8 if it is that (RFC 6532), else latin1. */
function headerText(value: string): string {
  const utf8 = Buffer.from(value, 'latin1').toString('utf8');
  return utf8.includes('\ufffd') ? value : utf8;
}

function readList(fields: readonly HeaderField[], names: readonly string[]): Parsed<readonly Mailbox[]> {
  const mailboxes: Mailbox[] = [];
  for (const field of fields) {
    if (!names.includes(field.name.toLowerCase())) continue;
    const parsed = parseMailboxList(headerText(field.value));
    if (!parsed.ok) return { ok: false, problem: `has a ${field.name} field that ${parsed.problem}` };
    mailboxes.push(...parsed.value);
  }
  return { ok: true, value: mailboxes };
}

/**
 * Reads the header block of a raw message, and refuses one that different programs would read differently: NUL or bare CR
 * in it, lines that are no fields, two From fields (RFC 5322 section 3.6 allows one; the one checked may not be the one shown).
 */
export function readRawHeader(bytes: Buffer): Parsed<RawHeader> {
  const { fields, bodyStart, problem } = readHeaderBlock(bytes, 0, Math.min(bytes.length, maxHeaderBytes));
  if (bodyStart === maxHeaderBytes && bytes.length > maxHeaderBytes) {
    return { ok: false, problem: `has a header of more than ${maxHeaderBytes} bytes` };
  }
  if (problem !== null) return { ok: false, problem };
  if (fields.length === 0) return { ok: false, problem: 'has no header' };
  if (fields.filter((field) => field.name.toLowerCase() === 'from').length > 1) {
    return { ok: false, problem: 'has two From fields' };
  }
  const from = readList(fields, ['from']);
  return {
    ok: true,
    value: {
      from: from.ok ? { ok: true, value: from.value[0] ?? null } : from,
      recipients: readList(fields, ['to', 'cc', 'bcc']),
      messageId: fields.find((field) => field.name.toLowerCase() === 'message-id')?.value ?? null,
    },
  };
}

/** The message without its Bcc and Resent-Bcc fields; every other byte stays. */
export function removeBcc(bytes: Buffer): Buffer {
  const { fields } = readHeaderBlock(bytes);
  const kept: Buffer[] = [];
  let from = 0;
  for (const field of fields) {
    if (!['bcc', 'resent-bcc'].includes(field.name.toLowerCase())) continue;
    kept.push(bytes.subarray(from, field.start));
    from = field.end;
  }
  return from === 0 ? bytes : Buffer.concat([...kept, bytes.subarray(from)]);
}

/** Bare CR and bare LF become CRLF (RFC 5321 section 2.3.8: neither may go out alone). Two passes, no copy if there is nothing to do. */
export function normaliseLineEnds(bytes: Buffer): Buffer {
  let bare = 0;
  for (let i = 0; i < bytes.length; i += 1) {
    const byte = bytes[i] ?? 0;
    if (byte > cr) continue;
    if (byte === cr && bytes[i + 1] === lf) i += 1;
    else if (byte === cr || byte === lf) bare += 1;
  }
  if (bare === 0) return bytes;
  const result = Buffer.allocUnsafe(bytes.length + bare);
  let length = 0;
  for (let i = 0; i < bytes.length; i += 1) {
    const byte = bytes[i] ?? 0;
    if (byte !== cr && byte !== lf) {
      result[length] = byte;
      length += 1;
      continue;
    }
    if (byte === cr && bytes[i + 1] === lf) i += 1;
    result[length] = cr;
    result[length + 1] = lf;
    length += 2;
  }
  return result;
}
