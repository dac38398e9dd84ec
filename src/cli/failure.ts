/** How a command ends: 0 success, 1 the operation failed, 2 usage or configuration error; and how an error is reported. */
import { CommanderError } from 'commander';
import { asError, type ErrorCode, PostlaneError } from '../errors.ts';
import { formatIssues, type ConfigIssue } from '../config/issues.ts';
import type { Terminal } from './terminal.ts';

export type ExitCode = 0 | 1 | 2;

/** A mistake in the command or in the configuration: exit code 2. The JSON contains `issues` unchanged. */
export class UsageError extends Error {
  readonly code: 'usage' | 'config-invalid';
  readonly issues: readonly ConfigIssue[];

  constructor(message: string, issues: readonly ConfigIssue[] = []) {
    super(message);
    this.name = 'UsageError';
    this.code = issues.length > 0 ? 'config-invalid' : 'usage';
    this.issues = issues;
  }
}

/** The state of what the command is about does not allow it: exit code 1. */
export class Conflict extends Error {
  readonly code = 'conflict';
}

/** Code → exit code and what to do next. A message that is refused is a usage error: the same call fails again. */
const advice: Readonly<Record<ErrorCode, { readonly exit: ExitCode; readonly next: string | null }>> = {
  'config-invalid': { exit: 2, next: 'Correct the file, then run `postlane check`.' },
  'message-invalid': { exit: 2, next: null },
  'idempotency-mismatch': { exit: 2, next: null },
  'redis-unavailable': {
    exit: 1,
    next: 'Check that Redis is running and that `redis` or REDIS_URL points to it, with `postlane check --connect`.',
  },
  'redis-full': {
    exit: 1,
    next: 'Workers make room while they send. If it lasts, start more workers, raise `maxmemory`, or free the disk of Redis.',
  },
  'redis-refused': {
    exit: 1,
    next: 'Redis answers with an error: check its role (replica?) and its ACL.',
  },
  'redis-unacknowledged': { exit: 1, next: null },
  'format-newer': { exit: 1, next: 'Use the `postlane` of the release that the workers run.' },
  'producer-closed': { exit: 1, next: null },
  'not-indexed': { exit: 2, next: 'See docs/search.md for what is indexed, and since when.' },
  'query-invalid': { exit: 2, next: null },
  'not-found': { exit: 1, next: null },
  'attachment-missing': { exit: 1, next: null },
  'key-missing': { exit: 1, next: 'Add the key to `encryption.keys`; docs/encryption.md says where keys are needed.' },
  timeout: { exit: 1, next: null },
  aborted: { exit: 1, next: null },
};

/** Reports the error and returns the exit code. With --json it is one document on stderr, as stdout has results only. */
export function report(thrown: unknown, terminal: Terminal): ExitCode {
  // Commander has already reported its own errors; help and version are not errors.
  if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : 2;
  if (thrown instanceof UsageError) {
    const lines = [thrown.message, ...formatIssues(thrown.issues).map((line) => `  ${line}`)];
    return tell(terminal, 2, thrown.code, thrown.message, thrown.issues, lines);
  }
  if (thrown instanceof PostlaneError) {
    const { exit, next } = advice[thrown.code];
    const lines = [thrown.message, ...(next === null ? [] : [next])];
    return tell(terminal, exit, thrown.code, thrown.message, thrown.issues, lines);
  }
  if (thrown instanceof Conflict) return tell(terminal, 1, thrown.code, thrown.message, [], [thrown.message]);
  const { message } = asError(thrown);
  return tell(terminal, 1, 'failed', message, [], [message]);
}

/** Reports a usage error that commander found, in the same form. */
export function reportUsage(text: string, terminal: Terminal): void {
  // An argument may have line ends of its own; Commander's suggestion is on a line of its own.
  const message = text
    .trim()
    .replace(/^error: /, '')
    .replaceAll(/\n(?!\(Did you mean)/g, ' ');
  tell(terminal, 2, 'usage', message, [], [message]);
}

function tell(
  terminal: Terminal,
  exit: ExitCode,
  code: string,
  message: string,
  issues: readonly unknown[],
  lines: readonly string[],
): ExitCode {
  if (terminal.json) terminal.error(JSON.stringify({ error: { code, message, issues } }));
  else terminal.error(`postlane: ${lines.join('\n')}`);
  return exit;
}
