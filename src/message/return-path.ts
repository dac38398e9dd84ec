/** A unique return path for each mail (VERP): the pattern of a connector with the id of the message, signed so that a stranger cannot make one up. Pure. */
import { createHmac } from 'node:crypto';

/** Stands for the id in a pattern such as `bounces+{id}@example.com`. */
export const idPlace = '{id}';
/** RFC 5321 section 4.5.3.1.1. */
export const maxLocalPartChars = 64;
/** Of the signature and the hyphen behind it. Sixty bits: each guess is a mail. */
export const signatureChars = 13;

const alphabet = 'abcdefghijklmnopqrstuvwxyz234567';

/** In lower case, which servers do not change. */
function signature(id: string, key: Buffer): string {
  const digest = createHmac('sha256', key).update(id).digest();
  return Array.from(digest.subarray(0, signatureChars - 1), (byte) => alphabet.charAt(byte & 31)).join('');
}

/** null: an id of this length does not fit. */
export function returnPath(pattern: string, id: string, key: Buffer): string | null {
  const path = pattern.replace(idPlace, () => `${signature(id, key)}-${id}`);
  return path.lastIndexOf('@') > maxLocalPartChars ? null : path;
}

/** The id in an address that was made from this pattern with this key; null if it was not. */
export function idInReturnPath(address: string, pattern: string, key: Buffer): string | null {
  const [before = '', after = ''] = pattern.split(idPlace);
  const folded = address.toLowerCase();
  if (address.length < before.length + after.length) return null;
  if (!folded.startsWith(before.toLowerCase()) || !folded.endsWith(after.toLowerCase())) return null;
  const [, signed = '', id = ''] =
    /^([a-z2-7]+)-([A-Za-z0-9_-]{1,128})$/i.exec(address.slice(before.length, address.length - after.length)) ?? [];
  return id !== '' && signed.toLowerCase() === signature(id, key) ? id : null;
}
