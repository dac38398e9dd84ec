/** Access tokens for a login by OAuth (XOAUTH2), at a server for SMTP or IMAP. */
import { requestToken, secretsOf } from './entra.ts';
import { googleSecrets, requestGoogleToken } from './google.ts';
import type { OAuthSettings } from './settings.ts';
import { createTokenSource, type TokenSource, type TokenSourceOptions } from './token-source.ts';

/** `now`: ms since the epoch. */
export function loginTokens(
  user: string,
  oauth2: OAuthSettings,
  now: () => number,
  told?: NonNullable<TokenSourceOptions['told']>,
): TokenSource {
  const more = { now, ...(told === undefined ? {} : { told }) };
  if (oauth2.provider === 'microsoft') {
    const { identity, scope } = oauth2;
    const request = (signal: AbortSignal) => requestToken(identity, scope, signal);
    return createTokenSource({ request, timeoutMs: identity.tokenMs, ...more });
  }
  const request = (signal: AbortSignal) => requestGoogleToken(oauth2, user, now(), signal);
  return createTokenSource({ request, timeoutMs: oauth2.tokenMs, ...more });
}

/** What must not be shown of the settings. */
export function loginSecrets(oauth2: OAuthSettings): readonly string[] {
  return oauth2.provider === 'microsoft' ? secretsOf(oauth2.identity.credential) : googleSecrets(oauth2.grant);
}
