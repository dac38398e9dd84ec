/**
 * What an SMTP reply means: one table, first match wins, the phase before the code. Pure; it decides nothing about retries.
 *
 * Until MAIL FROM a failure concerns the connector, whatever its digit says. After it, it concerns the message or one
 * recipient, but for the replies by which a provider throttles, exhausts or blocks the account: those look like refusals
 * of a message, and would fill the dead letters with mail that has nothing wrong with it.
 */
import { printable } from '../errors.ts';
import { askedDelayMs } from './delay.ts';
import type { FaultClass, Reply, Scope } from './transport.ts';

/** `final` is the reply to the final dot. */
export type SmtpPhase = 'connect' | 'tls' | 'greeting' | 'ehlo' | 'auth' | 'mail' | 'rcpt' | 'data' | 'final';

export type Verdict =
  | { readonly kind: 'fault'; readonly fault: FaultClass; readonly pauseMs?: number }
  | {
      readonly kind: 'outcome';
      readonly outcome: 'accepted' | 'deferred' | 'rejected';
      readonly scope: Scope;
      readonly retryAfterMs?: number;
      /** The connector should pause for this long, although the message has an outcome of its own. */
      readonly slowDownMs?: number;
      readonly tooLarge?: boolean;
      /** The login may not use this sender; whoever reports it names both. */
      readonly sendAs?: boolean;
    };

/** A row matches if all that it names matches. `source` is where the meaning comes from. */
export interface ReplyRule {
  readonly phases?: readonly SmtpPhase[];
  readonly code?: RegExp;
  readonly enhanced?: RegExp;
  readonly text?: RegExp;
  readonly verdict: Verdict;
  readonly source: string;
}

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;

const session: readonly SmtpPhase[] = ['connect', 'tls', 'greeting', 'ehlo', 'auth'];
const transaction: readonly SmtpPhase[] = ['mail', 'rcpt', 'data', 'final'];
const wholeMessage: readonly SmtpPhase[] = ['mail', 'data', 'final'];

const fault = (fault: FaultClass, pauseMs?: number): Verdict =>
  pauseMs === undefined ? { kind: 'fault', fault } : { kind: 'fault', fault, pauseMs };
const deferred = (scope: Scope, retryAfterMs?: number): Verdict =>
  retryAfterMs === undefined
    ? { kind: 'outcome', outcome: 'deferred', scope }
    : { kind: 'outcome', outcome: 'deferred', scope, retryAfterMs };
const rejected = (scope: Scope): Verdict => ({ kind: 'outcome', outcome: 'rejected', scope });
const tooLarge: Verdict = { kind: 'outcome', outcome: 'rejected', scope: 'message', tooLarge: true };
const sendAs: Verdict = { kind: 'outcome', outcome: 'rejected', scope: 'message', sendAs: true };

const exchangeCodes =
  'https://learn.microsoft.com/exchange/mail-flow-best-practices/non-delivery-reports-in-exchange-online';
const gmailCodes = 'https://support.google.com/a/answer/3726730';
const sesCodes = 'https://docs.aws.amazon.com/ses/latest/dg/troubleshoot-smtp.html';

