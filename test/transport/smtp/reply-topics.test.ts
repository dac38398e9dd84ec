/** What the words of refusals speak of: nothing that may be said of every message is believed of one, and no 4xx rejects. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { attribute } from '../../../src/transport/smtp/attribute.ts';
import { believedOf, topicsOf } from '../../../src/transport/smtp/reply-topics.ts';
import { phrases, topicWords } from '../../../src/transport/smtp/reply-words.ts';
import { parseReply } from '../../../src/transport/smtp/replies.ts';
import type { SmtpPhase } from '../../../src/transport/smtp/reply-table.ts';
import { repliesOf, type Sample } from '../../support/replies.ts';
import { textOf } from '../../support/source.ts';

const samples = repliesOf('test/transport/smtp/replies.tsv');
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
    ['an address of the sender', 'rcpt', '550 your address has been rejected', null],
    ['a host that the server does not find, of the recipient', 'rcpt', '550 5.1.2 host unknown', 'recipient'],
    ['a host that the server does not find, of the sender', 'rcpt', '550 Helo command rejected: host not found', null],
    ['an IP address beside a plain word', 'rcpt', '550 user unknown; giving up on 192.0.2.7', 'recipient'],
    ['a list beside a plain word', 'rcpt', '550 user unknown; 192.0.2.7 is listed', null],
    [
      'a reason after "recipient address rejected"',
      'rcpt',
      '554 <a@b.example>: Recipient address rejected: bad weather',
      null,
    ],
    ['no reason after it', 'rcpt', '554 <a@b.example>: Recipient address rejected', 'recipient'],
    ['a code of a recipient beside a sender', 'rcpt', '550 5.1.1 sender rejected', null],
    ['a code and plain words beside a policy', 'rcpt', '550 5.1.1 user unknown, see our policy', 'recipient'],
    ['plain words alone beside a policy', 'rcpt', '550 user unknown, see our policy', null],
    ['access that is denied', 'rcpt', '550 mailbox unavailable or access denied', null],
    [
      'access that is denied to a recipient',
      'rcpt',
      '550 5.4.1 Recipient address rejected: Access denied',
      'recipient',
    ],
    ['a size within a time', 'end-of-data', '552 exceeded the maximum size of messages per hour', null],
    ['an address without a noun', 'rcpt', '550 a@b.example does not exist', 'recipient'],
    ['HTML', 'rcpt', '550 user &lt;a@b.example&gt; doesn&#39;t exist', 'recipient'],
    ['an accent', 'rcpt', '550 bo\u00eete du destinataire pleine', 'recipient'],
    ['a curly apostrophe', 'rcpt', '550 user doesn\u2019t exist', 'recipient'],
    [
      'Cyrillic',
      'rcpt',
      '550 \u043f\u043e\u043b\u044c\u0437\u043e\u0432\u0430\u0442\u0435\u043b\u044c \u043d\u0435 \u043d\u0430\u0439\u0434\u0435\u043d',
      'recipient',
    ],
    ['words folded over two lines', 'rcpt', '550-no such\n550 user', 'recipient'],
    ['a code in the text only', 'rcpt', '553 sorry (#5.1.1)', 'recipient'],
    ['a server that closes', 'rcpt', '421 4.2.1 mailbox busy', null],
    ['a domain that takes no mail', 'rcpt', '556 no mail here', 'recipient'],
    ['a loop', 'end-of-data', '554 5.4.6 too many hops', 'message'],
  ])('%s', (_what, phase, reply, expected) => {
    expect(believedOf(phase, parseReply(reply))).toBe(expected);
  });
});

describe('whatever a server writes', () => {
  const parts = fc.oneof(
    fc.constantFrom(
      'user',
      'mailbox',
      'address',
      'unknown',
      'not',
      'over quota',
      'exceeded',
      'IP',
      '192.0.2.7',
      'a@example.net',
    ),
    fc.constantFrom(
      '5.1.1',
      '(#5.7.1)',
      '&lt;',
      '&amp;#39;',
      '&#x110000;',
      'http://',
      '\\n',
      '\n550-',
      '\n550 ',
      '\r\n',
      '\t',
      '=?utf-8?B?8J+QiA==?=',
    ),
    fc.string({ unit: 'binary', maxLength: 20 }),
    fc.string({ unit: 'grapheme', maxLength: 400 }),
  );
  const replies = fc
    .tuple(fc.integer({ min: 400, max: 599 }), fc.constantFrom(' ', '-', ''), fc.array(parts, { maxLength: 60 }))
    .map(([code, separator, words]) => `${code}${separator}${words.join(' ')}`.slice(0, 2_000));
  const phases = fc.constantFrom<SmtpPhase>('greeting', 'mail', 'rcpt', 'data', 'end-of-data');

  test('it is judged without an exception, and 4 never rejects', () => {
    fc.assert(
      fc.property(phases, replies, (phase, text) => {
        const { outcome } = attribute(phase, parseReply(text));
        expect(
          text.startsWith('4') ? ['deferred', 'open', 'fault'] : ['rejected', 'deferred', 'open', 'fault'],
        ).toContain(outcome);
      }),
      { numRuns: 500 },
    );
  });

  test('attack: texts made for a pattern take time in proportion to their length', () => {
    const sources = [
      '@',
      ...phrases.map(({ pattern }) => pattern.source),
      ...topicWords.map(([, pattern]) => pattern.source),
    ];
    // Each word of each pattern repeated, alone and after one that opens a gap.
    const seeds = [...new Set(sources.flatMap((source) => source.match(/[a-z@]{2,}/gi) ?? ['@']))];
    const texts = [
      ...seeds.map((seed) => `${seed} `.repeat(500)),
      ...[
        'user ',
        'quota ',
        'mailbox is ',
        'boite ',
        'destinataire ',
        'http://',
        '1.',
        'f:',
        '&',
        '[1:',
        'x',
        '1',
        ' ',
        '@',
      ].map((seed) => seed.repeat(500)),
      ...seeds.map((seed) => `user ${`${seed} not `.repeat(250)}`),
    ].map((text) => text.slice(0, 500));
    for (const text of texts) topicsOf(text);
    const slowest = texts.map((text) => {
      const before = process.threadCpuUsage();
      topicsOf(text);
      const { user, system } = process.threadCpuUsage(before);
      return { text: text.slice(0, 20), ms: (user + system) / 1_000 };
    });
    // Some 0.3 ms for each; a pattern that is not linear takes a thousand times as long.
    expect(slowest.filter(({ ms }) => ms > 100)).toEqual([]);
  });
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
