/** Errors for callers: the table of codes, the one error class, and the safe handling of unknown values. */

/** Code → meaning. `docs/errors.md` has the same table; a test compares the two. */
export const errorCodes = {
  'config-invalid': 'The configuration has mistakes; `issues` lists all of them.',
  'message-invalid': 'The message breaks a rule of the message schema; `issues` names each field and rule.',
  'idempotency-mismatch': 'Another message was submitted under this key; nothing was stored.',
  'redis-unavailable':
    'Redis could not be reached in time; nothing is known to be stored. Call again with the same id.',
  'redis-full':
    'Redis has no memory or no disk for new messages; nothing was stored. Call again later with the same id.',
  'redis-refused': 'Redis answered with an error (read-only, no permission); nothing was stored.',
  'redis-unacknowledged':
    'Too few replicas confirmed the message in time, or the master that took it was lost. Call again with the same id.',
  'format-newer': 'A newer release of Postlane wrote this data; this release does not know its form.',
  'producer-closed': 'The producer was used after close().',
  'not-indexed': 'Messages are not indexed by this filter; `issues` names it and the setting.',
  'query-invalid': 'The query has a filter, a limit or a cursor of no valid form; `issues` names it.',
  'not-found': 'No message, dead letter or connector with this id.',
  'attachment-missing': 'Stored content that a message refers to is gone from Redis, or is not what its hash says.',
  'key-missing':
    'What is asked for is sealed with a key that this process does not have; `issues` names it. Nothing is lost.',
  timeout: 'A wait ended before what it waited for happened.',
  aborted: 'The signal that was passed to the call ended it; what was sent to Redis before is not taken back.',
} as const;

export type ErrorCode = keyof typeof errorCodes;

/** One broken rule. `field` is a path such as `attachments[2].content`; `rule` is a stable word; `message` is for people. */
export interface Issue {
  readonly field: string;
  readonly rule: string;
  readonly message: string;
}

/** The only error class that crosses the public surface. `code` is stable, `message` is for people. */
export class PostlaneError extends Error {
  readonly code: ErrorCode;
  readonly issues: readonly Issue[];
  /** Id of the message concerned, if known. Calling again with this id never sends the message twice. */
  readonly id: string | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    options: { issues?: readonly Issue[]; id?: string; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.name = 'PostlaneError';
    this.code = code;
    this.issues = options.issues ?? [];
    this.id = options.id;
  }
}

/** `what` is there, and can be read where the key of that name is. */
export function keyMissing(what: string, key: string, id?: string): PostlaneError {
  return new PostlaneError('key-missing', `${what} is sealed with the key "${key}", which this process does not have`, {
    issues: [{ field: 'encryption.keys', rule: 'key-missing', message: key }],
    ...(id === undefined ? {} : { id }),
  });
}

/** The name of the key, if that is what an error says; throws any other. */
export function missingKeyOf(thrown: unknown): string {
  if (thrown instanceof PostlaneError && thrown.code === 'key-missing') return thrown.issues[0]?.message ?? '';
  throw thrown;
}

/** A thrown value as an Error. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(printable(String(thrown), 500));
}

/**
 * What a terminal or an editor obeys instead of showing it: C0 and C1 controls, the line separators, and the characters that turn the
 * direction of text (Bidi_Control of Unicode's PropList.txt; "Trojan Source", CVE-2021-42574).
 */
// oxlint-disable-next-line no-control-regex -- control characters are what this finds
const obeyed = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]+/g;

/**
 * Makes foreign text (a server's reply, an error's message) safe to print: control characters become spaces, so that it
 * cannot forge log lines or move the cursor of a terminal, and it is cut at `limit` characters.
 */
export function printable(text: string, limit: number): string {
  // What is cut off is not looked at either: the text may be megabytes.
  const head = text.length > limit * 4 + 1_000 ? `${text.slice(0, limit * 4)}…` : text;
  const clean = head.replace(obeyed, ' ').trim();
  return clean.length <= limit ? clean : `${clean.slice(0, limit - 1)}…`;
}

/** The same for a whole line, whose blanks count. */
export function harmless(line: string): string {
  return line.replace(obeyed, ' ');
}

/** JSON in which no character is left that a terminal obeys. JSON itself escapes C0 only; its line ends are between documents. */
export function harmlessJson(json: string): string {
  return json.replace(
    /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Marks a switch as exhaustive for the compiler. Reaching it is a bug. */
export function unreachable(value: never): never {
  throw new Error(`unreachable: ${JSON.stringify(value)}`);
}

/** A time as JSON and people get it: RFC 3339 in UTC. A number from Redis may be out of range, for which toISOString throws. */
export function shownTime(ms: number): string {
  return Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : String(ms);
}
