/** Passwords and their hashes: scrypt (RFC 7914), as the configuration has them. */
import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import {
  formatPasswordHash,
  keyBytes,
  parsePasswordHash,
  passwordCost,
  saltBytes,
  type PasswordCost,
} from '../config/password-hash.ts';

/** Longer ones are not hashed; in UTF-8. */
export const maxPasswordBytes = 1_024;

/** 160 bits in 32 letters and digits: no character that a device's keyboard or a shell does not have. */
export function generatePassword(random: (size: number) => Buffer = randomBytes): string {
  const letters = 'abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789';
  let password = '';
  while (password.length < 32) {
    for (const byte of random(64)) {
      // Of the bytes that would favour some letters, none is used.
      if (byte < letters.length * 4 && password.length < 32) password += letters[byte % letters.length]!;
    }
  }
  return password;
}

export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(saltBytes);
  return formatPasswordHash({ ...passwordCost, salt, key: await derive(password, salt, passwordCost) });
}

export async function verifyPassword(password: string, hash: string): Promise<boolean> {
  const known = parsePasswordHash(hash);
  if (known === null) return false;
  return timingSafeEqual(await derive(password, known.salt, known), known.key);
}

/** A hash that no password has; to look at it takes as long as at any other. */
export function unknownHash(): string {
  return formatPasswordHash({ ...passwordCost, salt: randomBytes(saltBytes), key: randomBytes(keyBytes) });
}

function derive(password: string, salt: Buffer, { ln, r, p }: PasswordCost): Promise<Buffer> {
  const N = 2 ** ln;
  const options = { N, r, p, maxmem: 256 * N * r };
  return new Promise((resolve, reject) => {
    scrypt(password, salt, keyBytes, options, (error, key) => {
      if (error === null) resolve(key);
      else reject(error);
    });
  });
}
