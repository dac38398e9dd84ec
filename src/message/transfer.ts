/**
 * Fits a finished mail to what the server's extensions allow: UTF-8 in headers, 8-bit content and long lines.
 *
 * 7-bit bytes in lines of at most 998 octets pass untouched, and so does 8-bit content where the server offers 8BITMIME.
 * Otherwise the MIME leaves concerned are encoded anew (text as quoted-printable, the rest and large texts that it would swell as
 * base64) and nothing else
 * changes but Content-Transfer-Encoding fields. A header in UTF-8 needs SMTPUTF8; without it the fields concerned are written in
 * ASCII, or the mail is unfit for this server. Left as they are, for the server to judge:
 * - multipart/signed and multipart/encrypted: any change breaks the signature (RFC 1847 section 2.1), and a mail with a broken
 *   signature that arrives does more harm than one that is refused; nearly every server is 8-bit clean anyway;
 * - message/* other than message/rfc822, which may not be encoded at all (RFC 2046 section 5.2); inside message/rfc822 the leaves are converted.
 * A DKIM signature of an earlier signer breaks when the body is encoded anew; RFC 6376 section 5.3 has signers send 7-bit for that reason.
 */
import { isAscii, isUtf8 } from 'node:buffer';
import { asciiField, fieldsBeyondAscii } from './ascii-header.ts';
import { hasLongLine } from './line-ends.ts';
import { rewriteMime, type Edit, type Entity, type HeaderRewrite, type Policy, type Rewrite } from './mime-walk.ts';
import type { Range } from './part-header.ts';
import { joinPieces } from './pieces.ts';
import { decodeQuotedPrintable, encodeQuotedPrintable } from './quoted-printable.ts';
import { createTurns, inSlices, type Turns } from './turns.ts';

/** What the server offered in its answer to EHLO. */
export interface TransferExtensions {
  /** RFC 6152. */
  readonly eightBitMime: boolean;
  /** RFC 6531; it includes 8-bit content (section 3.1 item 8). */
  readonly smtpUtf8: boolean;
}

export interface FittedMail {
  readonly bytes: Buffer;
  /** MAIL FROM has to say BODY=8BITMIME: content is 8-bit. */
  readonly use8BitMime: boolean;
  /** MAIL FROM has to say SMTPUTF8: a header is UTF-8 (RFC 6531 section 3.4). */
  readonly useSmtpUtf8: boolean;
  /** Why the server may not get the mail; null if it may. */
  readonly unfit: string | null;
}

interface Traits {
  readonly eightBit: boolean;
  readonly longLine: boolean;
}

function traits(bytes: Buffer): Traits {
  return { eightBit: !isAscii(bytes), longLine: hasLongLine(bytes) };
}

function needsWork(found: Traits, eightBitOk: boolean): boolean {
  return found.longLine || (found.eightBit && !eightBitOk);
}

/** Quoted-printable can be read as it is, but a large text of other letters than ours would be three times as large. */
const readableBytes = 64 * 1024;

async function isShorterInBase64(content: Buffer, turns: Turns): Promise<boolean> {
  if (content.length <= readableBytes) return false;
  let escapes = 0;
  await inSlices(0, content.length, turns, (start, end) => {
    for (let i = start; i < end; i += 1) if ((content[i] ?? 0) >= 0x7f || content[i] === 0x3d) escapes += 1;
  });
  // Two characters more for each byte that is escaped; a third and line ends more for all.
  return escapes * 2 > content.length * 0.37;
}

const keep: Rewrite = { kind: 'keep' };

async function rewriteLeaf({ bytes, header, end }: Entity, turns: Turns): Promise<Rewrite> {
  const body = bytes.subarray(header.bodyStart, end);
  let content: Buffer;
  if (header.encoding === 'base64') content = Buffer.from(body.toString('latin1'), 'base64');
  else if (header.encoding === 'quoted-printable') content = await decodeQuotedPrintable(body, turns);
  else if (['', '7bit', '8bit', 'binary'].includes(header.encoding)) content = body;
  else return keep;
  const isText = header.type.startsWith('text/') && !(await isShorterInBase64(content, turns));
  if (header.encoding === 'base64' || !isText) {
    return { kind: 'encode', encoding: 'base64', content: [{ base64: content }] };
  }
  return { kind: 'encode', encoding: 'quoted-printable', content: await encodeQuotedPrintable(content, turns) };
}

