/**
 * The header block of a finished message: its fields, where they stand, and what makes programs disagree about it.
 *
 * Everything works on bytes or latin1, so that no byte changes that is not meant to: old messages carry 8-bit header bytes
 * in whatever charset their program had.
 */
import { maxHeaderBytes } from './bounds.ts';
import { trimBlanks } from './encoded-words.ts';

const cr = 0x0d;
const lf = 0x0a;
const colon = 0x3a;

/** The beginning of a message that is enough to read its header, or to see that it is too long. */
export const headBytes = maxHeaderBytes + 4096;
const maxHeaderFields = 5_000;

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

/**
 * Where the header begins: behind a byte order mark, and behind the line `From sender date` that a message brings along from
 * a mailbox file (RFC 4155). Neither is part of the message.
 */
export function headerStart(bytes: Buffer): number {
  const start = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
  const head = bytes.toString('latin1', start, start + 1_000);
  const line = /^>?From [^\r\n]*\r?\n/.exec(head)?.[0] ?? '';
  return /^From[ \t]+:/.test(line) ? start : start + line.length;
}

/** Lists the header fields from `start` on. Line ends may be CRLF or LF. A line that is no field is skipped and named in `problem`. */
export function readHeaderBlock(bytes: Buffer, start = headerStart(bytes)): HeaderBlock {
  const end = Math.min(bytes.length, start + maxHeaderBytes);
  const fields: HeaderField[] = [];
  let problem: string | null = null;
  let current: { name: string; start: number } | null = null;
  let position = start;
  const finish = (at: number): void => {
    if (current !== null) fields.push({ ...current, value: valueOf(bytes, current.start, at), end: at });
    current = null;
  };
  for (let line = 1; position < end; line += 1) {
    const { textEnd, next, fault } = lineAt(bytes, position, end);
    if (textEnd === position) {
      finish(position);
      return { fields, bodyStart: next, problem };
    }
    if (fault !== null) problem ??= `has a ${fault} in line ${line} of its header`;
    const first = bytes[position];
    if (first !== 0x20 && first !== 0x09) {
      finish(position);
      if (fields.length >= maxHeaderFields) {
        return { fields, bodyStart: end, problem: problem ?? `has more than ${maxHeaderFields} header fields` };
      }
      const name = nameAt(bytes, position, textEnd);
      if (name === null) problem ??= `has a line ${line} in its header that is no header field`;
      else current = { name, start: position };
    } else if (current === null) {
      problem ??= `has a continuation in line ${line} of its header without a field before it`;
    }
    position = next;
  }
  finish(end);
  if (end < bytes.length) problem ??= `has a header of more than ${maxHeaderBytes} bytes`;
  return { fields, bodyStart: end, problem };
}

/**
 * The header of a message that is to be sent. Two From fields are a problem, too: RFC 5322 section 3.6 allows one, and the one that is
 * checked may not be the one that is shown.
 */
export function readSafeHeader(bytes: Buffer, start = headerStart(bytes)): HeaderBlock {
  const block = readHeaderBlock(bytes, start);
  if (block.problem !== null) return block;
  if (block.fields.length === 0) return { ...block, problem: 'has no header' };
  const senders = block.fields.filter(({ name }) => name.toLowerCase() === 'from');
  return senders.length > 1 ? { ...block, problem: 'has two From fields' } : block;
}

interface Line {
  readonly textEnd: number;
  readonly next: number;
  readonly fault: 'bare CR' | 'NUL' | null;
}

function lineAt(bytes: Buffer, start: number, end: number): Line {
  let fault: Line['fault'] = null;
  for (let i = start; i < end; i += 1) {
    const byte = bytes[i] ?? 0;
    if (byte > cr) continue;
    if (byte === lf) return { textEnd: i > start && bytes[i - 1] === cr ? i - 1 : i, next: i + 1, fault };
    if (byte === 0) fault ??= 'NUL';
    else if (byte === cr && bytes[i + 1] !== lf) fault ??= 'bare CR';
  }
  return { textEnd: end, next: end, fault };
}

/** A name is printable ASCII without a colon (RFC 5322 section 2.2); blanks before the colon are obsolete and common. */
function nameAt(bytes: Buffer, start: number, end: number): string | null {
  let nameEnd = start;
  while (nameEnd < end && bytes[nameEnd] !== colon) nameEnd += 1;
  if (nameEnd === end || nameEnd - start > 998) return null;
  const name = bytes.toString('latin1', start, nameEnd).trimEnd();
  return /^[!-9;-~]+$/.test(name) ? name : null;
}

function valueOf(bytes: Buffer, start: number, end: number): string {
  const text = bytes.toString('latin1', start, end);
  return trimBlanks(text.slice(text.indexOf(':') + 1).replaceAll(/[\r\n]+/g, ''));
}
