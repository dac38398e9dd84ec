/**
 * Fits a finished mail to what the server's extensions allow: 8-bit content and long lines.
 *
 * 7-bit bytes in lines of at most 998 octets pass untouched, and so does 8-bit content where the server offers 8BITMIME.
 * Otherwise the MIME leaves concerned are encoded anew (text as quoted-printable, the rest as base64) and nothing else
 * changes but Content-Transfer-Encoding fields. Left as they are, for the server to judge:
 * - multipart/signed and multipart/encrypted: any change breaks the signature (RFC 1847 section 2.1), and a mail with a broken
 *   signature that arrives does more harm than one that is refused; nearly every server is 8-bit clean anyway;
 * - message/* other than message/rfc822, which may not be encoded at all (RFC 2046 section 5.2); inside message/rfc822 the leaves are converted;
 * - 8-bit header bytes, for which there is no encoding that keeps their meaning.
 * A DKIM signature of somebody earlier breaks when the body is encoded anew; RFC 6376 section 5.3 has signers send 7-bit for that reason.
 */
import { isAscii } from 'node:buffer';
import { encodeBase64Lines } from './base64-lines.ts';
import { decodeQuotedPrintable, encodeQuotedPrintable } from './quoted-printable.ts';
import { readHeaderBlock, type HeaderBlock } from './raw.ts';

/** What the server offered in its answer to EHLO. */
export interface TransferExtensions {
  /** RFC 6152. */
  readonly eightBitMime: boolean;
  /** RFC 6531; it includes 8-bit content (section 3.1 item 8). */
  readonly smtpUtf8: boolean;
}

/** `use8BitMime`: MAIL FROM has to say BODY=8BITMIME. */
export interface FittedMail {
  readonly bytes: Buffer;
  readonly use8BitMime: boolean;
}

interface Traits {
  readonly eightBit: boolean;
  readonly longLine: boolean;
}

/** RFC 5321 section 4.5.3.1.6: 1000 octets with CRLF. */
const maxLineOctets = 998;
/** Deeper nesting is nobody's mail; it is left as it is. */
const maxDepth = 30;
/** Nor are more parts than this in one multipart. */
const maxParts = 10_000;
/** A boundary has at most 70 characters (RFC 2046 section 5.1.1); what comes later than this in a Content-Type is no part of its meaning here. */
const maxContentType = 2000;

function traits(bytes: Buffer): Traits {
  return { eightBit: !isAscii(bytes), longLine: hasLongLine(bytes) };
}