/** The bytes as this server may get them, at once where every server takes them. `bytes` have CRLF line ends. */
export function fitForTransfer(
  bytes: Buffer,
  extensions: TransferExtensions,
  turns: Turns = createTurns(),
): FittedMail | Promise<FittedMail> {
  const { eightBit, longLine } = traits(bytes);
  if (!eightBit && !longLine) return { bytes, use8BitMime: false, useSmtpUtf8: false, unfit: null };
  return fitted(bytes, extensions, turns);
}

/** The same in a form that every server takes, where there is one: 7-bit, without SMTPUTF8. Otherwise as `extensions` say. */
export async function fitWithoutEightBit(bytes: Buffer, extensions: TransferExtensions): Promise<FittedMail> {
  const seven = await fitForTransfer(bytes, { eightBitMime: false, smtpUtf8: false });
  return seven.unfit === null ? seven : fitForTransfer(bytes, extensions);
}

async function fitted(bytes: Buffer, extensions: TransferExtensions, turns: Turns): Promise<FittedMail> {
  const { smtpUtf8 } = extensions;
  const eightBitOk = extensions.eightBitMime || smtpUtf8;
  const found = { utf8Header: false };
  const traitsOf = (start: number, end: number): Traits => traits(bytes.subarray(start, end));
  const policy: Policy = {
    isFine: (_bytes, start, end) => !needsWork(traitsOf(start, end), false),
    header: ({ header, frozen, isTop }) => {
      const beyond = fieldsBeyondAscii(bytes, header.start, header.bodyStart);
      const isUtf8Header = beyond.every(({ start, end }) => isUtf8(bytes.subarray(start, end)));
      if (smtpUtf8 && isUtf8Header) found.utf8Header ||= beyond.length > 0;
      return frozen || (smtpUtf8 && isUtf8Header) ? noEdits : asciiEdits(bytes, beyond, isTop, smtpUtf8);
    },
    leaf: (leaf) => {
      const { frozen, header, end } = leaf;
      const isFine = !needsWork(traitsOf(header.bodyStart, end), eightBitOk);
      return frozen || header.type.startsWith('message/') || isFine ? keep : rewriteLeaf(leaf, turns);
    },
    opaque: () => keep,
    margin: () => keep,
  };
  const { pieces, changes, problem } = await rewriteMime(bytes, { start: 0, drops: [] }, policy, turns);
  const useSmtpUtf8 = found.utf8Header;
  if (problem !== null) return { bytes, use8BitMime: false, useSmtpUtf8, unfit: `the message ${problem}` };
  const whole = changes === 0 ? bytes : await joinPieces(pieces, turns);
  return { bytes: whole, use8BitMime: eightBitOk && hasEightBitBody(whole), useSmtpUtf8, unfit: null };
}

const noEdits: HeaderRewrite = { edits: [], problem: null };

function asciiEdits(bytes: Buffer, fields: readonly Range[], isTop: boolean, smtpUtf8: boolean): HeaderRewrite {
  const edits: Edit[] = [];
  for (const { start, end } of fields) {
    const field = asciiField(bytes.subarray(start, end), isTop);
    if (!field.ok) {
      const why = smtpUtf8 ? 'and is no UTF-8 either' : 'and the server does not offer SMTPUTF8';
      return { edits: [], problem: `${field.problem}, ${why}` };
    }
    edits.push({ start, end, text: field.value });
  }
  return { edits, problem: null };
}

/** BODY=8BITMIME is about the body alone (RFC 6152 section 3). */
function hasEightBitBody(bytes: Buffer): boolean {
  const end = bytes.indexOf('\r\n\r\n');
  return end >= 0 && !isAscii(bytes.subarray(end));
}
