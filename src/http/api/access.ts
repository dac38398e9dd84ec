/** Who asks, and what they may do: token, scope, rate, and the From addresses that a token is limited to. */
import { isDeepStrictEqual } from 'node:util';
import type { Operator } from '../../admin/operator.ts';
import type { ApiToken } from '../../config/api.ts';
import type { Config } from '../../config/config.ts';
import type { Scope } from '../../config/scopes.ts';
import { checkToken } from '../../config/token-check.ts';
import { isStillProxied } from '../../config/ui.ts';
import { routingKey } from '../../message/address.ts';
import type { MessageStatus } from '../../producer/producer.ts';
import type { Problem } from '../problem.ts';

interface TokenSource {
  readonly config: () => Pick<Config, 'api'>;
  readonly now: () => number;
}

export type Access =
  | { readonly ok: true; readonly token: ApiToken }
  | { readonly ok: false; readonly problem: Problem };

/** `authorization` is the header. RFC 6750 section 2.1; a token in the query would be in every log on the way, and is not taken. */
export function authenticate(authorization: string | undefined, { config, now }: TokenSource): Access {
  const shown = /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1];
  if (shown === undefined) return refused('unauthenticated', 'the header Authorization must be `Bearer TOKEN`');
  const found = checkToken(config().api.tokens, shown, now());
  if (found.kind === 'unknown') return refused('unauthenticated', 'the token is not known');
  if (found.kind === 'expired') return refused('unauthenticated', `the token ${found.token.id} has expired`);
  return { ok: true, token: found.token };
}

/** Whether who was let in with it still would be. */
export function isValid(token: ApiToken, { api, ui }: Pick<Config, 'api' | 'ui'>, now: number): boolean {
  const { id, sha256, scopes, from } = token;
  const proxied = isStillProxied(ui.trustedHeader, token);
  if (proxied !== null) return proxied;
  const today = api.tokens.find((each) => each.id === id && each.sha256 === sha256);
  if (today === undefined || (today.expiresAt !== null && now > today.expiresAt)) return false;
  // What has begun with other rights ends, and comes back with those of today.
  return isDeepStrictEqual(today.scopes, scopes) && isDeepStrictEqual(today.from, from);
}

export function hasScope(token: ApiToken, scope: Scope | 'any'): boolean {
  return scope === 'any' || token.scopes.has(scope);
}

export function missingScope(token: ApiToken, scope: Scope | 'any'): Problem {
  return { code: 'forbidden', detail: `the token ${token.id} does not have the scope ${scope}` };
}

/** Takes `cost` from the token's rate, over all processes. null if it is within it. */
export async function takeRate(
  token: ApiToken,
  cost: number,
  { operator }: { readonly operator: () => Promise<Pick<Operator, 'tokenRate'>> },
): Promise<Problem | null> {
  const { id, ratePerMinute } = token;
  if (ratePerMinute === null) return null;
  const waitMs = await (await operator()).tokenRate(id, ratePerMinute, Math.min(cost, ratePerMinute));
  if (waitMs === 0) return null;
  const detail = `the token ${id} may make ${ratePerMinute} requests a minute`;
  return { code: 'rate-limited', detail, retryAfterSeconds: waitMs / 1_000 };
}

/** Whether the token may send as, read and cancel what comes from this address. null is a message of which no From is known. */
export function mayUse({ from }: ApiToken, address: string | null): boolean {
  if (from === null) return true;
  if (address === null) return false;
  const key = routingKey(address);
  return from.includes(key) || from.includes(`*@${key.slice(key.lastIndexOf('@') + 1)}`);
}

/** The From of a message; one that names none gets the unmonitored address when it is routed. */
export function senderOf(
  { from, connector }: Pick<MessageStatus, 'from' | 'connector'>,
  { unmonitoredAddress }: Pick<Config, 'unmonitoredAddress'>,
): string | null {
  return from ?? (connector === null ? (unmonitoredAddress?.address ?? null) : null);
}

function refused(code: Problem['code'], detail: string): Access {
  return { ok: false, problem: { code, detail } };
}