/** Looks for the last line end that a line of the greatest length could have, and goes on behind it. */
function hasLongLine(bytes: Buffer): boolean {
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

function needsWork(found: Traits, eightBitOk: boolean): boolean {
  return found.longLine || (found.eightBit && !eightBitOk);
}

function fieldValue(block: HeaderBlock, name: string): string | null {
  return block.fields.find((field) => field.name.toLowerCase() === name)?.value ?? null;
}

/** The header of an entity with another Content-Transfer-Encoding; a top-level header without MIME-Version gets one, or nobody would heed the encoding. */
function withEncoding(bytes: Buffer, block: HeaderBlock, encoding: string, isTop: boolean): Buffer {
  const header = bytes.subarray(0, block.bodyStart);
  const old = block.fields.find((field) => field.name.toLowerCase() === 'content-transfer-encoding');
  const versionNeeded = isTop && fieldValue(block, 'mime-version') === null;
  const line = `${versionNeeded ? 'MIME-Version: 1.0\r\n' : ''}Content-Transfer-Encoding: ${encoding}\r\n`;
  const last = block.fields.at(-1);
  const [from, to] = old === undefined ? [last?.end ?? 0, last?.end ?? 0] : [old.start, old.end];
  return Buffer.concat([header.subarray(0, from), Buffer.from(line, 'latin1'), header.subarray(to)]);
}

function convertLeaf(bytes: Buffer, block: HeaderBlock, type: string, encoding: string, isTop: boolean): Buffer {
  const body = bytes.subarray(block.bodyStart);
  let content: Buffer;
  if (encoding === 'base64') content = Buffer.from(body.toString('latin1'), 'base64');
  else if (encoding === 'quoted-printable') content = decodeQuotedPrintable(body);
  else if (['', '7bit', '8bit', 'binary'].includes(encoding)) content = body;
  else return bytes;
  const target = encoding === 'base64' || !type.startsWith('text/') ? 'base64' : 'quoted-printable';
  const encoded = target === 'base64' ? encodeBase64Lines(content) : encodeQuotedPrintable(content);
  // The last line end of a body belongs to the message, not to the base64 text.
  const lineEnd = target === 'base64' && isTop ? Buffer.from('\r\n', 'latin1') : Buffer.alloc(0);
  return Buffer.concat([withEncoding(bytes, block, target, isTop), encoded, lineEnd]);
}

/** Byte ranges of the parts of a multipart body: between the delimiter lines, without the CRLF that belongs to the delimiter (RFC 2046 section 5.1.1). */
function partRanges(bytes: Buffer, bodyStart: number, boundary: string): readonly (readonly [number, number])[] {
  const delimiter = Buffer.from(`--${boundary}`, 'latin1');
  const ranges: [number, number][] = [];
  let partStart = -1;
  for (let at = bytes.indexOf(delimiter, bodyStart); at >= 0; at = bytes.indexOf(delimiter, at + 1)) {
    if (at > bodyStart && bytes[at - 1] !== 0x0a) continue;
    const lineEnd = bytes.indexOf(0x0a, at);
    const after = at + delimiter.length;
    const rest = bytes.toString('latin1', after, Math.min(lineEnd < 0 ? bytes.length : lineEnd, after + 200));
    const closes = rest.startsWith('--');
    if (!closes && rest.trim() !== '') continue; // A longer boundary that begins with this one.
    if (partStart >= 0) ranges.push([partStart, Math.max(partStart, at - (bytes[at - 2] === 0x0d ? 2 : 1))]);
    if (closes || lineEnd < 0) return ranges;
    if (ranges.length > maxParts) return [];
    partStart = lineEnd + 1;
  }
  if (partStart >= 0) ranges.push([partStart, bytes.length]);
  return ranges;
}

/** One MIME entity (header and body) as it may go out. */
function convertEntity(bytes: Buffer, eightBitOk: boolean, depth: number): Buffer {
  if (depth > maxDepth || !needsWork(traits(bytes), eightBitOk)) return bytes;
  const block = readHeaderBlock(bytes);
  const contentType = (fieldValue(block, 'content-type') ?? 'text/plain').slice(0, maxContentType);
  const type = /^[^;\s]*/.exec(contentType)?.[0].toLowerCase() ?? '';
  const encoding = (/^[^;\s]*/.exec(fieldValue(block, 'content-transfer-encoding') ?? '')?.[0] ?? '').toLowerCase();
  const isTop = depth === 0;
  let body: Buffer;
  if (type.startsWith('multipart/')) {
    const match = /;\s*boundary\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;]+))/i.exec(contentType);
    const boundary = match?.[1]?.replaceAll(/\\(.)/g, '$1') ?? match?.[2] ?? '';
    if (type === 'multipart/signed' || type === 'multipart/encrypted' || boundary === '') return bytes;
    const pieces: Buffer[] = [];
    let from = block.bodyStart;
    for (const [start, end] of partRanges(bytes, block.bodyStart, boundary)) {
      pieces.push(bytes.subarray(from, start), convertEntity(bytes.subarray(start, end), eightBitOk, depth + 1));
      from = end;
    }
    body = Buffer.concat([...pieces, bytes.subarray(from)]);
  } else if (type === 'message/rfc822' && ['', '7bit', '8bit', 'binary'].includes(encoding)) {
    body = convertEntity(bytes.subarray(block.bodyStart), eightBitOk, depth + 1);
  } else if (type.startsWith('message/')) {
    return bytes;
  } else {
    const content = traits(bytes.subarray(block.bodyStart));
    return needsWork(content, eightBitOk) ? convertLeaf(bytes, block, type, encoding, isTop) : bytes;
  }
  // A container says of what is the widest inside it; 8bit over 7-bit parts would make a strict server refuse it.
  const relabel = ['8bit', 'binary'].includes(encoding) && !traits(body).eightBit;
  const header = relabel ? withEncoding(bytes, block, '7bit', isTop) : bytes.subarray(0, block.bodyStart);
  return Buffer.concat([header, body]);
}

/** The bytes as this server may get them. `bytes` have CRLF line ends. */
export function fitForTransfer(bytes: Buffer, extensions: TransferExtensions): FittedMail {
  const eightBitOk = extensions.eightBitMime || extensions.smtpUtf8;
  const before = traits(bytes);
  if (!needsWork(before, eightBitOk)) return { bytes, use8BitMime: before.eightBit };
  const fitted = convertEntity(bytes, eightBitOk, 0);
  return { bytes: fitted, use8BitMime: eightBitOk && traits(fitted).eightBit };
}
