/**
 * Sessions of the dashboard: a signed cookie that names a token and an end. It holds nothing else, and nothing is stored of it: what the
 * token may do is looked up for each request, so a token that is removed, replaced or expired ends its sessions at once. Links that sign in
 * are made in the same way.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { ApiToken } from '../../config/api.ts';

/** A session ends after this, in ms, whatever is done in it. */
export const sessionMs = 8 * 3_600_000;
/** A link signs in once, and no later than this, in ms. */
export const linkMs = 15 * 60_000;
/** What was done is told on the next page, and no later than this, in ms. */
const noticeMs = 60_000;
const maxNoticeChars = 600;

export interface Session {
  readonly token: ApiToken;
  /** ms since the epoch. */
  readonly expiresAt: number;
  /** Stands in every form of the session, and is known to no other page. */
  readonly formToken: string;
  /** A proxy has signed the user in, and signs them out. */
  readonly byProxy: boolean;
}

export interface Notice {
  readonly good: boolean;
  readonly text: string;
}

/** `key`: the one of all processes. */
export interface Sessions {
  /** → the cookie's value. */
  begin(token: Pick<ApiToken, 'id' | 'sha256'>, now: number): string;
  /** null if it is none of ours, over, or of a token that is not valid any more. */
  read(cookie: string, tokens: readonly ApiToken[], now: number): Session | null;
  /** Of a user whom a proxy names with each request. */
  ofUser(user: ApiToken, now: number): Session;
  /** → what a link holds, in place of the token. */
  link(token: Pick<ApiToken, 'id' | 'sha256'>, now: number): string;
  /** null if it is none of ours, over, or of a token that is not valid any more. `nonce`: by which it is used up. */
  readLink(
    text: string,
    tokens: readonly ApiToken[],
    now: number,
  ): { readonly token: ApiToken; readonly nonce: string } | null;
  /** Of what was done, for the next page: signed, so that no link can put words there. */
  notice(notice: Notice, now: number): string;
  readNotice(cookie: string, now: number): Notice | null;
}

export function createSessions(key: Buffer): Sessions {
  const sign = (purpose: string, ...parts: string[]): string => {
    const hmac = createHmac('sha256', key).update(purpose);
    for (const part of parts) hmac.update('\n').update(part);
    return hmac.digest('base64url');
  };
  const signed = (purpose: string, value: unknown, ...bound: string[]): string => {
    const body = Buffer.from(JSON.stringify(value)).toString('base64url');
    return `${body}.${sign(purpose, body, ...bound)}`;
  };
  const ofToken = (purpose: string, { id, sha256 }: Pick<ApiToken, 'id' | 'sha256'>, end: number): string =>
    signed(purpose, { id, end, nonce: randomBytes(12).toString('base64url') }, sha256);
  const readToken = (purpose: string, text: string, tokens: readonly ApiToken[], now: number) => {
    const [body = '', mac = ''] = text.split('.');
    const { id: named, end, nonce } = parsed(body);
    const token = tokens.find(({ id }) => id === named);
    if (token === undefined || typeof end !== 'number' || typeof nonce !== 'string') return null;
    // The secret of a token may change under its id.
    if (!isEqual(mac, sign(purpose, body, token.sha256))) return null;
    if (now > end || (token.expiresAt !== null && now > token.expiresAt)) return null;
    return { token, end, nonce, body };
  };
  return {
    begin: (token, now) => ofToken('session', token, now + sessionMs),

    read(cookie, tokens, now) {
      const found = readToken('session', cookie, tokens, now);
      if (found === null) return null;
      const { token, end, body } = found;
      return { token, expiresAt: end, formToken: sign('form', body), byProxy: false };
    },

    ofUser: (user, now) => ({
      token: user,
      expiresAt: now + sessionMs,
      formToken: sign('form-of-user', user.id),
      byProxy: true,
    }),

    link: (token, now) => ofToken('link', token, now + linkMs),

    readLink(text, tokens, now) {
      const found = readToken('link', text, tokens, now);
      return found === null ? null : { token: found.token, nonce: found.nonce };
    },

    notice: ({ good, text }, now) =>
      signed('notice', { good, text: text.slice(0, maxNoticeChars), end: now + noticeMs }),

    readNotice(cookie, now) {
      const [body = '', mac = ''] = cookie.split('.');
      if (!isEqual(mac, sign('notice', body))) return null;
      const { good, text, end } = parsed(body);
      if (typeof text !== 'string' || typeof end !== 'number' || now > end) return null;
      return { good: good === true, text };
    },
  };
}

export function isEqual(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}

function parsed(body: string): Readonly<Record<string, unknown>> {
  try {
    return Object(JSON.parse(Buffer.from(body, 'base64url').toString('utf8'))) as Record<string, unknown>;
  } catch {
    return {};
  }
}
