/**
 * What a text is made of, counted in one pass over its UTF-8, and the encoding that follows from that: as it is, quoted-printable
 * or base64, with the very choices of nodemailer.
 */

import { isAscii } from 'node:buffer';
import { controlsIn } from './control-bytes.ts';

export type TextEncoding = '7bit' | 'quoted-printable' | 'base64';

/** RFC 2045 section 6.7: a line of quoted-printable has at most 76 characters; nodemailer encodes ASCII with longer ones. */
export const maxLine = 76;
/** nodemailer does not look for long lines in more than this, and encodes it. */
const maxPlain = 128 * 1024;

const tab = 0x09;
const lf = 0x0a;
const cr = 0x0d;
const space = 0x20;

export interface TextCount {
  /** Bytes that have been read. */
  readonly length: number;
  readonly letters: number;
  /** Control characters that are no blanks and no line ends. */
  readonly controls: number;
  /** `=` and DEL, which quoted-printable escapes. */
  readonly marks: number;
  /** Bytes beyond ASCII, and the UTF-16 code units that they stand for. */
  readonly beyondAscii: number;
  readonly unitsBeyondAscii: number;
  /** CR, LF or CRLF. */
  readonly lineEnds: number;
  /** Of those, CRLF. */
  readonly crlf: number;
  /** Lines that end in a blank. */
  readonly trailingBlanks: number;
  readonly hasLongLine: boolean;
  /** Where the line begins that is being read. */
  readonly lineStart: number;
  /** The byte that was read last. */
  readonly last: number;
}

export const emptyTextCount: TextCount = {
  length: 0,
  letters: 0,
  controls: 0,
  marks: 0,
  beyondAscii: 0,
  unitsBeyondAscii: 0,
  lineEnds: 0,
  crlf: 0,
  trailingBlanks: 0,
  hasLongLine: false,
  lineStart: 0,
  last: 0,
};

/** The count with the next slice of the text's UTF-8. */
export function countText(count: TextCount, utf8: Buffer, end: number): TextCount {
  let { letters, controls, marks, beyondAscii, unitsBeyondAscii } = count;
  let { last, lineStart, lineEnds, crlf, trailingBlanks, hasLongLine } = count;
  for (let i = count.length; i < end; i += 1) {
    const byte = utf8[i] ?? 0;
    if (byte > space) {
      if (byte >= 0x80) {
        beyondAscii += 1;
        // A sequence of four bytes is two code units.
        if (byte >= 0xc0) unitsBeyondAscii += byte >= 0xf0 ? 2 : 1;
      } else if (isLetter(byte)) letters += 1;
      else if (byte === 0x3d || byte === 0x7f) marks += 1;
    } else if (byte === lf && last === cr) {
      crlf += 1;
      lineStart = i + 1;
    } else if (byte === lf || byte === cr) {
      lineEnds += 1;
      if (i - lineStart > maxLine) hasLongLine = true;
      if (last === space || last === tab) trailingBlanks += 1;
      lineStart = i + 1;
    } else if (byte !== space && byte !== tab) controls += 1;
    last = byte;
  }
  const characters = { letters, controls, marks, beyondAscii, unitsBeyondAscii };
  return { ...characters, last, lineStart, lineEnds, crlf, trailingBlanks, hasLongLine, length: end };
}

function isLetter(byte: number): boolean {
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x7a;
}

/** Bytes once each line end is CRLF. */
export function crlfLength({ length, lineEnds, crlf }: TextCount): number {
  return length - crlf + lineEnds;
}

export function encodingOf(count: TextCount): TextEncoding {
  const { letters, controls, beyondAscii, unitsBeyondAscii } = count;
  if (beyondAscii > 0 || controls > 0) return controls + unitsBeyondAscii < letters ? 'quoted-printable' : 'base64';
  const hasLongLine = count.hasLongLine || count.length - count.lineStart > maxLine;
  if (!hasLongLine && crlfLength(count) <= maxPlain) return '7bit';
  return letters > 0 ? 'quoted-printable' : 'base64';
}

/** Whether a short text with CRLF line ends goes out as it is. Most do, and this is a small part of the work of counting. */
export function isPlainText(lines: Buffer): boolean {
  const { length } = lines;
  if (length > maxPlain || !isAscii(lines)) return false;
  const findControl = controlsIn(lines);
  let start = 0;
  for (let at = findControl(0, length); at < length; at = findControl(at + 1, length)) {
    const byte = lines[at];
    if (byte === cr || byte === tab) continue;
    if (byte !== lf || at - 1 - start > maxLine) return false;
    start = at + 1;
  }
  return length - start <= maxLine;
}

/** About how many bytes the text has once it is composed; soft line breaks are taken for one in 70 characters. */
export function composedTextBytes(count: TextCount): number {
  const length = crlfLength(count);
  const encoding = encodingOf(count);
  if (encoding === '7bit') return length;
  if (encoding === 'base64') return base64Bytes(length);
  const escapes = count.controls + count.marks + count.beyondAscii + count.trailingBlanks;
  const characters = length + 2 * escapes;
  return characters + 3 * Math.ceil(characters / 70);
}

/** Base64 in lines of 76 characters (RFC 2045 section 6.8). */
export function base64Bytes(count: number): number {
  return Math.ceil((Math.ceil(count / 3) * 4 * 78) / 76);
}
