/**
 * Asks Google for one access token: with a refresh token, or as a service account that acts for a user.
 * https://developers.google.com/identity/protocols/oauth2
 */
import { createPrivateKey, sign } from 'node:crypto';
import { printable } from '../../errors.ts';
import { createHttpClient, HttpFailure, type HttpAnswer } from '../http.ts';
import { objectOf, readRetryAfter } from '../http-reply.ts';
import { privateKeysOf } from '../mask.ts';
import { classifySocketFault } from '../socket-fault.ts';
import type { GoogleGrant, OAuthSettings } from './settings.ts';
import type { Token } from './entra.ts';
import { TokenFailure } from './entra-errors.ts';
import type { FaultClass } from '../transport.ts';

type GoogleSettings = Extract<OAuthSettings, { provider: 'google' }>;

/** For SMTP, IMAP and POP together; there is none for SMTP alone. */
const scope = 'https://mail.google.com/';
/** The longest validity that Google accepts. */
const assertionSeconds = 3_600;

/** `user`: the account that a service account acts for. `now`: ms since the epoch. Rejects with TokenFailure. */
export async function requestGoogleToken(
  { grant, tokenUrl, ca, proxy = null, tokenMs }: GoogleSettings,
  user: string,
  now: number,
  signal: AbortSignal,
): Promise<Token> {
  const body = new URLSearchParams(formOf(grant, user, tokenUrl, now)).toString();
  const http = createHttpClient(ca, 1, { proxy });
  try {
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const answer = await http.request({ url: tokenUrl, method: 'POST', headers, body, signal, timeoutMs: tokenMs });
    const json = objectOf(answer.text);
    const token = answer.status === 200 ? json?.['access_token'] : undefined;
    const seconds = json?.['expires_in'];
    if (typeof token !== 'string') throw refusal(answer, now);
    return { token, expiresAt: now + lifetimeOf(seconds) * 1_000 };
  } catch (error) {
    if (!(error instanceof HttpFailure)) throw error;
    throw new TokenFailure(error.ofProxy ? classifySocketFault(error.code) : 'unreachable', {
      code: error.code,
      enhancedCode: null,
      text: `no token from Google: ${error.message}`,
    });
  } finally {
    http.close();
  }
}

/** In seconds. A value beyond reason would keep a token for ever, or ask for one per message. */
function lifetimeOf(seconds: unknown): number {
  return typeof seconds === 'number' ? Math.min(Math.max(seconds, 60), 24 * 3_600) : assertionSeconds;
}

/** Values that must never be shown. */
export function googleSecrets(grant: GoogleGrant): readonly string[] {
  return grant.kind === 'refreshToken' ? [grant.clientSecret, grant.refreshToken] : privateKeysOf(grant.privateKey);
}

function formOf(grant: GoogleGrant, user: string, audience: string, now: number): Record<string, string> {
  if (grant.kind === 'refreshToken') {
    const { clientId, clientSecret, refreshToken } = grant;
    return {
      grant_type: 'refresh_token',
      client_id: clientId,
      client_secret: clientSecret,
      refresh_token: refreshToken,
    };
  }
  const assertion = assertionOf(grant, user, audience, now);
  return { grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion };
}

/** RFC 7523 section 3; https://developers.google.com/identity/protocols/oauth2/service-account#authorizingrequests. */
function assertionOf(
  { clientEmail, privateKey }: Extract<GoogleGrant, { kind: 'serviceAccount' }>,
  user: string,
  audience: string,
  now: number,
): string {
  const seconds = Math.floor(now / 1_000);
  const claims = { iss: clientEmail, sub: user, scope, aud: audience, iat: seconds, exp: seconds + assertionSeconds };
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const unsigned = `${encode({ alg: 'RS256', typ: 'JWT' })}.${encode(claims)}`;
  try {
    return `${unsigned}.${sign('sha256', Buffer.from(unsigned), createPrivateKey(privateKey)).toString('base64url')}`;
  } catch {
    const text = 'the private key of the service account cannot be used';
    throw new TokenFailure('auth', { code: null, enhancedCode: null, text });
  }
}

/** https://developers.google.com/identity/protocols/oauth2/web-server#exchange-errors-invalid-grant */
const refusals: Readonly<Record<string, { readonly fault: FaultClass; readonly hint: string }>> = {
  invalid_grant: {
    fault: 'auth',
    hint: 'the refresh token has expired or was revoked (after 7 days while the consent screen is in testing), or the clock of this machine is wrong',
  },
  invalid_client: { fault: 'auth', hint: 'the client id or its secret is wrong' },
  deleted_client: { fault: 'config', hint: 'the OAuth client was deleted' },
  unauthorized_client: {
    fault: 'config',
    hint: 'allow the service account domain-wide delegation for https://mail.google.com/ in the Admin console',
  },
  access_denied: { fault: 'config', hint: 'an administrator has to allow the application' },
};

function refusal(answer: HttpAnswer, now: number): TokenFailure {
  const json = objectOf(answer.text);
  const code = typeof json?.['error'] === 'string' ? json['error'] : '';
  const said = typeof json?.['error_description'] === 'string' ? json['error_description'] : code;
  const known = Object.hasOwn(refusals, code) ? refusals[code] : undefined;
  const text = printable(
    `no token from Google: ${known?.hint ?? `${answer.status}`} ${said === '' ? '' : `(${said})`}`,
    400,
  );
  const reply = { code: String(answer.status), enhancedCode: null, text };
  const pauseMs = readRetryAfter(answer.headers['retry-after'] ?? null, now) ?? undefined;
  if (answer.status === 429) return new TokenFailure('throttled', reply, pauseMs);
  return new TokenFailure(known?.fault ?? (answer.status < 500 ? 'auth' : 'unreachable'), reply);
}