export const replyRules: readonly ReplyRule[] = [
  // Before MAIL FROM.
  { phases: session, code: /^421$/, verdict: fault('throttled', minute), source: 'RFC 5321 section 3.8' },
  { phases: ['tls'], code: /^\d/, verdict: fault('tls'), source: 'RFC 3207 section 4' },
  {
    phases: ['auth'],
    code: /^4/,
    text: /too many|rate|throttl/i,
    verdict: fault('throttled', 5 * minute),
    source: gmailCodes,
  },
  { phases: ['auth'], code: /^4/, verdict: fault('unreachable'), source: 'RFC 4954 section 4.7 (454 4.7.0)' },
  {
    phases: ['auth'],
    code: /^(?:50[0-4]|538|555)$/,
    verdict: fault('config'),
    source: 'RFC 4954 section 6; RFC 4954 section 4 (538)',
  },
  {
    phases: ['auth'],
    code: /^5/,
    verdict: fault('auth'),
    source: 'RFC 4954 section 6 (534, 535); Exchange Online 535 5.7.139, 550 5.7.30',
  },
  { phases: ['greeting'], code: /^5/, verdict: fault('blocked'), source: 'RFC 5321 section 3.1 (554)' },
  {
    phases: ['ehlo'],
    code: /^5/,
    verdict: fault('config'),
    source: 'RFC 5321 section 4.1.4: the name given with EHLO',
  },
  { phases: session, verdict: fault('unreachable'), source: 'RFC 5321 section 4.5.4.1' },

  // The answer that matters.
  {
    phases: ['final'],
    code: /^2\d\d$/,
    verdict: { kind: 'outcome', outcome: 'accepted', scope: 'message' },
    source: 'RFC 5321 section 4.2.5',
  },

  // The account is throttled, exhausted, blocked or not logged in.
  {
    phases: ['final'],
    code: /^421$/,
    verdict: { kind: 'outcome', outcome: 'deferred', scope: 'connector', slowDownMs: minute },
    source: 'RFC 5321 section 3.8',
  },
  { phases: transaction, code: /^454$/, text: /daily message quota/i, verdict: fault('quota', hour), source: sesCodes },
  {
    phases: transaction,
    code: /^454$/,
    text: /throttling failure|sending rate/i,
    verdict: fault('throttled', 5 * second),
    source: sesCodes,
  },
  { phases: transaction, code: /^[45]/, enhanced: /^5\.4\.5$/, verdict: fault('quota', hour), source: gmailCodes },
  { phases: transaction, code: /^[45]/, enhanced: /^5\.1\.90$/, verdict: fault('quota', hour), source: exchangeCodes },
  {
    phases: transaction,
    code: /^[45]/,
    text: /SubmissionQuotaExceeded|daily (?:user )?sending (?:limit|quota)/i,
    verdict: fault('quota', hour),
    source: exchangeCodes,
  },
  { phases: transaction, code: /^421$/, verdict: fault('throttled', minute), source: 'RFC 5321 section 3.8' },
  {
    phases: transaction,
    code: /^4/,
    enhanced: /^4\.7\.(?:[56]\d\d)$/,
    verdict: fault('throttled', 5 * minute),
    source: exchangeCodes,
  },
  {
    phases: transaction,
    code: /^432$/,
    verdict: fault('throttled', minute),
    source: 'Exchange Online: 432 4.3.2 concurrent connections limit exceeded',
  },
  {
    phases: transaction,
    code: /^452$/,
    enhanced: /^4\.3\.1$/,
    verdict: fault('throttled', 5 * minute),
    source: 'RFC 3463 section 3.4; Exchange back pressure',
  },
  {
    phases: transaction,
    code: /^4/,
    enhanced: /^4\.7\.28$/,
    verdict: fault('throttled', 5 * minute),
    source: gmailCodes,
  },
  {
    phases: transaction,
    code: /^4/,
    text: /too much mail|too many (?:messages|mails|connections)|message rate|rate limit/i,
    verdict: fault('throttled', minute),
    source: 'https://www.postfix.org/TUNING_README.html#conn_limit',
  },
  {
    phases: transaction,
    code: /^5/,
    enhanced: /^5\.7\.(?:50[1-8]|70[358]|750)$/,
    verdict: fault('blocked'),
    source: exchangeCodes,
  },
  {
    phases: wholeMessage,
    code: /^5/,
    enhanced: /^5\.1\.8$/,
    text: /bad outbound sender|access denied/i,
    verdict: fault('blocked'),
    source: exchangeCodes,
  },
  {
    phases: transaction,
    code: /^530$/,
    verdict: fault('config'),
    source: 'RFC 4954 section 6; Exchange Online 530 5.7.57',
  },
  {
    phases: transaction,
    code: /^5/,
    enhanced: /^5\.7\.30$/,
    verdict: fault('auth'),
    source: 'Exchange Online: basic authentication is not supported for client submission',
  },
  {
    phases: transaction,
    code: /^503$/,
    verdict: deferred('connector'),
    source: 'RFC 5321 section 4.2.2: bad sequence, which a new session does not have',
  },

  // The sender is not this login's to use.
  { phases: transaction, code: /^5/, enhanced: /^5\.7\.60$|^5\.2\.252$/, verdict: sendAs, source: exchangeCodes },
  {
    phases: transaction,
    code: /^5/,
    text: /SendAsDenied|not owned by|send(?:ing)? as this (?:sender|address)|not (?:allowed|authorized|permitted) to (?:send|use)[^.]{0,40}(?:\bas\b|\bfrom\b|sender|address)/i,
    verdict: sendAs,
    source: 'https://www.postfix.org/postconf.5.html#reject_sender_login_mismatch',
  },

  // Size, number of recipients.
  {
    phases: transaction,
    enhanced: /^5\.[23]\.[34]$/,
    code: /^5/,
    text: /size|large|big|length|limit/i,
    verdict: tooLarge,
    source: 'RFC 3463 sections 3.3 and 3.4',
  },
  { phases: transaction, code: /^523$/, verdict: tooLarge, source: exchangeCodes },
  { phases: transaction, code: /^5/, enhanced: /^5\.3\.4$/, verdict: tooLarge, source: 'RFC 3463 section 3.4' },
  {
    phases: ['rcpt'],
    code: /^(?:452|55[02])$/,
    enhanced: /^[45]\.5\.3$/,
    verdict: deferred('recipient'),
    source: 'RFC 5321 section 4.5.3.1.10; RFC 3463 section 3.6',
  },
  {
    phases: ['rcpt'],
    code: /^(?:452|55[02])$/,
    text: /too many recipients/i,
    verdict: deferred('recipient'),
    source: 'RFC 5321 section 4.5.3.1.10',
  },
  { phases: wholeMessage, code: /^552$/, verdict: tooLarge, source: 'RFC 1870 section 6.2' },

  // A mailbox that is full or busy; greylisting.
  {
    phases: ['rcpt'],
    code: /^4/,
    enhanced: /^4\.2\.[12]$/,
    verdict: deferred('recipient', 10 * minute),
    source: gmailCodes,
  },
  {
    phases: transaction,
    code: /^45[01]$/,
    text: /gr[ae]y-?list/i,
    verdict: deferred('recipient', 5 * minute),
    source: 'RFC 6647 section 5',
  },
  {
    phases: ['rcpt'],
    code: /^45[01]$/,
    enhanced: /^4\.7\.1$/,
    verdict: deferred('recipient', 5 * minute),
    source: 'RFC 6647 section 5',
  },

  // By phase and digit.
  { phases: ['rcpt'], code: /^5/, verdict: rejected('recipient'), source: 'RFC 5321 section 4.2.1' },
  { phases: wholeMessage, code: /^5/, verdict: rejected('message'), source: 'RFC 5321 section 4.2.1' },
  { phases: ['rcpt'], verdict: deferred('recipient'), source: 'RFC 5321 section 4.2.1; anything unknown is temporary' },
  {
    phases: wholeMessage,
    verdict: deferred('message'),
    source: 'RFC 5321 section 4.2.1; anything unknown is temporary',
  },
];

