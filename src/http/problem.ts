/** What a request is refused with: `application/problem+json` (RFC 9457), its codes, and how the product's own errors become one. */
import { PostlaneError, printable, type ErrorCode, type Issue } from '../errors.ts';
import { redisError } from '../queue/redis/connection.ts';

interface ProblemKind {
  readonly status: number;
  readonly title: string;
}

/** Code → status and title, beside the product's own codes. `docs/errors.md` has the same table; a test compares the two. */
export const problemKinds = {
  'invalid-request': { status: 422, title: 'The request breaks a rule; `issues` names each field and rule.' },
  'malformed-request': { status: 400, title: 'The request is no HTTP or JSON that can be read.' },
  unauthenticated: { status: 401, title: 'There is no token, or it is unknown or expired.' },
  forbidden: { status: 403, title: 'The token may not do this.' },
  'method-not-allowed': {
    status: 405,
    title: 'There is no such method here; the header `Allow` lists those there are.',
  },
  'request-timeout': { status: 408, title: 'The request did not arrive in time.' },
  conflict: { status: 409, title: 'The state of the message or connector does not allow this now.' },
  'too-large': { status: 413, title: 'The body, or the message in it, is too large.' },
  'unsupported-media-type': { status: 415, title: 'The body is of a type that is not taken here.' },
  misdirected: { status: 421, title: 'The server is not asked for by a name of its own (`api.hosts`).' },
  'rate-limited': { status: 429, title: 'The token has used up its rate, or its quota of the day.' },
  internal: { status: 500, title: 'The server has failed; the log has the reason.' },
  unavailable: { status: 503, title: 'The server cannot answer now; ask again later.' },
} as const satisfies Readonly<Record<string, ProblemKind>>;

const errorKinds: Readonly<Record<ErrorCode, ProblemKind>> = {
  'config-invalid': { status: 500, title: 'The configuration has mistakes.' },
  'message-invalid': { status: 422, title: 'The message breaks a rule; `issues` names each field and rule.' },
  'idempotency-mismatch': { status: 422, title: 'Another message was submitted under this key.' },
  'redis-unavailable': { status: 503, title: 'Redis could not be reached in time; ask again.' },
  'redis-full': { status: 503, title: 'Redis has no room for new messages; ask again later.' },
  'redis-refused': { status: 503, title: 'Redis answered with an error.' },
  'redis-unacknowledged': { status: 503, title: 'Too few replicas confirmed the message; ask again with its id.' },
  'format-newer': { status: 503, title: 'A newer release of Postlane wrote this data.' },
  'producer-closed': { status: 503, title: 'The server is stopping; ask again.' },
  'not-indexed': { status: 422, title: 'Messages cannot be found by this filter: it has no index.' },
  'query-invalid': {
    status: 422,
    title: 'A filter, a limit or the cursor of the query is not valid; `issues` names it.',
  },
  'not-found': { status: 404, title: 'There is nothing of this name.' },
  'attachment-missing': { status: 422, title: 'Content that the message refers to is not stored.' },
  'key-missing': { status: 409, title: 'It is sealed with a key that the server does not have.' },
  timeout: { status: 504, title: 'The answer did not come in time.' },
  aborted: { status: 503, title: 'The request was given up.' },
};

export type ProblemCode = keyof typeof problemKinds | ErrorCode;

export interface Problem {
  readonly code: ProblemCode;
  /** Of this occurrence; never a token, a body or a secret. */
  readonly detail: string;
  readonly issues?: readonly Issue[];
  /** Of the message concerned. */
  readonly id?: string;
  readonly retryAfterSeconds?: number;
  /** Further members, such as the state that is in the way. */
  readonly more?: Readonly<Record<string, unknown>>;
}

/** Each code is explained there. */
const typeBase = 'https://github.com/postlane/postlane/blob/main/docs/errors.md#';
const maxDetailChars = 500;

export function kindOf(code: ProblemCode): ProblemKind {
  return { ...problemKinds, ...errorKinds }[code];
}

/** When to ask again where nothing better is known, in seconds. */
const usualRetrySeconds = 2;

/** The document, and the headers that go with it. */
export function problemDocument(problem: Problem): {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, string>>;
} {
  const { code, detail, issues, id, more, retryAfterSeconds } = problem;
  const { status, title } = kindOf(code);
  const retry = retryAfterSeconds ?? (status === 503 ? usualRetrySeconds : null);
  return {
    status,
    body: {
      ...more,
      type: `${typeBase}${code}`,
      title,
      status,
      detail: printable(detail, maxDetailChars),
      code,
      ...(issues === undefined || issues.length === 0 ? {} : { issues }),
      ...(id === undefined ? {} : { id }),
      // A part of a batch has no header.
      ...(retry === null ? {} : { retryAfterMs: Math.max(1, Math.ceil(retry * 1_000)) }),
    },
    headers: {
      ...(retry === null ? {} : { 'Retry-After': String(Math.max(1, Math.ceil(retry))) }),
      ...(status === 401 ? { 'WWW-Authenticate': 'Bearer realm="postlane"' } : {}),
    },
  };
}

/** What was thrown on the way to Redis, as an answer. Whatever is no error of ours or of Redis is a fault of the server. */
export function problemOf(thrown: unknown): Problem {
  if (!(thrown instanceof PostlaneError) && !isRedisError(thrown)) {
    return { code: 'internal', detail: 'The log of the server has the reason.' };
  }
  const { code, message, issues, id } = redisError(thrown);
  const tooLarge = code === 'message-invalid' && issues.length > 0 && issues.every(({ rule }) => rule === 'too-large');
  return { code: tooLarge ? 'too-large' : code, detail: message, issues, ...(id === undefined ? {} : { id }) };
}

/** Errors of the client of Redis have a name of their own, a reply, or a code of the socket. */
function isRedisError(thrown: unknown): boolean {
  if (!(thrown instanceof Error)) return false;
  return (
    /^(?:ReplyError|MaxRetriesPerRequestError|ClusterAllFailedError|AbortError)$/.test(thrown.name) ||
    /Connection is closed|Command timed out|Stream isn't writeable|Socket timeout/.test(thrown.message) ||
    /^E[A-Z]+$/.test((thrown as NodeJS.ErrnoException).code ?? '')
  );
}
