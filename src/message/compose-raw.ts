/** Composes the bytes of a message that came finished, and of a mail that is attached to another. */
import { headerStart, readSafeHeader } from './header-block.ts';
import { dateField } from './header-lines.ts';
import type { Range } from './part-header.ts';
import { joinMeasured, joinPieces, measurePieces } from './pieces.ts';
import { sendableMail } from './sendable.ts';
import type { Turns } from './turns.ts';

/** What a message gets that has none of its own (RFC 6409 sections 8.2 and 8.3). */
export interface Missing {
  /** With its angle brackets; '' adds none. */
  readonly messageId: string;
  readonly date: Date;
}

/** The bytes of a mail, or why there are none; `problem` continues a sentence that begins with the message. */
export type Composed =
  | { readonly ok: true; readonly value: Buffer }
  | { readonly ok: false; readonly problem: string; readonly reason: 'unsendable' | 'too-large' };

export function tooLarge(size: number, maxBytes: number): Composed {
  return { ok: false, problem: `would have ${size} bytes; the limit is ${maxBytes}`, reason: 'too-large' };
}

function unsendable(problem: string): Composed {
  return { ok: false, problem, reason: 'unsendable' };
}

/**
 * The message without its Bcc fields and with Message-ID and Date, in the form that can be sent. Every other byte stays, and so do
 * the octets of each part. What is added stands in front, where no signature of the message covers it.
 */
export async function composeRaw(
  bytes: Buffer,
  missing: Missing,
  turns: Turns,
  maxBytes = Infinity,
): Promise<Composed> {
  const start = headerStart(bytes);
  const { fields, problem } = readSafeHeader(bytes, start);
  if (problem !== null) return unsendable(problem);
  const named = (...names: readonly string[]) => fields.filter(({ name }) => names.includes(name.toLowerCase()));
  const drops = named('bcc', 'resent-bcc');
  const added: string[] = [];
  for (const [name, line] of [
    ['message-id', missing.messageId === '' ? '' : `Message-ID: ${missing.messageId}`],
    ['date', dateField(missing.date)],
  ] as const) {
    const own = named(name);
    if (line === '' || own.some(({ value }) => value !== '')) continue;
    added.push(`${line}\r\n`);
    drops.push(...own);
  }
  return sendable(bytes, start, { drops: drops.toSorted((a, b) => a.start - b.start), added }, turns, maxBytes);
}

/** The attached mail, or other message/*, in lines that end in CRLF. */
export async function composeAttachedMail(bytes: Buffer, contentType: string, turns: Turns): Promise<Composed> {
  if (/^message\/(?:rfc822|global)\s*(?:;|$)/i.test(contentType))
    return sendable(bytes, headerStart(bytes), { drops: [], added: [] }, turns, Infinity);
  if (bytes.includes(0)) return unsendable('has a NUL');
  return { ok: true, value: await joinPieces([{ source: bytes, start: 0, end: bytes.length }], turns) };
}

async function sendable(
  bytes: Buffer,
  start: number,
  { drops, added }: { readonly drops: readonly Range[]; readonly added: readonly string[] },
  turns: Turns,
  maxBytes: number,
): Promise<Composed> {
  const { pieces, changes, problem, isClean } = await sendableMail(bytes, start, drops, turns);
  if (problem !== null) return unsendable(problem);
  const isSame = changes === 0 && isClean && start === 0 && added.length === 0;
  const measured = isSame ? null : await measurePieces([...added, ...pieces], turns);
  const size = measured?.size ?? bytes.length;
  if (size > maxBytes) return tooLarge(size, maxBytes);
  return { ok: true, value: measured === null ? bytes : await joinMeasured(measured, turns) };
}
