/** Everything that can go wrong, ready to be scripted: `graph.script('sendMail', faults.throttled(10))`. */
import { entraError, graphError } from './answers.ts';
import type { Answer } from './requests.ts';

/**
 * - `instead`: this answer; the work is not done.
 * - `after-work`: the work is done, and this answer hides it.
 * - `reset`, `hang`: how far the request gets. `after-work` has done it; `mid-response` resets within the answer.
 * - `cut`: the connection ends in the middle of the answer.
 * - `add-headers`: all goes well, and the answer says more.
 */
export type Fault =
  | { readonly name: string; readonly kind: 'instead' | 'after-work'; readonly answer: (now: number) => Answer }
  | { readonly name: string; readonly kind: 'reset'; readonly at: ResetPoint }
  | { readonly name: string; readonly kind: 'hang'; readonly at: 'before-body' | 'after-body' | 'after-work' }
  | { readonly name: string; readonly kind: 'cut' }
  | { readonly name: string; readonly kind: 'add-headers'; readonly headers: Readonly<Record<string, string>> };

export type ResetPoint = 'before-body' | 'mid-body' | 'after-body' | 'after-work' | 'mid-response';

const html = '<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>';

function instead(name: string, answer: Answer): Fault {
  return { name, kind: 'instead', answer: () => answer };
}

function error(status: number, code: string, message: string, headers: Readonly<Record<string, string>> = {}): Fault {
  return instead(`${status} ${code}`, graphError(status, code, message, headers));
}

const seconds = (retryAfterSeconds: number | undefined): Record<string, string> =>
  retryAfterSeconds === undefined ? {} : { 'retry-after': String(retryAfterSeconds) };

/** Of all of them, what does not say otherwise is refused before any work. */
export const faults = {
  /** 429 with Retry-After in seconds. */
  throttled: (retryAfterSeconds?: number): Fault =>
    error(429, 'TooManyRequests', 'Too many requests.', seconds(retryAfterSeconds)),
  /** 429 with Retry-After as an HTTP date (RFC 9110 section 10.2.3). Dates have whole seconds: it is rounded up. */
  throttledUntil: (afterMs: number): Fault => ({
    name: '429 with a date',
    kind: 'instead',
    answer: (now) => {
      const at = new Date(Math.ceil((now + afterMs) / 1000) * 1000);
      return graphError(429, 'TooManyRequests', 'Too many requests.', { 'retry-after': at.toUTCString() });
    },
  }),
  /** 429 of a gateway: no body, no Content-Type. */
  throttledEmpty: (retryAfterSeconds?: number): Fault =>
    instead('429 empty', { status: 429, headers: seconds(retryAfterSeconds), body: '' }),
  badGateway: (): Fault => instead('502 HTML', { status: 502, headers: { 'content-type': 'text/html' }, body: html }),
  internal: (code = 'ErrorInternalServerError'): Fault =>
    error(500, code, 'An internal server error occurred. The operation failed.'),
  unavailable: (retryAfterSeconds?: number): Fault =>
    error(503, 'ErrorServerBusy', 'The server is too busy.', seconds(retryAfterSeconds)),
  gatewayTimeout: (): Fault => error(504, 'UnknownError', 'Gateway Timeout'),
  /** The work is done, and the answer is an error of a gateway all the same: 504, unless told otherwise. */
  acceptThen: (status: 500 | 502 | 503 | 504 = 504): Fault => ({
    name: `accepted, then ${status}`,
    kind: 'after-work',
    answer: () => graphError(status, 'UnknownError', ''),
  }),
  reset: (at: ResetPoint): Fault => ({ name: `reset ${at}`, kind: 'reset', at }),
  /** Ends the connection after half of the answer, which the client has then. */
  cut: (): Fault => ({ name: 'cut', kind: 'cut' }),
  hang: (at: 'before-body' | 'after-body' | 'after-work'): Fault => ({ name: `hang ${at}`, kind: 'hang', at }),
  /** Says 200 and has done nothing, as Graph was seen to do with too large a MIME body. */
  silent: (): Fault => instead('200 and nothing sent', { status: 200, headers: {}, body: '' }),
  /** Accepts, and asks to slow down. */
  acceptAndSlowDown: (retryAfterSeconds: number): Fault => ({
    name: 'Retry-After on success',
    kind: 'add-headers',
    headers: seconds(retryAfterSeconds),
  }),
  invalidToken: (): Fault =>
    error(401, 'InvalidAuthenticationToken', 'Access token has expired or is not yet valid.', {
      'www-authenticate': 'Bearer realm="", error="invalid_token"',
    }),
  sendAsDenied: (): Fault =>
    error(
      403,
      'ErrorSendAsDenied',
      'The user account which was used to submit this request does not have the right to send mail on behalf of the specified sending account.',
    ),
  accessDenied: (): Fault => error(403, 'ErrorAccessDenied', 'Access is denied. Check credentials and try again.'),
  mailboxMissing: (): Fault => error(404, 'ErrorInvalidUser', 'The requested user is invalid.'),
  /** Any error of Graph, for the rows of a table. */
  graph: (status: number, code: string, message = code, headers: Readonly<Record<string, string>> = {}): Fault =>
    error(status, code, message, headers),
  /** Any answer at all. */
  answer: (status: number, body = '', headers: Readonly<Record<string, string>> = {}): Fault =>
    instead(`answer ${status}`, { status, headers, body }),
  /** An error of the token endpoint, such as 7000222 (secret expired) or 90033 (temporarily unavailable). */
  entra: (code: number, text = 'Scripted.', status = 401, oauth = 'invalid_client'): Fault =>
    instead(`AADSTS${code}`, entraError(status, oauth, code, text)),
} as const;