/** What a reply means in its phase. Total: whatever is unknown is temporary, and only 2xx to the final dot is `accepted`. */
export function classify(phase: SmtpPhase, reply: Reply): Verdict {
  const matches = (pattern: RegExp | undefined, value: string | null): boolean =>
    pattern === undefined || (value !== null && pattern.test(value));
  const rule = replyRules.find(
    (row) =>
      (row.phases?.includes(phase) ?? true) &&
      matches(row.code, reply.code) &&
      matches(row.enhanced, reply.enhancedCode) &&
      matches(row.text, reply.text),
  );
  return withAskedDelay(rule?.verdict ?? deferred('message'), reply.text);
}

/** A delay that the server names wins over the table's. */
function withAskedDelay(verdict: Verdict, text: string | null): Verdict {
  const asked = text === null ? null : askedDelayMs(text);
  if (asked === null) return verdict;
  if (verdict.kind === 'fault') {
    return verdict.fault === 'throttled' || verdict.fault === 'quota' ? { ...verdict, pauseMs: asked } : verdict;
  }
  if (verdict.outcome !== 'deferred') return verdict;
  return {
    ...verdict,
    retryAfterMs: asked,
    ...(verdict.slowDownMs === undefined ? {} : { slowDownMs: asked }),
  };
}

/** Socket and TLS failures before MAIL FROM: what Node calls a certificate or protocol that does not fit. */
const tlsCodes =
  /^(?:CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|ERR_TLS_|ERR_SSL_|ERR_OSSL_|HOSTNAME_MISMATCH|INVALID_|CRL_|EPROTO$)/;

/** What a failure without a reply means before MAIL FROM. `code` is the socket's error code. */
export function classifySocketFault(code: string | null): FaultClass {
  return code !== null && tlsCodes.test(code) ? 'tls' : 'unreachable';
}

/** Longest reply text that is kept. RFC 5321 allows 512 octets a line, and servers send essays of many. */
const maxTextLength = 500;

/** Reads a reply: `550-5.1.1 first line\n550 5.1.1 second line`. What does not begin with a code is kept as text. */
export function parseReply(raw: string): Reply {
  const lines = raw.split(/\r?\n/, 50);
  const first = /^([2-5]\d\d)(?:[ -]|$)(?:([245]\.\d{1,3}\.\d{1,3})(?=\s|$))?/.exec(lines[0] ?? '');
  const code = first?.[1] ?? null;
  const enhancedCode =
    first?.[2] ?? /^[2-5]\d\d[ -].{0,80}?#?([245]\.\d{1,3}\.\d{1,3})\b/.exec(lines[0] ?? '')?.[1] ?? null;
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
