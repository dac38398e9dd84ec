/**
 * Seals texts: AES-256-GCM under a key that is derived from one of the keyring. What a text belongs to is authenticated with it, so that
 * sealed texts cannot be exchanged between messages.
 */
import { createCipheriv, createDecipheriv } from 'node:crypto';
import { saltBytes, type Keyring, type SealingKey } from './keyring.ts';
import { isKeyName } from './keys.ts';
import { createNonces, nonceBytes } from './nonces.ts';

/** A sealed text, as it is stored: all but the names in base64. */
export interface Sealed {
  /** Name of the key, and its print. */
  readonly k: string;
  readonly f: string;
  /** Salt, nonce and tag. */
  readonly s: string;
  readonly n: string;
  readonly t: string;
  readonly c: string;
}

/** What a text belongs to. */
export interface Belonging {
  readonly id: string;
  /** The address that a message is from, '' for none. */
  readonly from: string;
}

export type Opened =
  | { readonly kind: 'open'; readonly text: string }
  /** No key of that name is here, or another one. */
  | { readonly kind: 'key-missing'; readonly key: string }
  /** It is not what was sealed, or belongs to something else. */
  | { readonly kind: 'damaged' };

export type Seal = (belonging: Belonging, text: string) => Sealed;

const cipherName = 'aes-256-gcm';
export const tagBytes = 16;

export function createSeal(sealing: SealingKey): Seal {
  const nonces = createNonces();
  const { name: k, print: f } = sealing;
  return (belonging, text) => {
    const { salt, key } = sealing.body();
    const nonce = nonces();
    const cipher = createCipheriv(cipherName, key, nonce, { authTagLength: tagBytes });
    cipher.setAAD(aadOf(k, belonging));
    // GCM has no padding: there is nothing left at the end. Bytes take two thirds of the time that text does here.
    const c = cipher.update(text, 'utf8');
    cipher.final();
    const [n, t] = [nonce.toString('base64'), cipher.getAuthTag().toString('base64')];
    return { k, f, s: salt, n, t, c: c.toString('base64') };
  };
}

/** Opens what `readSealed` has found to be of the form. */
export function openSealed({ k, f, s, n, t, c }: Sealed, belonging: Belonging, keyring: Keyring): Opened {
  const key = keyring.derive({ name: k, print: f }, Buffer.from(s, 'base64'), 'body');
  if (key === null) return { kind: 'key-missing', key: k };
  const decipher = createDecipheriv(cipherName, key, Buffer.from(n, 'base64'), { authTagLength: tagBytes });
  decipher.setAAD(aadOf(k, belonging));
  decipher.setAuthTag(Buffer.from(t, 'base64'));
  try {
    const text = decipher.update(c, 'base64');
    // Nothing of it is used before this has found it authentic.
    decipher.final();
    return { kind: 'open', text: text.toString() };
  } catch {
    return { kind: 'damaged' };
  }
}

/** Null if the value is no sealed text. */
export function readSealed(value: unknown): Sealed | null {
  if (typeof value !== 'object' || value === null) return null;
  const { k, f, s, n, t, c } = value as Readonly<Record<string, unknown>>;
  if (typeof k !== 'string' || !isKeyName(k) || typeof f !== 'string' || !/^[\w-]{8}$/.test(f)) return null;
  if (!isBase64(s, saltBytes) || !isBase64(n, nonceBytes) || !isBase64(t, tagBytes) || typeof c !== 'string')
    return null;
  return { k, f, s, n, t, c };
}

function isBase64(value: unknown, bytes: number): value is string {
  // Twice as long as base64 would be is not looked at.
  return typeof value === 'string' && value.length <= bytes * 2 && Buffer.from(value, 'base64').length === bytes;
}

/** Line ends can be in no name, id or address, so no two belongings have one text. */
function aadOf(key: string, { id, from }: Belonging): Buffer {
  return Buffer.from(`postlane\n2\n${key}\n${id}\n${from}`);
}
