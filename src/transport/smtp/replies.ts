/** Reads SMTP replies and classifies them by the table. Pure; it decides nothing about retries. */
import { printable } from '../../errors.ts';
import { askedDelayMs } from '../retry-hint.ts';
import { loginRules, namesWrongLogin } from './login-rules.ts';
import { replyRules, type ReplyRule, type SmtpPhase, type Verdict } from './reply-table.ts';
import type { Reply } from '../transport.ts';

/**
 * What a reply means in its phase, by the first of the operator's rules that matches, else by the table. Total: an unknown
 * reply is temporary, and only 2xx to the end of data is `accepted`. A delay in the text wins over the table's, but not over
 * one that an operator's rule names.
 */
export function classify(phase: SmtpPhase, reply: Reply, own: readonly ReplyRule[] = []): Verdict {
  const ruled = own.find((row) => matches(row, phase, reply));
  if (ruled !== undefined) {
    const verdict = namesDelay(ruled.verdict) ? ruled.verdict : withAskedDelay(ruled.verdict, reply.text);
    return { ...verdict, believed: true };
  }
  const rows = phase === 'auth' ? loginRules : replyRules;
  const verdict = rows.find((row) => matches(row, phase, reply))?.verdict ?? unknown;
  return phase === 'auth' ? afterLogin(verdict, reply.text) : withAskedDelay(verdict, reply.text);
}

const unknown: Verdict = { kind: 'outcome', outcome: 'deferred', scope: 'message' };

function matches(row: ReplyRule, phase: SmtpPhase, { code, enhancedCode, text }: Reply): boolean {
  const fits = (pattern: RegExp | undefined, value: string | null): boolean =>
    pattern === undefined || (value !== null && pattern.test(value));
  return row.phases.includes(phase) && fits(row.code, code) && fits(row.enhanced, enhancedCode) && fits(row.text, text);
}

function namesDelay(verdict: Verdict): boolean {
  return verdict.kind === 'fault'
    ? verdict.pauseMs !== undefined
    : verdict.retryAfterMs !== undefined || verdict.slowDownMs !== undefined;
}

/** A delay that the server names wins over the table's. */
function withAskedDelay(verdict: Verdict, text: string | null): Verdict {
  if (verdict.kind === 'outcome' && verdict.outcome !== 'deferred') return verdict;
  const asked = text === null ? null : askedDelayMs(text);
  if (asked === null) return verdict;
  if (verdict.kind === 'fault') return { ...verdict, pauseMs: asked };
  return {
    ...verdict,
    retryAfterMs: asked,
    ...(verdict.slowDownMs === undefined ? {} : { slowDownMs: asked }),
  };
}

/** The first pause after a wrong password. */
const wrongPasswordMs = 60_000;

/**
 * A login that may be tried again at a told time is not refused for its password. If the text names a wrong one all the same, a told
 * time that is shorter than the pause of a wrong password is not kept: it would be one failed login after the other.
 */
function afterLogin(verdict: Verdict, text: string | null): Verdict {
  const told = withAskedDelay(verdict, text);
  if (told.kind !== 'fault' || told.fault !== 'auth' || told.pauseMs === undefined) return told;
  if (told.pauseMs < wrongPasswordMs && namesWrongLogin(text ?? '')) return verdict;
  return { ...told, fault: 'throttled' };
}

/** Longest reply text that is kept. RFC 5321 allows 512 octets a line, and servers send essays of many. */
const maxTextLength = 500;

function codesOf(lines: readonly string[]): ReadonlySet<string> {
  return new Set(lines.flatMap((line) => /^([2-5]\d\d)(?:[ -]|$)/.exec(line)?.[1] ?? []));
}

/**
 * Reads a reply: `550-5.1.1 first line\n550 5.1.1 second line`. What does not begin with a code is kept as text, and so is
 * a reply whose lines disagree on the code (RFC 5321 section 4.2.1), because each line would be a different answer.
 */
export function parseReply(raw: string): Reply {
  const lines = raw.includes('\n') ? raw.split(/\r?\n/, 50) : [raw];
  const first = /^([2-5]\d\d)(?:[ -]|$)(?:([245]\.\d{1,3}\.\d{1,3})(?=\s|$))?/.exec(lines[0] ?? '');
  const agree = lines.length === 1 || codesOf(lines).size < 2;
  const code = agree ? (first?.[1] ?? null) : null;
  const enhancedCode =
    first?.[2] ?? /^[2-5]\d\d[ -].{0,80}?[\s([#]([245]\.\d{1,3}\.\d{1,3})(?![.\d])/.exec(lines[0] ?? '')?.[1] ?? null;
  const text = lines
    .map((line) => {
      const rest = code !== null && line.startsWith(code) ? line.slice(4) : line;
      return enhancedCode !== null && rest.startsWith(enhancedCode) ? rest.slice(enhancedCode.length) : rest;
    })
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .join(' ');
  return { code, enhancedCode, text: text === '' ? null : printable(text, maxTextLength) };
}
