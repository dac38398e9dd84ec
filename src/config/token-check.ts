/** Which token a caller has shown: compared with all of them by hash, in a time that does not depend on which one it is. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { ApiToken } from './api.ts';

export type TokenCheck =
  | { readonly kind: 'token'; readonly token: ApiToken }
  | { readonly kind: 'expired'; readonly token: ApiToken }
  | { readonly kind: 'unknown' };

/** Of a token, in characters. Nothing else is hashed. */
const written = /^[\x21-\x7e]{32,200}$/;

/** `now`: ms since the epoch. A token of 256 random bits needs no slow hash. */
export function checkToken(tokens: readonly ApiToken[], shown: string, now: number): TokenCheck {
  if (!written.test(shown)) return { kind: 'unknown' };
  const hash = createHash('sha256').update(shown).digest();
  let found: ApiToken | null = null;
  for (const token of tokens) if (timingSafeEqual(hash, Buffer.from(token.sha256, 'hex'))) found = token;
  if (found === null) return { kind: 'unknown' };
  return { kind: found.expiresAt !== null && now > found.expiresAt ? 'expired' : 'token', token: found };
}
