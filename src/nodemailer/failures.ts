/** Turns what can go wrong into errors with the codes that users of nodemailer know. */
import { asError, PostlaneError, unreachable } from '../errors.ts';
import type { PostlaneMailError } from './mail.ts';

type Code = PostlaneMailError['code'];

export function mailError(
  code: Code,
  message: string,
  { cause, id }: { readonly cause?: unknown; readonly id?: string | undefined } = {},
): PostlaneMailError {
  const error = new Error(message, cause === undefined ? {} : { cause });
  // What AbortController and nodemailer call it.
  if (code === 'EABORT') error.name = 'AbortError';
  return Object.assign(error, { code }, id === undefined ? {} : { id });
}

/** Any thrown value in nodemailer's form; ours stay what they are. */
export function toMailError(thrown: unknown): PostlaneMailError {
  if (isMailError(thrown)) return thrown;
  if (!(thrown instanceof PostlaneError)) return mailError('ECONNECTION', asError(thrown).message, { cause: thrown });
  return mailError(codeOf(thrown), thrown.message, { cause: thrown, id: thrown.id });
}

function isMailError(thrown: unknown): thrown is PostlaneMailError {
  return thrown instanceof Error && 'code' in thrown && codes.has(String(thrown.code));
}

const codes: ReadonlySet<string> = new Set<Code>([
  'EENVELOPE',
  'EMESSAGE',
  'EABORT',
  'EFILEACCESS',
  'EURLACCESS',
  'ESTREAM',
  'ECONNECTION',
]);

const addressFields = /^(?:from|to|cc|bcc|replyTo|envelope)\b/;

function codeOf({ code, issues }: PostlaneError): Code {
  switch (code) {
    case 'message-invalid':
      return issues.some(({ field }) => addressFields.test(field)) ? 'EENVELOPE' : 'EMESSAGE';
    case 'attachment-missing':
    case 'idempotency-mismatch':
    case 'config-invalid':
      return 'EMESSAGE';
    case 'aborted':
      return 'EABORT';
    case 'redis-unavailable':
    case 'redis-full':
    case 'redis-refused':
    case 'redis-unacknowledged':
    case 'producer-closed':
    case 'format-newer':
    case 'key-missing':
    case 'not-found':
    case 'not-indexed':
    case 'query-invalid':
    case 'timeout':
      return 'ECONNECTION';
    default:
      return unreachable(code);
  }
}
