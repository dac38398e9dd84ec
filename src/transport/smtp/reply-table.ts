/**
 * What SMTP replies mean: rows of data, of which the first match wins, each with the page it comes from. The phase comes
 * before the code.
 *
 * Until MAIL FROM a failure concerns the connector, whatever its digit says. After that it concerns the message or one
 * recipient, except for the replies by which a provider throttles, exhausts or blocks the account: those look like refusals
 * of a message, and would fill the dead letters with mail that has nothing wrong with it.
 */
import type { FaultClass, Scope } from '../transport.ts';

/** When a reply was given. `data`: before the message. `end-of-data`: after it (RFC 5321 section 4.1.1.4). */
export type SmtpPhase = 'connect' | 'tls' | 'greeting' | 'ehlo' | 'auth' | 'mail' | 'rcpt' | 'data' | 'end-of-data';

/** `believed`: the operator's own word. It is not asked whose fault it is. */
export type Verdict =
  | { readonly kind: 'fault'; readonly fault: FaultClass; readonly pauseMs?: number; readonly believed?: true }
  | {
      readonly kind: 'outcome';
      readonly outcome: 'accepted' | 'deferred' | 'rejected';
      readonly scope: Scope;
      readonly retryAfterMs?: number;
      /** The connector should pause for this long, in addition to the outcome of the message. */
      readonly slowDownMs?: number;
      readonly tooLarge?: boolean;
      /** The login may not use this sender; the outcome's text names both. */
      readonly sendAs?: boolean;
      readonly believed?: true;
    };

interface Pattern {
  readonly code?: RegExp;
  readonly enhanced?: RegExp;
  readonly text?: RegExp;
  /** Of an operator's text: upper bound of the steps of a search in so many characters. */
  readonly steps?: (length: number) => number;
}

/** A row matches if all that it names matches. `source` is where the meaning comes from. */
export interface ReplyRule extends Pattern {
  readonly phases: readonly SmtpPhase[];
  readonly verdict: Verdict;
  readonly source: string;
}

const rule = (phases: readonly SmtpPhase[], pattern: Pattern, verdict: Verdict, source: string): ReplyRule => ({
  phases,
  ...pattern,
  verdict,
  source,
});

const minute = 60_000;

const beforeLogin: readonly SmtpPhase[] = ['connect', 'tls', 'greeting', 'ehlo'];
const transaction: readonly SmtpPhase[] = ['mail', 'rcpt', 'data', 'end-of-data'];
const rcpt: readonly SmtpPhase[] = ['rcpt'];
const endOfData: readonly SmtpPhase[] = ['end-of-data'];
const wholeMessage: readonly SmtpPhase[] = ['mail', 'data', 'end-of-data'];

/** How long a lane pauses is in docs/retries.md: only the server's own word replaces it. */
const fault = (fault: FaultClass): Verdict => ({ kind: 'fault', fault });
const deferred = (scope: Scope, retryAfterMs?: number): Verdict =>
  retryAfterMs === undefined
    ? { kind: 'outcome', outcome: 'deferred', scope }
    : { kind: 'outcome', outcome: 'deferred', scope, retryAfterMs };
const rejected = (scope: Scope): Verdict => ({ kind: 'outcome', outcome: 'rejected', scope });
const accepted: Verdict = { kind: 'outcome', outcome: 'accepted', scope: 'message' };
const tooLarge: Verdict = { kind: 'outcome', outcome: 'rejected', scope: 'message', tooLarge: true };
const sendAs: Verdict = { kind: 'outcome', outcome: 'rejected', scope: 'message', sendAs: true };

const exchangeCodes =
  'https://learn.microsoft.com/exchange/mail-flow-best-practices/non-delivery-reports-in-exchange-online';
const gmailCodes = 'https://support.google.com/a/answer/3726730';
const sesCodes = 'https://docs.aws.amazon.com/ses/latest/dg/troubleshoot-smtp.html';
const sesErrors = 'https://docs.aws.amazon.com/ses/latest/dg/troubleshoot-error-messages.html';
const exchangeSubmission = 'https://learn.microsoft.com/exchange/troubleshoot/send-emails/smtp-submission-improvements';
const postfixRestrictions = 'https://www.postfix.org/postconf.5.html#smtpd_client_restrictions';

