/** Which refusals within a transaction are open, whom they suspect, and which delay of theirs counts. */
import { describe, expect, test } from 'vitest';
import { attribute } from '../../../src/transport/smtp/attribute.ts';
import { parseReply } from '../../../src/transport/smtp/replies.ts';
import { endsSessionOnly, listLimitOf } from '../../../src/transport/smtp/transaction-limits.ts';
import { repliesOf } from '../../support/replies.ts';
import { outcomeOf } from '../../../src/transport/smtp/outcome.ts';
import { SmtpFailure } from '../../../src/transport/smtp/failure.ts';
import type { SmtpPhase } from '../../../src/transport/smtp/reply-table.ts';
import type { RecipientOutcome } from '../../../src/transport/transport.ts';
import { compileRules } from '../../../src/transport/smtp/reply-rules.ts';

const to = 'a@example.net';
const about = { recipients: [to], untried: null, account: null, sender: 's@example.com', rules: [] };

function refusedAt(phase: SmtpPhase, reply: string, rules: Parameters<typeof compileRules>[0] = []): RecipientOutcome {
  const failure = new SmtpFailure(phase, { server: reply });
  const transaction = {
    mailTaken: phase !== 'mail',
    taken: new Set<string>(),
    refused: phase === 'rcpt' ? new Map([[to, failure]]) : new Map<string, SmtpFailure>(),
    failure,
    reply: null,
    body: phase === 'end-of-data' ? ('complete' as const) : ('none' as const),
  };
  const legs = [{ to: [to], refusedHere: new Map<string, RecipientOutcome>(), transaction }];
  const outcome = outcomeOf({ ...about, legs, rules: compileRules(rules) });
  if (outcome.kind !== 'settled') throw new Error(outcome.kind);
  return outcome.recipients[0]!;
}

describe('a refusal', () => {
  test.for<[SmtpPhase, string, string | null, string]>([
    ['rcpt', '421 4.3.2 closing', 'throttled', 'deferred'],
    ['rcpt', '452 4.3.1 insufficient system resources', 'throttled', 'deferred'],
    ['mail', '550 5.4.5 daily sending quota exceeded', 'quota', 'deferred'],
    ['end-of-data', '421 4.7.0 busy', 'throttled', 'deferred'],
    ['end-of-data', '554 5.7.1 client host [192.0.2.1] blocked using bl.example', 'blocked', 'rejected'],
    ['rcpt', '530 5.7.0 authentication required', 'config', 'rejected'],
    ['rcpt', '550 Verboten', null, 'rejected'],
    // A permanent code that names a time.
    ['mail', '550 Too many messages. Try again in 92 seconds', 'throttled', 'deferred'],
    ['rcpt', '550 your host sends too much, wait 1 day', 'throttled', 'deferred'],
    ['end-of-data', '554 5.7.1 hourly limit, will reset in 4.0 hours', 'throttled', 'deferred'],
    ['end-of-data', '554 5.7.1 limit of 100 messages per 1 hour', null, 'rejected'],
    ['end-of-data', '554 5.7.1 looks like spam', null, 'rejected'],
    ['rcpt', '451 4.7.1 too fast, slow down', 'throttled', 'deferred'],
    ['mail', '450 4.2.1 you are sending too many messages', 'throttled', 'deferred'],
    ['end-of-data', '452 4.4.5 sending rate exceeded', 'throttled', 'deferred'],
    ['rcpt', '451 4.7.1 come back', null, 'deferred'],
    ['mail', '451 4.3.0 later', null, 'deferred'],
  ])('at %s with "%s" is open, and suspects %s', ([phase, reply, suspect, outcome]) => {
    expect(refusedAt(phase, reply)).toMatchObject({ outcome, open: { suspect, atSender: phase === 'mail' } });
  });

  test.for<[SmtpPhase, string]>([
    ['rcpt', '550 5.1.1 no'],
    ['rcpt', '550 5.1.10 no'],
    ['rcpt', '550 No such user here'],
    ['rcpt', '550 Unrouteable address'],
    ['rcpt', '552 5.2.2 over quota'],
    ['rcpt', '450 4.2.1 busy'],
    ['rcpt', '450 4.7.0 Greylisted, come back'],
    ['mail', '552 5.3.4 too large'],
    ['end-of-data', '550 5.7.60 SendAsDenied'],
    ['mail', '553 5.7.1 not authorized to send from this address'],
    ['rcpt', '550 5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup; authentication required'],
  ])('at %s with "%s" speaks of the mail or its recipient, and is believed', ([phase, reply]) => {
    expect(refusedAt(phase, reply).open).toBeUndefined();
  });

  test('is not believed for words of a recipient beside words of the sender or a host', () => {
    expect(refusedAt('rcpt', '550 recipient rejected: your host is listed').open).toEqual({
      suspect: null,
      atSender: false,
    });
  });

  test('is not believed as one of Send As if it names a host', () => {
    for (const reply of [
      '550 5.7.1 not authorized to send from this IP address',
      '550 your host is not allowed to send as a@example.com',
    ])
      expect(refusedAt('mail', reply).open).toBeDefined();
  });

  test('is open in delivery if it is open for the tool that prints the table', () => {
    for (const { phase, reply } of repliesOf('test/transport/smtp/replies.tsv')) {
      const { outcome } = attribute(phase, parseReply(reply));
      if (outcome === 'fault' || listLimitOf(parseReply(reply)) !== null || endsSessionOnly(parseReply(reply)))
        continue;
      expect([reply, refusedAt(phase, reply).open === undefined ? 'believed' : 'open']).toEqual([
        reply,
        outcome === 'open' ? 'open' : 'believed',
      ]);
    }
  });

  test('is believed if a rule of the operator says what it means', () => {
    const none = {
      text: null,
      enhanced: null,
      phases: ['rcpt'] as const,
      scope: null,
      pauseMs: null,
      retryAfterMs: null,
    };
    const rule = { ...none, code: '550', class: 'rejected' } as const;
    expect(refusedAt('rcpt', '550 Verboten', [rule]).open).toBeUndefined();
  });

  test('waits as long as it says itself, and not as long as the table has it', () => {
    expect(refusedAt('rcpt', '421 try again in 90 seconds')).toMatchObject({
      retryAfterMs: 90_000,
      open: { pauseMs: 90_000 },
    });
    for (const reply of ['421 busy', '451 4.7.1 later']) {
      expect(refusedAt('rcpt', reply).retryAfterMs).toBeUndefined();
      expect(refusedAt('rcpt', reply).open?.pauseMs).toBeUndefined();
    }
  });
});
