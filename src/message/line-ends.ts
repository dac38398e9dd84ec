/** The line ends of a mail: CRLF and nothing else (RFC 5321 section 2.3.8), and what cannot be written in such lines. */
import { inSlices, type Turns } from './turns.ts';

const cr = 0x0d;
const lf = 0x0a;

/** What a range holds that no line of a mail may hold (RFC 2045 sections 2.7 and 2.8). */
export interface LineFaults {
  readonly nul: boolean;
  readonly bareCr: boolean;
  readonly bareLf: boolean;
}

/** A CR or LF at the edge of the range is judged by its neighbour in `bytes`. */
export async function lineFaults(bytes: Buffer, start: number, end: number, turns: Turns): Promise<LineFaults> {
  const faults = { nul: bytes.subarray(start, end).includes(0), bareCr: false, bareLf: false };
  await inSlices(start, end, turns, (from, to) => {
    for (let i = from; i < to; i += 1) {
      const byte = bytes[i] ?? 0;
      if (byte > cr) continue;
      if (byte === lf) faults.bareLf ||= bytes[i - 1] !== cr;
      else if (byte === cr) faults.bareCr ||= bytes[i + 1] !== lf;
    }
  });
  return faults;
}

/** A range of a mail that is written with CRLF for each bare CR and bare LF. What is beyond its edges does not count. */
export interface LineRange {
  readonly source: Buffer;
  readonly start: number;
  readonly end: number;
}

/** How many bytes `writeCrlf` adds to this slice of the range. */
export function bareLineEnds({ source, ...range }: LineRange, start: number, end: number): number {
  let count = 0;
  for (let i = start; i < end; i += 1) {
    const byte = source[i] ?? 0;
    if (byte > cr) continue;
    if (byte === lf) count += i > range.start && source[i - 1] === cr ? 0 : 1;
    else if (byte === cr) count += i + 1 < range.end && source[i + 1] === lf ? 0 : 1;
  }
  return count;
}

/** Writes a slice of the range. → where it ends in `out`. */
export function writeCrlf(
  { source, ...range }: LineRange,
  start: number,
  end: number,
  out: Buffer,
  at: number,
): number {
  let length = at;
  for (let i = start; i < end; i += 1) {
    const byte = source[i] ?? 0;
    if (byte === lf && !(i > range.start && source[i - 1] === cr)) {
      out[length] = cr;
      length += 1;
    }
    out[length] = byte;
    length += 1;
    if (byte === cr && !(i + 1 < range.end && source[i + 1] === lf)) {
      out[length] = lf;
      length += 1;
    }
  }
  return length;
}

/** RFC 5321 section 4.5.3.1.6: 1000 octets with CRLF. */
const maxLineOctets = 998;

/** Looks for the last line end that a line of the greatest length could have, and goes on behind it. */
export function hasLongLine(bytes: Buffer): boolean {
  let start = 0;
  while (bytes.length - start > maxLineOctets) {
    const lineEnd = bytes.lastIndexOf(0x0a, start + maxLineOctets);
    if (lineEnd >= start) {
      start = lineEnd + 1;
      continue;
    }
    // Such a line may end in CRLF, whose CR does not count.
    if (bytes[start + maxLineOctets] !== 0x0d || bytes[start + maxLineOctets + 1] !== 0x0a) return true;
    start += maxLineOctets + 2;
  }
  return false;
}
