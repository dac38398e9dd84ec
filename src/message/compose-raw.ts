/** Composes the bytes of a message that came finished, and of a mail that is attached to another. */
import type { Parsed } from './address.ts';
import { headerStart, readHeaderBlock } from './header-block.ts';
import { joinPieces } from './pieces.ts';
import { sendableMail } from './sendable.ts';
import type { Turns } from './turns.ts';

/** The message without its Bcc fields, in the form that can be sent; every other byte stays, and so do the octets of each part. */
export async function composeRaw(bytes: Buffer, turns: Turns): Promise<Parsed<Buffer>> {
  const start = headerStart(bytes);
  const { fields, problem } = readHeaderBlock(bytes, start);
  if (problem !== null) return { ok: false, problem };
  const blind = fields.filter(({ name }) => ['bcc', 'resent-bcc'].includes(name.toLowerCase()));
  return sendable(bytes, start, blind, turns);
}

/** The attached mail, or other message/*, in lines that end in CRLF. */
export async function composeAttachedMail(bytes: Buffer, contentType: string, turns: Turns): Promise<Parsed<Buffer>> {
  if (/^message\/(?:rfc822|global)\s*(?:;|$)/i.test(contentType)) return sendable(bytes, headerStart(bytes), [], turns);
  if (bytes.includes(0)) return { ok: false, problem: 'has a NUL' };
  return { ok: true, value: await joinPieces([{ source: bytes, start: 0, end: bytes.length }], turns) };
}

async function sendable(
  bytes: Buffer,
  start: number,
  drops: readonly { readonly start: number; readonly end: number }[],
  turns: Turns,
): Promise<Parsed<Buffer>> {
  const { pieces, changes, problem, isClean } = await sendableMail(bytes, start, drops, turns);
  if (problem !== null) return { ok: false, problem };
  const isSame = changes === 0 && isClean && start === 0;
  return { ok: true, value: isSame ? bytes : await joinPieces(pieces, turns) };
}
