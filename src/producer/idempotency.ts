/**
 * Idempotency keys: the first message under a key takes it, with its id and the hash of its content; the same message again finds both, and
 * another one is refused. The key is taken before the message is stored, so a crash in between leaves a key with a message to come: the
 * caller, who got no answer, comes again with both.
 */
import { createHash } from 'node:crypto';
import { keyMissing, PostlaneError } from '../errors.ts';
import { unsealed, type Sealing } from '../sealing/sealing.ts';
import type { Message } from '../message/message.ts';
import { compareHash, splitClaim, storedHash, type ClaimKey } from '../queue/callers.ts';
import type { AcceptedMessage } from './accept.ts';

/** Of a key, in characters. */
const maxKeyChars = 256;
/** Of who submits. */
const submitterPattern = /^[\w.@+-]{1,128}$/;

/** The time to the deadline of a message that names none, and some more: a key outlives the row of its message. */
const usualLifetimeMs = 48 * 3_600_000;

export interface KeyedBy {
  readonly key: string;
  /** Keys of different submitters are different. */
  readonly submittedBy: string | undefined;
}

/** @throws PostlaneError `message-invalid` */
export function checkOptions(key: string | undefined, submittedBy: string | undefined, via: string | undefined): void {
  const issues = [
    ...(key === undefined || (key.length > 0 && key.length <= maxKeyChars && /^[\x20-\x7e]+$/.test(key))
      ? []
      : [{ field: 'idempotencyKey', rule: 'range', message: `has 1 to ${maxKeyChars} printable ASCII characters` }]),
    ...(submittedBy === undefined || submitterPattern.test(submittedBy)
      ? []
      : [{ field: 'submittedBy', rule: 'id', message: 'has 1 to 128 letters, digits and . _ @ + -' }]),
    ...(via === undefined || /^[a-z0-9][a-z0-9_-]{0,63}$/.test(via)
      ? []
      : [{ field: 'via', rule: 'id', message: 'is no id of a connector' }]),
  ];
  if (issues.length === 0) return;
  const named = issues.map(({ field, message }) => `${field} ${message}`).join('; ');
  throw new PostlaneError('message-invalid', `The options are not valid: ${named}`, { issues });
}

/**
 * The message under the id that its key stands for, and the hash of its content.
 *
 * @throws PostlaneError `idempotency-mismatch`; `key-missing` if it was used for a message that was sealed with a key that is not here
 */
export async function claimKey(
  accepted: AcceptedMessage,
  { key, submittedBy }: KeyedBy,
  claim: ClaimKey,
  retentionMs: number,
  now: number,
  sealing: Sealing = unsealed,
): Promise<AcceptedMessage & { readonly contentHash: string }> {
  const { id, message, broughtId } = accepted;
  const hash = contentHash(message);
  const forMs = rowLifetimeMs(message, now, retentionMs);
  const name = keyHash({ key, submittedBy });
  const [taken, takenId] = splitClaim(
    await claim(name, `${storedHash('idempotency key', name, hash, sealing)} ${id}`, forMs),
  );
  const compared = compareHash('idempotency key', name, taken, hash, sealing);
  if (typeof compared === 'object') throw keyMissing('What was sent under this idempotency key', compared.keyMissing);
  const isSame = compared === 'same';
  if (!isSame || (broughtId && takenId !== id)) {
    const what = isSame ? 'with another id' : 'with another content';
    throw new PostlaneError('idempotency-mismatch', `This key was used for a message ${what}`, { id: takenId });
  }
  return { id: takenId, message: { ...message, id: takenId }, broughtId: true, contentHash: hash };
}

/** Under which a key stands. */
export function keyHash({ key, submittedBy }: KeyedBy): string {
  return createHash('sha256')
    .update(`${submittedBy ?? ''}\n${key}`)
    .digest('base64url');
}

/** About how long the row of a message that is accepted now will be there, in ms: rather too long. */
export function rowLifetimeMs({ sendAt, expiresAt }: Message, now: number, retentionMs: number): number {
  const latest = Math.max(now, ...[sendAt, expiresAt].map((time) => Date.parse(time ?? '') || 0));
  return latest - now + usualLifetimeMs + retentionMs;
}

/** SHA-256 of the normal form without its id. Large contents are hashed as they are, without a copy. */
function contentHash({ id: _id, attachments, raw, headers, metadata, text, html, ...rest }: Message): string {
  const hash = createHash('sha256');
  const contents = [...attachments, ...(raw === undefined ? [] : [raw])];
  const described = contents.map((each) => ('content' in each ? { ...each, content: each.content.length } : each));
  const small = { ...rest, headers: inOrder(headers), metadata: inOrder(metadata ?? {}), described };
  hash.update(JSON.stringify([small, text === undefined, html === undefined, attachments.length]));
  for (const part of [text ?? '', html ?? '', ...contents.map((each) => ('content' in each ? each.content : ''))]) {
    hash.update(`\n${part.length}\n`).update(part);
  }
  return hash.digest('base64url');
}

/** JSON objects have no order, so the same message may name its own headers in another one. */
function inOrder(map: Readonly<Record<string, unknown>>): [string, unknown][] {
  return Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1));
}
