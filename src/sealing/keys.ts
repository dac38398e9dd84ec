/** Keys as a configuration or an application gives them: their form, their names, and what is wrong with them. */
import type { Issue } from '../errors.ts';

/** Bytes of a key: AES-256, and a pseudorandom key for HKDF-SHA256 (RFC 5869 section 3.3). */
export const keyBytes = 32;
/** Keys that one process may have: a rotation needs two, a merger of installations some more. */
const maxKeys = 64;
/** A key's name is stored with each message, so it is short. */
export const keyNamePattern = '^[a-z0-9][a-z0-9_-]{0,31}$';
const keyName = new RegExp(keyNamePattern);

export function isKeyName(text: string): boolean {
  return keyName.test(text);
}

/** The keys of an installation. A key is 32 bytes, or their base64 (also base64url) or hex. */
export interface EncryptionKeys {
  /** Name of the key that seals. Every other one only opens. */
  readonly active: string;
  readonly keys: Readonly<Record<string, string | Uint8Array>>;
}

/** The bytes of a key; null if it is not 32 bytes. White space around it, such as the line end of a file, does not count. */
export function readKey(given: string | Uint8Array): Buffer | null {
  if (typeof given !== 'string') return given.length === keyBytes ? Buffer.from(given) : null;
  const text = given.trim();
  // Buffer.from() ignores what is no base64, so the form is checked before.
  if (/^[0-9a-fA-F]{64}$/.test(text)) return Buffer.from(text, 'hex');
  if (!/^[A-Za-z0-9+/_-]{43}=?$/.test(text)) return null;
  const bytes = Buffer.from(text, 'base64');
  return bytes.length === keyBytes ? bytes : null;
}

/** What is wrong with keys, by the path within them. No key is in the text. */
export function keyIssues({ active, keys }: EncryptionKeys): Issue[] {
  const names = Object.keys(keys);
  const bytes = new Map<string, string>();
  const issues: Issue[] = [];
  if (names.length > maxKeys) {
    issues.push({ field: 'keys', rule: 'key-count', message: `has ${names.length} keys; the limit is ${maxKeys}` });
  }
  for (const name of names.slice(0, maxKeys)) {
    const field = `keys.${name}`;
    if (!isKeyName(name)) {
      issues.push({ field, rule: 'key-name', message: 'has a name of 1 to 32 characters of a-z 0-9 _ -' });
      continue;
    }
    const key = readKey(keys[name]!)?.toString('hex');
    if (key === undefined) {
      const message = 'must be 32 bytes in base64 or hex; make one with `openssl rand -base64 32`';
      issues.push({ field, rule: 'key-bytes', message });
    } else if (bytes.has(key)) {
      issues.push({ field, rule: 'key-twice', message: `is the same key as ${bytes.get(key)}` });
    } else bytes.set(key, name);
  }
  if (!Object.hasOwn(keys, active)) {
    const known = names.filter(isKeyName).slice(0, 10).join(', ') || 'none';
    issues.push({ field: 'active', rule: 'key-active', message: `must be the name of one of the keys: ${known}` });
  }
  return issues;
}
