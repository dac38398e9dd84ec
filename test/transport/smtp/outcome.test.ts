/** Whatever happens in a session, every recipient appears exactly once, and none is accepted without the server's word. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SmtpFailure } from '../../../src/transport/smtp/failure.ts';
import { outcomeOf } from '../../../src/transport/smtp/outcome.ts';
import type { SmtpPhase } from '../../../src/transport/smtp/reply-table.ts';
import type { Transaction } from '../../../src/transport/smtp/transaction.ts';
import { summary } from '../../support/smtp-client.ts';

const a = 'a@example.net';
const b = 'b@example.net';
const nothing: Transaction = {
  mailTaken: true,
  taken: new Set(),
  refused: new Map(),
  failure: null,
  reply: null,
  body: 'none',
};
const answered = (phase: SmtpPhase, server: string): SmtpFailure => new SmtpFailure(phase, { server });
const silent = new SmtpFailure('end-of-data', { code: 'ECONNRESET', text: 'reset' });

function outcome(transaction: Partial<Transaction>) {
  const input = {
    recipients: [a, b],
    untried: null,
    account: 'relay',
    sender: 'sales@example.com',
    rules: [],
  };
  return outcomeOf({
    ...input,
    legs: [{ to: [a, b], refusedHere: new Map(), transaction: { ...nothing, ...transaction } }],
  });
}

describe('the outcome of a transaction', () => {
  test.for<[string, Partial<Transaction>, string]>([
    ['a lost connection before the body', { failure: silent }, 'deferred deferred'],
    [
      'a lost connection amid the body',
      { failure: silent, body: 'partial', taken: new Set([a, b]) },
      'deferred deferred',
    ],
    [
      'a lost connection after the end of data',
      { failure: silent, body: 'complete', taken: new Set([a, b]) },
      'uncertain uncertain',
    ],
    [
      'a lost connection after the end of data, with one recipient refused',
      {
        failure: silent,
        body: 'complete',
        taken: new Set([b]),
        refused: new Map([[a, answered('rcpt', '550 5.1.1 no')]]),
      },
      'rejected uncertain',
    ],
    [
      'a refusal of DATA, where one was refused before',
      {
        failure: answered('data', '451 4.3.0 later'),
        taken: new Set([b]),
        refused: new Map([[a, answered('rcpt', '550 5.1.1 no')]]),
      },
      'rejected deferred',
    ],
    [
      'a lost connection after the end of data, with one recipient told of a fault of the connector',
      {
        failure: silent,
        body: 'complete',
        taken: new Set([b]),
        refused: new Map([[a, answered('rcpt', '421 4.7.0 too many')]]),
      },
      'deferred uncertain',
    ],
    [
      'an exhausted quota',
      { failure: answered('end-of-data', '550 5.4.5 Daily limit'), body: 'complete', taken: new Set([a, b]) },
      'suspect quota',
    ],
    [
      'an exhausted quota, where one was refused before',
      {
        failure: answered('end-of-data', '550 5.4.5 Daily limit'),
        body: 'complete',
        taken: new Set([b]),
        refused: new Map([[a, answered('rcpt', '550 5.1.1 no')]]),
      },
      'rejected deferred',
    ],
    [
      'a throttled recipient beside a delivered one',
      {
        reply: '250 ok',
        body: 'complete',
        taken: new Set([a]),
        refused: new Map([[b, answered('rcpt', '451 4.7.500 Server busy')]]),
      },
      'accepted deferred',
    ],
    [
      'a yes before the end of the body',
      { reply: '250 ok', body: 'partial', taken: new Set([a, b]) },
      'deferred deferred',
    ],
    ['a yes that forgets one', { reply: '250 ok', body: 'complete', taken: new Set([a]) }, 'accepted deferred'],
  ])('after %s', ([, transaction, expected]) => expect(summary(outcome(transaction))).toBe(expected));

  test.for([
    ['451 4.7.500 Server busy, try again in 7 seconds', 'deferred', 7_000],
    ['452 4.3.1 Insufficient system resources', 'deferred', undefined],
    ['421 4.3.2 not for this one', 'deferred', undefined],
    ['550 5.4.5 Daily sending quota exceeded', 'deferred', undefined],
    ['550 5.7.1 client host [192.0.2.1] blocked using bl.example', 'rejected', undefined],
  ] as const)(
    '"%s" to one recipient is its own where another one was accepted in the same attempt: no pause, and no question to others',
    ([reply, expected, retryAfterMs]) => {
      const refused = new Map([[b, answered('rcpt', reply)]]);
      const result = outcome({ reply: '250 ok', body: 'complete', taken: new Set([a]), refused });
      if (result.kind !== 'settled') throw new Error(result.kind);
      const [, own] = result.recipients;
      expect(own).toMatchObject({ outcome: expected, scope: 'connector' });
      expect([own?.retryAfterMs, own?.open]).toEqual([retryAfterMs, undefined]);
      expect(result).not.toHaveProperty('slowDownMs');
    },
  );

  test('names every recipient once, in order, and accepts only with a 2xx after the complete body', () => {
    const addresses = fc.uniqueArray(
      fc.constantFrom('a', 'b', 'c', 'd', 'e').map((name) => `${name}@example.net`),
      { minLength: 1 },
    );
    const replies = fc.constantFrom(
      '250 ok',
      '550 5.1.1 no',
      '450 4.2.0 later',
      '421 4.7.0 bye',
      '550 5.4.5 quota',
      '452 4.3.1 full',
      '',
    );
    const failures = fc.oneof(
      fc.record({ phase: fc.constantFrom<SmtpPhase>('mail', 'rcpt', 'data', 'end-of-data'), server: replies }),
      fc.record({ code: fc.option(fc.string()), text: fc.string() }),
    );
    const found = fc.check(
      fc.property(
        addresses,
        fc.array(fc.boolean()),
        fc.option(failures),
        fc.option(replies),
        fc.constantFrom<Transaction['body']>('none', 'partial', 'complete'),
        replies,
        (recipients, taken, failed, reply, body, refusal) => {
          const failure =
            failed === null
              ? null
              : 'phase' in failed
                ? answered(failed.phase, failed.server)
                : new SmtpFailure('data', { code: failed.code, text: failed.text });
          const transaction: Transaction = {
            mailTaken: true,
            taken: new Set(recipients.filter((_, index) => taken[index] === true)),
            refused: new Map(
              recipients
                .filter((_, index) => taken[index] === false)
                .map((address) => [address, answered('rcpt', refusal)]),
            ),
            failure,
            reply: failure === null ? reply : null,
            body,
          };
          const result = outcomeOf({
            recipients,
            legs: [{ to: recipients, refusedHere: new Map(), transaction }],
            untried: null,
            account: null,
            sender: '',
            rules: [],
          });
          const whole = body === 'complete';
          // An attempt that is taken back must have left no copy that could be in doubt.
          if (result.kind !== 'settled')
            return body !== 'complete' || failure?.answered !== false || transaction.taken.size === 0;
          const once = result.recipients.map(({ address }) => address).join() === recipients.join();
          const yes = whole && transaction.reply?.startsWith('250') === true;
          return (
            once &&
            result.recipients.every(({ address, outcome }) => {
              if (outcome === 'uncertain') return whole;
              return outcome !== 'accepted' || (yes && !transaction.refused.has(address));
            })
          );
        },
      ),
      { numRuns: 500 },
    );
    expect(found.counterexample).toBeNull();
  });
});

describe('after the end of data', () => {
  test.for(['what?', '354 go on', '220 welcome back', '25'])(
    '"%s" is neither an acceptance nor a refusal, so the result is unknown',
    (reply) => {
      const taken = new Set([a, b]);
      const said = outcome({ taken, failure: answered('end-of-data', reply), body: 'complete' });
      expect(summary(said)).toBe('uncertain uncertain');
    },
  );

  test('an acceptance and a refusal in one reply are neither', () => {
    const taken = new Set([a, b]);
    const said = outcome({ taken, reply: '250-2.0.0 queued\n554 5.6.0 refused', body: 'complete' });
    expect(summary(said)).toBe('uncertain uncertain');
  });
});
