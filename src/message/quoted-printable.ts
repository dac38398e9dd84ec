/** Quoted-printable (RFC 2045 section 6.7), both ways, on bytes; lines end in CRLF. */
import { inSlices, sliceBytes, type Turns } from './turns.ts';

const maxLine = 76;
const hex = Buffer.from('0123456789ABCDEF', 'latin1');

/** Text bytes to quoted-printable, in pieces. CRLF stays a line break; a CR or LF alone is encoded as the byte it is. */
export async function encodeQuotedPrintable(bytes: Buffer, turns: Turns): Promise<Buffer[]> {
  const pieces: Buffer[] = [];
  // Worst case: three bytes for each, and a soft break ("=", CR, LF) behind every 75.
  const out = Buffer.allocUnsafe(Math.ceil(Math.min(bytes.length, sliceBytes) * 3 * (1 + 3 / 72)) + 8);
  let column = 0;
  await inSlices(0, bytes.length, turns, (start, end) => {
    let length = 0;
    for (let i = start; i < end; i += 1) {
      const byte = bytes[i] ?? 0;
      const next = bytes[i + 1];
      if ((byte === 0x0d && next === 0x0a) || (byte === 0x0a && bytes[i - 1] === 0x0d)) {
        out[length] = byte;
        length += 1;
        column = 0;
        continue;
      }
      const endsLine = next === undefined || (next === 0x0d && bytes[i + 2] === 0x0a);
      const isSpace = byte === 0x20 || byte === 0x09;
      const literal = isSpace ? !endsLine : byte > 0x20 && byte < 0x7f && byte !== 0x3d;
      const width = literal ? 1 : 3;
      if (column + width > maxLine - 1) {
        out[length] = 0x3d;
        out[length + 1] = 0x0d;
        out[length + 2] = 0x0a;
        length += 3;
        column = 0;
      }
      if (literal) out[length] = byte;
      else {
        out[length] = 0x3d;
        out[length + 1] = hex[byte >> 4] ?? 0;
        out[length + 2] = hex[byte & 0x0f] ?? 0;
      }
      length += width;
      column += width;
    }
    pieces.push(Buffer.from(out.subarray(0, length)));
  });
  return pieces;
}

const equals = 0x3d;
/** White space between the `=` of a soft break and its line end, which some programs add. */
const maxPadding = 80;

/** Quoted-printable to bytes. What is no escape stays as it is, as RFC 2045 advises for robust decoders. */
export async function decodeQuotedPrintable(bytes: Buffer, turns: Turns): Promise<Buffer> {
  const out = Buffer.allocUnsafe(bytes.length);
  let length = 0;
  let at = 0;
  await inSlices(0, bytes.length, turns, (_start, end) => {
    while (at < end) {
      const byte = bytes[at] ?? 0;
      if (byte === equals) {
        const value = (digit(bytes[at + 1]) << 4) | digit(bytes[at + 2]);
        if (value >= 0) {
          out[length] = value;
          length += 1;
          at += 3;
          continue;
        }
        const next = behindSoftBreak(bytes, at + 1);
        if (next > 0) {
          at = next;
          continue;
        }
      }
      out[length] = byte;
      length += 1;
      at += 1;
    }
  });
  return out.subarray(0, length);
}

/** −1 for what is no hexadecimal digit. */
function digit(byte = 0): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const upper = byte & 0xdf;
  return upper >= 0x41 && upper <= 0x46 ? upper - 0x37 : -1;
}

/** Where the line behind a soft break begins; 0 if there is no line end. */
function behindSoftBreak(bytes: Buffer, start: number): number {
  let at = start;
  while (at < start + maxPadding && (bytes[at] === 0x20 || bytes[at] === 0x09)) at += 1;
  return bytes[at] === 0x0d && bytes[at + 1] === 0x0a ? at + 2 : 0;
}