export const replyRules: readonly ReplyRule[] = [
  // Before MAIL FROM. What is said to AUTH is in login-rules.ts.
  rule(beforeLogin, { code: /^421$/ }, fault('throttled'), 'RFC 5321 section 3.8'),
  rule(
    ['greeting', 'ehlo'],
    {
      code: /^[45]/,
      text: /\btoo many (?:\w+ ){0,3}(?:connections?|sessions?|clients?|processes)\b|\b(?:connection|session|rate) (?:rate |count )?limit|\b(?:maximum|max) (?:number of )?(?:\w+ )?(?:connections|sessions)\b|\bconcurrent\b|\bthrottl/i,
    },
    fault('throttled'),
    'https://www.postfix.org/TUNING_README.html#conn_limit',
  ),
  rule(['tls'], { code: /^\d/ }, fault('tls'), 'RFC 3207 section 4'),
  rule(['greeting'], { code: /^5/ }, fault('blocked'), 'RFC 5321 section 3.1 (554)'),
  rule(['ehlo'], { code: /^5/ }, fault('config'), 'RFC 5321 section 4.1.4: the name given with EHLO'),
  rule(beforeLogin, {}, fault('unreachable'), 'RFC 5321 section 4.5.4.1'),

  // The answer that matters.
  rule(endOfData, { code: /^2\d\d$/ }, accepted, 'RFC 5321 section 4.2.5'),

  // The recipient takes mail from some senders only, who "must be authenticated".
  rule(transaction, { code: /^5/, text: /RESOLVER\.(?:RST|ADR)\./i }, rejected('recipient'), exchangeCodes),

  // The account is throttled, exhausted, blocked or not logged in.
  rule(transaction, { code: /^454$/, text: /daily message quota/i }, fault('quota'), sesCodes),
  rule(transaction, { code: /^454$/, text: /throttling failure|sending rate/i }, fault('throttled'), sesCodes),
  rule(transaction, { code: /^[45]/, enhanced: /^5\.4\.5$/ }, fault('quota'), gmailCodes),
  rule(transaction, { code: /^[45]/, enhanced: /^5\.(?:1\.90|7\.23[23])$/ }, fault('quota'), exchangeCodes),
  // The sending mailbox is full, of its own sent items. "554 5.2.2" alone would be the recipient's.
  rule(
    transaction,
    { code: /^5/, text: /STOREDRV\.(?:Submission|ClientSubmit).{0,40}QuotaExceededException/i },
    fault('quota'),
    exchangeSubmission,
  ),
  rule(
    transaction,
    { code: /^[45]/, text: /SubmissionQuotaExceeded|daily (?:user |SMTP relay )?(?:sending )?(?:limit|quota)/i },
    fault('quota'),
    gmailCodes,
  ),
  rule(transaction, { code: /^421$/ }, fault('throttled'), 'RFC 5321 section 3.8'),
  rule(transaction, { code: /^4/, enhanced: /^4\.7\.(?:[56]\d\d)$/ }, fault('throttled'), exchangeCodes),
  rule(
    transaction,
    { code: /^432$/ },
    fault('throttled'),
    'Exchange Online: 432 4.3.2 concurrent connections limit exceeded',
  ),
  rule(
    transaction,
    { code: /^452$/, enhanced: /^4\.3\.1$/ },
    fault('throttled'),
    'RFC 3463 section 3.4; Exchange back pressure',
  ),
  rule(
    transaction,
    { code: /^4/, text: /peak SMTP relay limit|unusual rate of (?:unsolicited )?mail/i },
    fault('throttled'),
    gmailCodes,
  ),
  rule(transaction, { code: /^4/, enhanced: /^4\.7\.28$/ }, fault('throttled'), gmailCodes),
  rule(
    transaction,
    { code: /^4/, text: /too much mail|too many (?:messages|mails|connections)|message rate|rate limit/i },
    fault('throttled'),
    'https://www.postfix.org/TUNING_README.html#conn_limit',
  ),
  rule(transaction, { code: /^5/, enhanced: /^5\.7\.(?:50[1-8]|70[358]|750)$/ }, fault('blocked'), exchangeCodes),
  rule(
    transaction,
    { code: /^5/, enhanced: /^5\.1\.8$/, text: /bad outbound sender|access denied/i },
    fault('blocked'),
    exchangeCodes,
  ),
  rule(
    transaction,
    { code: /^5/, text: /sending (?:is )?(?:paused|suspended) for this account/i },
    fault('blocked'),
    sesErrors,
  ),
  rule(
    transaction,
    { code: /^5/, text: /client host \[[^\]]{1,60}\] blocked/i },
    fault('blocked'),
    postfixRestrictions,
  ),
  rule(
    transaction,
    { code: /^5/, text: /TenantAttribution|TenantInboundAttribution|invalid credentials for relay|mail relay denied/i },
    fault('config'),
    gmailCodes,
  ),
  rule(
    transaction,
    {
      code: /^5/,
      text: /client host rejected|helo command rejected|authentication (?:is )?required|must (?:first )?(?:authenticate|issue a STARTTLS)/i,
    },
    fault('config'),
    postfixRestrictions,
  ),
  rule(transaction, { code: /^530$/ }, fault('config'), 'RFC 4954 section 6; Exchange Online 530 5.7.57'),
  rule(
    transaction,
    { code: /^5/, enhanced: /^5\.7\.30$/ },
    fault('auth'),
    'Exchange Online: basic authentication is not supported for client submission',
  ),
  rule(
    transaction,
    { code: /^503$/ },
    deferred('connector'),
    'RFC 5321 section 4.2.2: bad sequence, which a new session does not have',
  ),

  // The login may not use this sender.
  rule(transaction, { code: /^5/, enhanced: /^5\.7\.60$|^5\.2\.252$/ }, sendAs, exchangeCodes),
  rule(
    transaction,
    {
      code: /^5/,
      text: /SendAsDenied|not owned by|send(?:ing)? as this (?:sender|address)|not (?:allowed|authorized|permitted) to (?:send|use)[^.]{0,40}(?:\bas\b|\bsender|\baddress|\bfrom\b[^.]{0,80}@)/i,
    },
    sendAs,
    'https://www.postfix.org/postconf.5.html#reject_sender_login_mismatch',
  ),

  rule(transaction, { code: /^5/, text: /is not authorized to perform .{0,5}ses:Send/i }, sendAs, sesErrors),

  // Size, number of recipients.
  rule(
    transaction,
    { code: /^5/, enhanced: /^5\.[23]\.[34]$/, text: /size|large|big|length|limit/i },
    tooLarge,
    'RFC 3463 sections 3.3 and 3.4',
  ),
  rule(transaction, { code: /^523$/ }, tooLarge, exchangeCodes),
  rule(transaction, { code: /^5/, enhanced: /^5\.3\.4$/ }, tooLarge, 'RFC 3463 section 3.4'),
  rule(
    rcpt,
    { code: /^(?:452|55[02])$/, enhanced: /^[45]\.5\.3$/ },
    deferred('recipient'),
    'RFC 5321 section 4.5.3.1.10; RFC 3463 section 3.6',
  ),
  rule(
    rcpt,
    { code: /^(?:452|55[02])$/, text: /too many recipients/i },
    deferred('recipient'),
    'RFC 5321 section 4.5.3.1.10',
  ),
  // The enhanced code is more precise than the 552 beside it: a full mailbox, or unwanted content.
  rule(
    wholeMessage,
    { code: /^552$/, enhanced: /^5\.(?:2\.[0-2]|[14-7]\.\d+)$/ },
    rejected('message'),
    'RFC 3463 section 2; https://support.google.com/a/answer/3726730 (552 5.7.0)',
  ),
  rule(wholeMessage, { code: /^552$/ }, tooLarge, 'RFC 1870 section 6.2'),

  // A mailbox that is full or busy; greylisting.
  rule(rcpt, { code: /^4/, enhanced: /^4\.2\.[12]$/ }, deferred('recipient', 10 * minute), gmailCodes),
  rule(
    transaction,
    { code: /^45[01]$/, text: /gr[ae]y-?list/i },
    deferred('recipient', 5 * minute),
    'RFC 6647 section 5',
  ),
  rule(rcpt, { code: /^45[01]$/, enhanced: /^4\.7\.1$/ }, deferred('recipient', 5 * minute), 'RFC 6647 section 5'),

  // By phase and digit.
  rule(rcpt, { code: /^5/ }, rejected('recipient'), 'RFC 5321 section 4.2.1'),
  rule(wholeMessage, { code: /^5/ }, rejected('message'), 'RFC 5321 section 4.2.1'),
  rule(rcpt, {}, deferred('recipient'), 'RFC 5321 section 4.2.1; anything unknown is temporary'),
  rule(wholeMessage, {}, deferred('message'), 'RFC 5321 section 4.2.1; anything unknown is temporary'),
];
