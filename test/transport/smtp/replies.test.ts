/** Real replies of real servers, and what they mean. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { classify, parseReply } from '../../../src/transport/smtp/replies.ts';
import { loginRules } from '../../../src/transport/smtp/login-rules.ts';
import { replyRules, type SmtpPhase } from '../../../src/transport/smtp/reply-table.ts';

const phases: SmtpPhase[] = ['connect', 'tls', 'greeting', 'ehlo', 'auth', 'mail', 'rcpt', 'data', 'end-of-data'];

function said(phase: SmtpPhase, reply: string): string {
  const verdict = classify(phase, parseReply(reply));
  if (verdict.kind === 'fault') return [verdict.fault, verdict.pauseMs].filter((part) => part !== undefined).join(' ');
  const { outcome, scope, retryAfterMs, slowDownMs, tooLarge, sendAs } = verdict;
  const extra = [
    retryAfterMs === undefined ? '' : `after ${retryAfterMs}`,
    slowDownMs === undefined ? '' : `slow ${slowDownMs}`,
    tooLarge === true ? 'too-large' : '',
    sendAs === true ? 'send-as' : '',
  ];
  return [outcome, scope, ...extra].filter((part) => part !== '').join(' ');
}

describe('replies before MAIL FROM concern the connector, whatever their digit', () => {
  test.for<[SmtpPhase, string, string]>([
    ['greeting', '421 4.7.0 too many connections, try again later', 'throttled'],
    ['greeting', '421 4.3.2 Service not available, try again in 300 seconds', 'throttled 300000'],
    ['greeting', '554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org', 'blocked'],
    ['greeting', '554 No SMTP service here', 'blocked'],
    ['greeting', '450 4.3.2 come back later', 'unreachable'],
    ['greeting', '450 4.3.2 come back in 4 hours', 'unreachable 14400000'],
    ['greeting', '554 5.7.1 Too many concurrent SMTP connections from this IP address', 'throttled'],
    ['greeting', '452 too many connections, wait 20 seconds', 'throttled 20000'],
    ['greeting', '554 5.7.1 blocked for 2 hours', 'blocked 7200000'],
    ['greeting', '554 5.7.1 too much spam from your address', 'blocked'],
    ['ehlo', '450 4.7.0 connection rate limit exceeded', 'throttled'],
    ['tls', '454 4.7.0 TLS not available, try again in 5 minutes', 'tls 300000'],
    ['ehlo', '550 5.7.1 HELO rejected', 'config'],
    ['ehlo', '421 4.4.2 closing', 'throttled'],
    ['tls', '454 4.7.0 TLS not available due to temporary reason', 'tls'],
    ['tls', '502 5.5.1 command not implemented', 'tls'],
  ])('%s: %s → %s', ([phase, reply, expected]) => expect(said(phase, reply)).toBe(expected));
});

describe('replies within the transaction', () => {
  test.for<[SmtpPhase, string, string]>([
    ['end-of-data', '250 2.0.0 Ok: queued as 4F1B2', 'accepted message'],
    ['end-of-data', '250 OK', 'accepted message'],
    [
      'rcpt',
      '550 5.1.1 <x@example.net>: Recipient address rejected: User unknown in virtual mailbox table',
      'rejected recipient',
    ],
    [
      'rcpt',
      '550-5.1.1 The email account that you tried to reach does not exist.\n550 5.1.1 NoSuchUser',
      'rejected recipient',
    ],
    [
      'rcpt',
      '550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup',
      'rejected recipient',
    ],
    ['rcpt', '553 5.1.3 The recipient address is not a valid RFC-5321 address.', 'rejected recipient'],
    [
      'rcpt',
      '450 4.7.1 <a@b>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/',
      'deferred recipient after 300000',
    ],
    ['rcpt', '451 4.7.1 Greylisting in action, please come back in 00:04:55', 'deferred recipient after 295000'],
    [
      'rcpt',
      '450 4.2.0 <a@b>: Recipient address rejected: Greylisted for 5 minutes',
      'deferred recipient after 300000',
    ],
    [
      'rcpt',
      '450-4.2.1 The user you are trying to contact is receiving mail at a rate that\n450 4.2.1 prevents additional messages from being delivered.',
      'deferred recipient after 600000',
    ],
    ['rcpt', '452-4.2.2 The email account that you tried to reach is over quota.', 'deferred recipient after 600000'],
    ['rcpt', '552 5.2.2 Mailbox full', 'rejected recipient'],
    ['rcpt', '452 4.5.3 Too many recipients', 'deferred recipient'],
    ['rcpt', '552 Too many recipients', 'deferred recipient'],
    ['rcpt', '451 4.3.0 internal error', 'deferred recipient'],
    ['rcpt', '421 4.7.0 closing', 'throttled'],
    [
      'rcpt',
      '553 5.7.1 <sales@example.com>: Sender address rejected: not owned by user relay',
      'rejected message send-as',
    ],
    ['mail', '550 5.7.60 SMTP; Client does not have permissions to send as this sender', 'rejected message send-as'],
    [
      'end-of-data',
      '554 5.2.252 SendAsDenied; relay@example.com not allowed to send as sales@example.com',
      'rejected message send-as',
    ],
    [
      'end-of-data',
      '554 5.2.0 STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied',
      'rejected message send-as',
    ],
    ['rcpt', '554 5.7.1 <unknown[192.0.2.1]>: Client host rejected: Access denied', 'config'],
    ['rcpt', '554 5.7.1 <a@example.net>: Relay access denied', 'rejected recipient'],
    ['mail', '530 5.7.57 Client not authenticated to send mail.', 'config'],
    ['mail', '452 4.3.1 Insufficient system storage', 'throttled'],
    ['mail', '451 4.7.500 Server busy. Please try again later from [192.0.2.1].', 'throttled'],
    [
      'mail',
      '432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending for more information.',
      'throttled',
    ],
    ['end-of-data', '432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded', 'throttled'],
    ['mail', '450 4.7.1 Error: too much mail from 192.0.2.1', 'throttled'],
    ['end-of-data', '454 Throttling failure: Maximum sending rate exceeded.', 'throttled'],
    ['end-of-data', '454 Throttling failure: Daily message quota exceeded.', 'quota'],
    [
      'data',
      '550-5.4.5 Daily user sending limit exceeded.\n550 5.4.5 https://support.google.com/a/answer/166852',
      'quota',
    ],
    [
      'end-of-data',
      "550 5.1.90 Your message can't be sent because you've reached your daily limit for message recipients",
      'quota',
    ],
    [
      'end-of-data',
      '554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed to process message',
      'quota',
    ],
    ['end-of-data', '550 5.1.8 Access denied, bad outbound sender AS(42003)', 'blocked'],
    ['mail', '550 5.7.501 Access denied, spam abuse detected.', 'blocked'],
    ['mail', '550 5.7.708 Service unavailable. Access denied, traffic not accepted from this IP.', 'blocked'],
    [
      'end-of-data',
      '550 5.7.509 Access denied, sending domain example.com does not pass DMARC verification',
      'rejected message',
    ],
    [
      'end-of-data',
      '550-5.7.26 Unauthenticated email from example.com is not accepted due to domain’s DMARC policy.',
      'rejected message',
    ],
    ['mail', '552 5.3.4 Message size exceeds fixed limit', 'rejected message too-large'],
    ['end-of-data', '552 5.2.3 Message size exceeds maximum permitted', 'rejected message too-large'],
    ['end-of-data', '552 5.3.4 Error: message file too big', 'rejected message too-large'],
    ['data', '523 the message is too large', 'rejected message too-large'],
    ['end-of-data', '552 exceeded', 'rejected message too-large'],
    ['end-of-data', '554 5.6.0 Invalid message content', 'rejected message'],
    ['end-of-data', '554 5.7.1 Spam message rejected', 'rejected message'],
    ['end-of-data', '451 4.3.5 Server configuration problem', 'deferred message'],
    ['end-of-data', '421 4.3.0 shutting down', 'throttled'],
    ['data', '421 4.3.0 shutting down', 'throttled'],
    [
      'end-of-data',
      '554 5.2.2 mailbox full; STOREDRV.Submission.Exception:QuotaExceededException.MapiExceptionShutoffQuotaExceeded',
      'quota',
    ],
    [
      'end-of-data',
      "550 5.7.233 Your message can't be sent because your tenant exceeded its daily limit for sending email to external recipients",
      'quota',
    ],
    ['rcpt', '550 5.7.64 TenantAttribution; Relay Access Denied', 'config'],
    ['end-of-data', '452 4.3.1 Insufficient system resources', 'throttled'],
    ['rcpt', '550 5.4.1 Recipient address rejected: Access denied.', 'rejected recipient'],
    ['end-of-data', '552 5.2.2 The email account that you tried to reach is over quota', 'rejected message'],
    [
      'end-of-data',
      '552-5.7.0 This message was blocked because its content presents a potential\n552-5.7.0 security issue.',
      'rejected message',
    ],
    ['mail', '550 5.7.1 Daily SMTP relay sending limit exceeded for customer.', 'quota'],
    ['mail', '550 5.4.5 Daily SMTP relay limit exceeded for user.', 'quota'],
    ['rcpt', '450 4.2.1 Peak SMTP relay limit exceeded for customer. This is a temporary error.', 'throttled'],
    ['mail', '550 5.7.1 Invalid credentials for relay [192.0.2.1].', 'config'],
    ['mail', '550 5.7.0 Mail relay denied [192.0.2.1].', 'config'],
    ['end-of-data', '554 Message rejected: Sending paused for this account.', 'blocked'],
    [
      'end-of-data',
      "554 Access denied: User `arn:aws:iam::1:user/a' is not authorized to perform `ses:SendRawEmail' on resource `arn:aws:ses:x'",
      'rejected message send-as',
    ],
    ['end-of-data', '554 Message rejected: Email address is not verified.', 'rejected message'],
    ['rcpt', '554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org', 'blocked'],
    ['rcpt', '504 5.5.2 <x>: Helo command rejected: need fully-qualified hostname', 'config'],
    ['mail', '503 5.5.1 Error: nested MAIL command', 'deferred connector'],
    ['mail', '550 5.7.1 Sender rejected', 'rejected message'],
    ['mail', '499 what?', 'deferred message'],
    ['end-of-data', '299 what?', 'accepted message'],
    ['end-of-data', '354 go on', 'deferred message'],
    ['rcpt', 'garbage', 'deferred recipient'],
  ])('%s: %s → %s', ([phase, reply, expected]) => expect(said(phase, reply)).toBe(expected));
});

describe('classification', () => {
  const anyReply = fc.record({
    code: fc.option(fc.oneof(fc.integer({ min: 0, max: 999 }).map(String), fc.string())),
    enhancedCode: fc.option(fc.string()),
    text: fc.option(fc.string()),
  });

  test('is accepted only for 2xx to the end of data, and rejected only for 5xx', () => {
    const lies = fc.check(
      fc.property(fc.constantFrom(...phases), anyReply, (phase, reply) => {
        const verdict = classify(phase, reply);
        if (verdict.kind === 'fault') return true;
        if (verdict.outcome === 'accepted') return phase === 'end-of-data' && /^2\d\d$/.test(reply.code ?? '');
        return verdict.outcome === 'deferred' || reply.code?.startsWith('5') === true;
      }),
      { numRuns: 500 },
    );
    expect(lies.counterexample).toBeNull();
  });

  test('of faults names no time: what is not told is as docs/retries.md says', () => {
    const faults = [...loginRules, ...replyRules].flatMap(({ verdict }) => (verdict.kind === 'fault' ? [verdict] : []));
    expect(faults.filter(({ pauseMs }) => pauseMs !== undefined)).toEqual([]);
  });

  test('names its source in every row', () => {
    for (const { source } of [...loginRules, ...replyRules])
      expect(source).toMatch(/^RFC \d{4}|^https:\/\/|^Exchange Online/);
  });
});

describe('parseReply', () => {
  test('joins the lines without their codes', () => {
    expect(parseReply('550-5.1.1 No such\r\n550-5.1.1 user\r\n550 5.1.1 here')).toEqual({
      code: '550',
      enhancedCode: '5.1.1',
      text: 'No such user here',
    });
  });

  test('reads a reply without enhanced code, without text, and one that hides the code in the text', () => {
    expect(parseReply('250 OK')).toEqual({ code: '250', enhancedCode: null, text: 'OK' });
    expect(parseReply('250')).toEqual({ code: '250', enhancedCode: null, text: null });
    expect(parseReply('554 <a@b>[#5.7.1] refused').enhancedCode).toBe('5.7.1');
    expect(parseReply('550 host 192.5.1.1 is bad').enhancedCode).toBeNull();
  });

  test('trusts no code of a reply whose lines disagree, and keeps the text', () => {
    expect(parseReply('250-2.0.0 queued\n554 5.6.0 or not')).toMatchObject({ code: null });
    expect(parseReply('450-later\r\n550 never').text).toMatch(/later.*never/);
    expect(parseReply('250-a\n250 b').code).toBe('250');
  });

  test('removes control characters and cuts long texts', () => {
    const reply = parseReply(`550 5.1.1 \u001b[31mevil\u0007\u202e ${'x'.repeat(5000)}`);
    // oxlint-disable-next-line no-control-regex -- control characters are what must not be there
    expect(reply.text).not.toMatch(/[\u0000-\u001f\u202e]/);
    expect(reply.text!.length).toBeLessThanOrEqual(500);
  });

  test('attack: reads any text without throwing, in linear time', () => {
    fc.assert(fc.property(fc.string(), (text) => void parseReply(text)));
    const before = process.threadCpuUsage();
    parseReply(`550 ${'5.5.'.repeat(250_000)}`);
    classify('end-of-data', { code: '550', enhancedCode: null, text: 'not allowed to send '.repeat(20_000) });
    const { user, system } = process.threadCpuUsage(before);
    expect((user + system) / 1_000).toBeLessThan(1_000);
  });
});
