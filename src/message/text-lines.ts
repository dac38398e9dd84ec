/**
 * Text as quoted-printable (RFC 2045 section 6.7), with the very line breaks of nodemailer.
 *
 * nodemailer does the same in streams and with a regular expression or two for each line; here it is one pass over bytes.
 */

import { crlfReader } from './crlf-reader.ts';
import { maxLine } from './text-encoding.ts';
import type { Turns } from './turns.ts';

/** A soft break is put behind a blank or a mark if there is one in the last third of the line. */
const breakWithin = Math.floor(maxLine / 3);
/** nodemailer wraps so many bytes at a time; a break near the end of one depends on it. */
const sliceBytes = 64 * 1024;

const tab = 0x09;
const lf = 0x0a;
const cr = 0x0d;
const space = 0x20;
const equals = 0x3d;
const hexDigits = Buffer.from('0123456789ABCDEF', 'latin1');

/** Text with any line ends in UTF-8 to quoted-printable with CRLF line ends, in pieces of whole lines. `size`: its bytes with CRLF. */
export async function encodeTextQuotedPrintable(utf8: Buffer, size: number, turns: Turns): Promise<Buffer[]> {
  // Blanks at the end of everything are a slice of their own: nodemailer waits for what may follow them.
  let blanks = 0;
  while (blanks < utf8.length && isBlank(utf8[utf8.length - 1 - blanks])) blanks += 1;
  const end = blanks > sliceBytes ? size : size - blanks;
  const pieces: Buffer[] = [];
  const reader = crlfReader(utf8, Math.min(sliceBytes, size));
  // Used for each slice again: hundreds of them would wait for the garbage collector, three times as large as the text.
  const room = Math.min(sliceBytes, size) * 3 + maxLine * 2;
  // No line is cut below two thirds of its length, less one UTF-8 sequence.
  const scratch = { escaped: Buffer.allocUnsafe(room), lines: Buffer.allocUnsafe(room + 3 * Math.ceil(room / 32) + 8) };
  let open: Buffer = Buffer.alloc(0);
  for (let start = 0; start < size;) {
    const limit = start < end ? end : size;
    const next = Math.min(start + sliceBytes, limit);
    const slice = reader.read(next - start);
    const text = escaped(slice, next < limit ? reader.peek() : undefined, open, scratch.escaped);
    const { lines, rest } = wrap(text, scratch.lines);
    pieces.push(lines);
    open = rest;
    const turn = turns.spend(next - start);
    if (turn !== null) await turn;
    start = next;
  }
  pieces.push(open);
  return pieces;
}

function isBlank(byte: number | undefined): boolean {
  return byte === space || byte === tab;
}

/** The slice with `=XX` for what needs it, behind the line that is still open. */
function escaped(slice: Buffer, following: number | undefined, open: Buffer, result: Buffer): Buffer {
  let length = open.copy(result);
  for (let i = 0; i < slice.length; i += 1) {
    const byte = slice[i] ?? 0;
    if (byte > space && byte < 0x7f && byte !== equals) {
      result[length] = byte;
      length += 1;
      continue;
    }
    const next = i + 1 < slice.length ? slice[i + 1] : following;
    const literal = isBlank(byte) ? next !== undefined && next !== lf && next !== cr : byte === cr || byte === lf;
    if (literal) {
      result[length] = byte;
      length += 1;
    } else {
      result[length] = equals;
      result[length + 1] = hexDigits[byte >> 4] ?? 0;
      result[length + 2] = hexDigits[byte & 0x0f] ?? 0;
      length += 3;
    }
  }
  return result.subarray(0, length);
}

/** The whole lines, with soft breaks, and the last one, which is open. */
function wrap(text: Buffer, out: Buffer): { lines: Buffer; rest: Buffer } {
  let length = 0;
  for (let at = 0; at < text.length;) {
    const end = lineEnd(text, at);
    length += text.copy(out, length, at, end);
    at = end;
    // A text that fits into one line is not broken at all.
    if (at < text.length && text[at - 1] !== lf && text.length > maxLine) {
      out[length] = equals;
      out[length + 1] = cr;
      out[length + 2] = lf;
      length += 3;
    }
  }
  const last = length === 0 ? 0 : out.lastIndexOf(lf, length - 1) + 1;
  return { lines: Buffer.from(out.subarray(0, last)), rest: Buffer.from(out.subarray(last, length)) };
}

/** Where the line that begins at `at` ends: behind its line end, or where a soft break goes. */
function lineEnd(text: Buffer, at: number): number {
  const limit = Math.min(at + maxLine, text.length);
  if (text.length <= maxLine) return text.length;
  for (let i = at; i < limit; i += 1) if (text[i] === lf) return i + 1;
  let end = limit;
  const mark = limit - at > maxLine - breakWithin ? lastMark(text, limit) : -1;
  if (mark >= 0) end = mark + 1;
  else end = beforeSequence(text, at, limit);
  if (end < text.length && end - at === maxLine) return isEscape(text, end - 3) ? end - 3 : end - 1;
  return end;
}

/** The last blank, comma or mark in the last third of a line; −1 if there is none. */
function lastMark(text: Buffer, limit: number): number {
  for (let i = limit - 1; i >= limit - breakWithin; i -= 1) {
    const byte = text[i];
    if (byte === space || byte === tab || byte === 0x2e || byte === 0x2c || byte === 0x21 || byte === 0x3f) return i;
  }
  return -1;
}

/** Moves an escape that is cut, and the UTF-8 sequence it belongs to, to the next line. */
function beforeSequence(text: Buffer, at: number, limit: number): number {
  let end = limit;
  if (text[end - 1] === equals) end -= 1;
  else if (text[end - 2] === equals) end -= 2;
  else if (!isEscape(text, end - 3)) return end;
  while (end - at > 3 && end < text.length && isEscape(text, end - 3) && !isAllEscapes(text, at, end)) {
    const code = Number.parseInt(text.toString('latin1', end - 2, end), 16);
    if (code < 0x80) break;
    end -= 3;
    if (code >= 0xc0) break;
  }
  return end === at ? limit : end;
}

/** Every `=` begins an escape, as the character itself is escaped. */
function isEscape(text: Buffer, at: number): boolean {
  return at >= 0 && text[at] === equals;
}

/** The line is one to four escapes and nothing else: nothing is left to move. */
function isAllEscapes(text: Buffer, at: number, end: number): boolean {
  if ((end - at) % 3 !== 0 || end - at > 12) return false;
  for (let i = at; i < end; i += 3) if (text[i] !== equals) return false;
  return true;
}
