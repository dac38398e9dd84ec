/**
 * The keyring: which keys there are, by name, and what is derived from each.
 *
 * A key is never used by itself. HKDF-SHA256 (RFC 5869) makes one key per process for bodies, one per content, and one by which contents
 * are named. Deriving costs more than sealing 4 KiB, so what was derived is kept, as much as there is room for.
 */
import { createHmac, createSecretKey, hkdfSync, randomBytes, type KeyObject } from 'node:crypto';
import { PostlaneError } from '../errors.ts';
import { keyBytes, keyIssues, readKey, type EncryptionKeys } from './keys.ts';

/** A key as it is named in what it has sealed. */
export interface KeyName {
  /** For people. A key that has another name by now still fits. */
  readonly name: string;
  /** Of the key itself, which is found by it: a key of the same name that is another one does not fit. */
  readonly print: string;
}

/** What seals. */
export interface SealingKey extends KeyName {
  /** For bodies: one salt for so many messages of this process, and the key that is derived with it. */
  body(): { readonly salt: string; readonly key: KeyObject };
  /** Keyed SHA-256 (HMAC), in hex: who has no key cannot tell which known text or file it is of. */
  digest(bytes: string | Buffer): string;
}

export interface Keyring {
  /** null: nothing is sealed. */
  readonly sealing: SealingKey | null;
  /** Digests under each key, of something that may have been named before a rotation. */
  digests(bytes: string | Buffer): string[];
  /** The derived key for what a key has sealed; null: that key is not here. */
  derive(name: KeyName, salt: Buffer, what: 'body' | 'content'): KeyObject | null;
  /** Names of all keys. */
  readonly names: readonly string[];
  readonly keys: readonly KeyName[];
}

/** Of a salt for bodies. */
export const saltBytes = 16;
/** Bytes of a key's print, in base64url. */
const printBytes = 6;
/**
 * Messages under one derived key. With random nonces of 96 bits, two of 2^28 are the same with a probability of 2^-41; NIST SP 800-38D
 * (section 8.3) allows 2^32.
 */
const messagesPerSalt = 2 ** 28;
/** Derived keys that are kept: each process that has sealed what waits has one. */
const mostDerived = 4_096;

export const noKeys: Keyring = { sealing: null, digests: () => [], derive: () => null, names: [], keys: [] };

interface Key extends KeyName {
  readonly master: Buffer;
  readonly naming: KeyObject;
}

/** @throws PostlaneError `config-invalid` with every mistake */
export function createKeyring(given: EncryptionKeys | null | undefined): Keyring {
  if (given === null || given === undefined) return noKeys;
  const issues = keyIssues(given).map((issue) => ({ ...issue, field: `encryption.${issue.field}` }));
  if (issues.length > 0) {
    const text = issues.map(({ field, message }) => `${field} ${message}`).join('; ');
    throw new PostlaneError('config-invalid', `The keys are not valid: ${text}`, { issues });
  }
  const all = Object.entries(given.keys).map(([name, key]) => keyOf(name, readKey(key)!));
  const byPrint = new Map(all.map((key) => [key.print, key]));
  const derived = createLatest<KeyObject>(mostDerived);
  const active = all.find(({ name }) => name === given.active)!;
  return {
    names: all.map(({ name }) => name),
    keys: all.map(({ name, print }) => ({ name, print })),
    digests: (bytes) => all.map((key) => mac(key, bytes)),
    sealing: { name: active.name, print: active.print, body: bodyKeys(active), digest: (bytes) => mac(active, bytes) },

    derive({ print }, salt, what) {
      const key = byPrint.get(print);
      if (key === undefined) return null;
      const place = `${print} ${what} ${salt.toString('latin1')}`;
      return derived(place, () => expand(key.master, salt, `postlane v2 ${what}`));
    },
  };
}

function keyOf(name: string, master: Buffer): Key {
  const none = Buffer.alloc(0);
  const print = Buffer.from(hkdfSync('sha256', master, none, 'postlane v2 print', printBytes)).toString('base64url');
  return { name, master, print, naming: expand(master, none, 'postlane v2 index') };
}

function mac({ naming }: Key, bytes: string | Buffer): string {
  return createHmac('sha256', naming).update(bytes).digest('hex');
}

function expand(master: Buffer, salt: Buffer, info: string): KeyObject {
  return createSecretKey(Buffer.from(hkdfSync('sha256', master, salt, info, keyBytes)));
}

function bodyKeys({ master }: Key): SealingKey['body'] {
  let left = 0;
  let current: ReturnType<SealingKey['body']> | null = null;
  return () => {
    if (left === 0 || current === null) {
      const salt = randomBytes(saltBytes);
      current = { salt: salt.toString('base64'), key: expand(master, salt, 'postlane v2 body') };
      left = messagesPerSalt;
    }
    left -= 1;
    return current;
  };
}

/** Keeps the values that were used last. */
function createLatest<T>(most: number): (key: string, make: () => T) => T {
  const values = new Map<string, T>();
  return (key, make) => {
    const found = values.get(key);
    const value = found ?? make();
    // A Map is in the order of insertion.
    if (found !== undefined) values.delete(key);
    else if (values.size >= most) values.delete(values.keys().next().value!);
    values.set(key, value);
    return value;
  };
}
