/** What the words of refusals speak of: nothing that may be said of every message is believed of one, and no 4xx rejects. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { attribute } from '../../../src/transport/smtp/attribute.ts';
import { believedOf, topicsOf } from '../../../src/transport/smtp/reply-topics.ts';
import { parseReply } from '../../../src/transport/smtp/replies.ts';
import type { SmtpPhase } from '../../../src/transport/smtp/reply-table.ts';
import { textOf } from '../../support/source.ts';

interface Sample {
  readonly id: string;
  readonly kind: string;
  readonly phase: SmtpPhase;
  readonly reply: string;
}

const samples: Sample[] = textOf('test/transport/smtp/replies.tsv')
  .split('\n')
  .slice(1)
  .filter((line) => line !== '')
  .map((line) => {
    const [id = '', , kind = '', phase = '', reply = ''] = line.split('\t');
    const smtpPhase = (phase === 'final' ? 'end-of-data' : phase) as SmtpPhase;
    return { id, kind, phase: smtpPhase, reply: reply.replaceAll('\\n', '\n') };
  });
const outcomeOf = ({ phase, reply }: Sample) => attribute(phase, parseReply(reply)).outcome;
const of = (...kinds: string[]): Sample[] => samples.filter(({ kind }) => kinds.some((each) => kind.startsWith(each)));

describe('of replies in words of many servers', () => {
  test.each(of('connector', 'throttle', 'transient'))('$phase "$reply" is not believed of one message', (sample) => {
    expect(outcomeOf(sample)).not.toBe('rejected');
  });

  test.each(of('permanent'))('$phase "$reply" is no fault of the connector', (sample) => {
    expect(outcomeOf(sample)).not.toBe('fault');
  });

  test('most of what is said of a recipient is believed at once', () => {
    const permanent = of('permanent-recipient');
    expect(permanent.filter((sample) => outcomeOf(sample) === 'rejected').length / permanent.length).toBeGreaterThan(
      0.9,
    );
  });
});

test('no reply that begins with 4 rejects, whatever its words', () => {
  const words = fc.constantFrom(
    '5.1.1',
    'user',
    'unknown',
    'mailbox',
    'spam',
    'content',
    'rejected',
    'too large',
    'no such user',
    '(#5.1.1)',
  );
  fc.assert(
    fc.property(
      fc.constantFrom('rcpt', 'mail', 'data', 'end-of-data' as const),
      fc.array(words, { maxLength: 8 }),
      fc.integer({ min: 400, max: 499 }),
      (phase, text, code) => {
        expect(attribute(phase as SmtpPhase, parseReply(`${code} ${text.join(' ')}`)).outcome).not.toBe('rejected');
      },
    ),
    { numRuns: 300 },
  );
});

describe('words that mean another thing', () => {
  test.each<[string, SmtpPhase, string, 'recipient' | 'message' | null]>([
    ['spam within the name of a list', 'rcpt', '550 listed at spamcop.net', null],
    ['an address beside an IP', 'rcpt', '550 address 192.0.2.7 rejected', null],
    [
      'a restricted recipient',
      'rcpt',
      '550 5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup; authentication required',
      'recipient',
    ],
    ['the quota of a mailbox', 'rcpt', '552 Mailbox limit exceeded for this email address', 'recipient'],
    ['a quota of sending', 'rcpt', '550 5.4.5 user has exceeded the daily sending quota', null],
    ['a disabled recipient account', 'rcpt', '550 recipient account disabled', 'recipient'],
    ['a disabled account of the sender', 'rcpt', '550 your account is disabled', null],
    ['DMARC', 'end-of-data', '550 does not have authentication information and fails DMARC', null],
    ['content', 'end-of-data', '554 5.7.1 looks like spam', null],
    ['a busy mailbox', 'rcpt', '450 4.2.1 busy', 'recipient'],
    ['a mailbox that gets too much', 'rcpt', '450 4.2.1 receiving mail at a rate that is too high', null],
    ['a size limit', 'end-of-data', '552 5.3.4 size limit exceeded', 'message'],
    ['greylisting', 'rcpt', '450 greylisted, try again in 300 seconds', 'recipient'],
    ['nothing', 'rcpt', '550', null],
  ])('%s', (_what, phase, reply, expected) => {
    expect(believedOf(phase, parseReply(reply))).toBe(expected);
  });
});

test('attack: texts made for the patterns are judged in linear time', () => {
  const stepsFor = (length: number): number => {
    const texts = [
      'user '.repeat(length),
      'a@'.repeat(length),
      '1.'.repeat(length),
      'f:'.repeat(length),
      'http://'.repeat(length),
      'not '.repeat(length),
    ];
    const before = process.threadCpuUsage();
    for (let round = 0; round < 40; round += 1) for (const text of texts) topicsOf(text.slice(0, length));
    const { user, system } = process.threadCpuUsage(before);
    return (user + system) / 1_000;
  };
  stepsFor(500);
  // 240 texts of the greatest length that a reply is kept in.
  expect(stepsFor(500)).toBeLessThan(2_000);
});

test('docs/replies.md has the figures of the replies in this repository', () => {
  const kinds = [...new Set(samples.map(({ kind }) => kind))].toSorted();
  const rows = kinds.map((kind) => {
    const outcomes = of(kind).map(outcomeOf);
    const counts = (['rejected', 'open', 'deferred', 'fault'] as const).map(
      (outcome) => outcomes.filter((each) => each === outcome).length,
    );
    return `| \`${kind}\` | ${outcomes.length} | ${counts.join(' | ')} |`;
  });
  for (const row of rows) expect(textOf('docs/replies.md')).toContain(row);
});
