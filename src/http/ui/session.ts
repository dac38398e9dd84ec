/**
 * Sessions of the dashboard: a signed cookie that names a token and an end. It holds nothing else, and nothing is stored of it: what the
 * token may do is looked up for each request, so a token that is removed, replaced or expired ends its sessions at once.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { ApiToken } from '../../config/api.ts';

/** A session ends after this, in ms, whatever is done in it. */
export const sessionMs = 8 * 3_600_000;
/** What was done is told on the next page, and no later than this, in ms. */
const noticeMs = 60_000;
const maxNoticeChars = 600;

export interface Session {
  readonly token: ApiToken;
  /** ms since the epoch. */
  readonly expiresAt: number;
  /** Stands in every form of the session, and is known to no other page. */
  readonly formToken: string;
}

export interface Notice {
  readonly good: boolean;
  readonly text: string;
}

/** `key`: the one of all processes. */
export interface Sessions {
  /** → the cookie's value. */
  begin(token: ApiToken, now: number): string;
  /** null if it is none of ours, over, or of a token that is not valid any more. */
  read(cookie: string, tokens: readonly ApiToken[], now: number): Session | null;
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
  return {
    begin: ({ id, sha256 }, now) =>
      signed('session', { id, end: now + sessionMs, nonce: randomBytes(12).toString('base64url') }, sha256),

    read(cookie, tokens, now) {
      const [body = '', mac = ''] = cookie.split('.');
      const value = parsed(body);
      const token = tokens.find(({ id }) => id === value['id']);
      const { end } = value;
      if (token === undefined || typeof end !== 'number') return null;
      // The secret of a token may change under its id.
      if (!isEqual(mac, sign('session', body, token.sha256))) return null;
      if (now > end || (token.expiresAt !== null && now > token.expiresAt)) return null;
      return { token, expiresAt: end, formToken: sign('form', body) };
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
