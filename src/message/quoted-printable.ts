/** Quoted-printable (RFC 2045 section 6.7), both ways, on bytes; lines end in CRLF. */

const maxLine = 76;
const hex = Buffer.from('0123456789ABCDEF', 'latin1');
const crlf = Buffer.from('\r\n', 'latin1');

/** Text bytes to quoted-printable. CRLF stays a line break; a CR or LF alone is encoded as the byte it is. */
export function encodeQuotedPrintable(bytes: Buffer): Buffer {
  // Worst case: three bytes for each, and a soft break ("=", CR, LF) behind every 75.
  const out = Buffer.allocUnsafe(Math.ceil(bytes.length * 3 * (1 + 3 / 72)) + 8);
  let length = 0;
  let column = 0;
  for (let i = 0; i < bytes.length; i += 1) {
    const byte = bytes[i] ?? 0;
    if (byte === 0x0d && bytes[i + 1] === 0x0a) {
      length += crlf.copy(out, length);
      column = 0;
      i += 1;
      continue;
    }
    const next = bytes[i + 1];
    const endsLine = next === undefined || (next === 0x0d && bytes[i + 2] === 0x0a);
    const isSpace = byte === 0x20 || byte === 0x09;
    const literal = isSpace ? !endsLine : byte > 0x20 && byte < 0x7f && byte !== 0x3d;
    const width = literal ? 1 : 3;
    if (column + width > maxLine - 1) {
      out[length] = 0x3d;
      length += 1 + crlf.copy(out, length + 1);
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
  return out.subarray(0, length);
}

/** Quoted-printable to bytes. What is no escape stays as it is, as RFC 2045 advises for robust decoders. */
export function decodeQuotedPrintable(bytes: Buffer): Buffer {
  const text = bytes
    .toString('latin1')
    .replaceAll(/=[ \t]{0,80}\r\n/g, '')
    .replaceAll(/=([0-9A-Fa-f]{2})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)));
  return Buffer.from(text, 'latin1');
}
