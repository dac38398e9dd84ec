/**
 * Hashes of contents that are kept to recognise a repeated submission: under an idempotency key, and under an id (its print). Without a key
 * of encryption such a hash would tell a known text, so it is sealed; and not hashed with that key, as it has to be compared after the key
 * is gone.
 */
import { openSealed, readSealed, type Belonging, type Sealed } from '../sealing/seal.ts';
import type { Sealing } from '../sealing/sealing.ts';

export type HashComparison = 'same' | 'other' | { readonly keyMissing: string };

/** Where a hash is kept: `name` is the hash of an idempotency key, or the id of a message. */
export type HashPlace = 'idempotency key' | 'print';

/** It has no blank: one follows it, and then the id of the message under an idempotency key, or the time of the job after a print. */
export function storedHash(place: HashPlace, name: string, hash: string, { seal }: Sealing): string {
  return seal === null ? hash : JSON.stringify(seal(belonging(place, name), hash));
}

/** Of a stored hash with that of a content. */
export function compareHash(
  place: HashPlace,
  name: string,
  stored: string,
  hash: string,
  { keyring }: Sealing,
): HashComparison {
  const sealed = sealedHashIn(stored);
  if (sealed === null) return stored === hash ? 'same' : 'other';
  const opened = openSealed(sealed, belonging(place, name), keyring);
  if (opened.kind === 'key-missing') return { keyMissing: opened.key };
  return opened.kind === 'open' && opened.text === hash ? 'same' : 'other';
}

/** The hash and what follows it: the id that stands under an idempotency key, or the time after a print. */
export function splitClaim(value: string): readonly [stored: string, rest: string] {
  const at = value.indexOf(' ');
  return at < 0 ? [value, ''] : [value.slice(0, at), value.slice(at + 1)];
}

/** The sealed hash in what stands under an idempotency key; null if there is none. */
export function sealedHashIn(stored: string): Sealed | null {
  if (!stored.startsWith('{')) return null;
  try {
    return readSealed(JSON.parse(stored));
  } catch {
    return null;
  }
}

export type HashResealed =
  | { readonly kind: 'same' }
  /** `key`: that had sealed it; null: none. */
  | { readonly kind: 'sealed'; readonly key: string | null; readonly value: string }
  | { readonly kind: 'key-missing'; readonly key: string }
  | { readonly kind: 'damaged'; readonly key: string };

/** What is to stand there, sealed with the key that seals now. Under idempotency keys there are other notes too, which stay as they are. */
export function resealedHash(place: HashPlace, name: string, value: string, sealing: Sealing): HashResealed {
  const [stored, rest] = splitClaim(value);
  const sealed = sealedHashIn(stored);
  const valueOf = (hash: string): string => `${storedHash(place, name, hash, sealing)} ${rest}`;
  if (sealed === null) {
    return place === 'print' || (isHash(stored) && rest !== '')
      ? { kind: 'sealed', key: null, value: valueOf(stored) }
      : { kind: 'same' };
  }
  if (sealed.f === sealing.keyring.sealing?.print) return { kind: 'same' };
  const opened = openSealed(sealed, belonging(place, name), sealing.keyring);
  if (opened.kind === 'key-missing') return opened;
  if (opened.kind === 'damaged') return { kind: 'damaged', key: sealed.k };
  return { kind: 'sealed', key: sealed.k, value: valueOf(opened.text) };
}

/** SHA-256 in base64url. */
function isHash(text: string): boolean {
  return /^[\w-]{43}$/.test(text);
}

/** No address has a blank outside of quotation marks, so it can stand in no message's place. */
function belonging(place: HashPlace, name: string): Belonging {
  return { id: name, from: `hash of ${place}` };
}
