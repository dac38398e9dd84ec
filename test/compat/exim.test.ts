/** Exim, with its own limits and refusals. */
import { describe, expect, test } from 'vitest';
import { mailOf, sendBy, summary } from '../support/smtp-client.ts';
import { copiesAt, defer, deny, letter, missing, people, sendAll, eximWithSink, transportTo } from './support.ts';

if (missing !== null) console.warn(`Exim is not tested: ${missing}`);

describe.skipIf(missing !== null)('Exim', () => {
  test('hands on a message byte for byte: dots, 8-bit text, long runs of lines', async () => {
    const { server, sink } = await eximWithSink();
    const body = `.dot\r\n..two\r\ngrün\r\n\r\n${'0123456789'.repeat(9)}\r\n`.repeat(500);
    const bytes = letter('whole', body, [
      'MIME-Version: 1.0',
      'Content-Type: text/plain; charset=utf-8',
      'Content-Transfer-Encoding: 8bit',
    ]);
    expect(summary(await sendBy(transportTo(server), mailOf({ bytes })))).toBe('accepted');
    await copiesAt(sink, 1);
    expect(sink.received.transactions[0]?.bytes.includes(bytes.subarray(bytes.indexOf('\r\n\r\n')))).toBe(true);
  });

  test('each recipient has its own outcome', async () => {
    const rcpt = [
      ...deny('domains = refused.test', '550 5.1.1 no such user'),
      ...defer('domains = later.test', '450 4.2.1 try again later'),
    ];
    const { server, sink } = await eximWithSink({ rcpt });
    const to = ['a@example.net', 'b@refused.test', 'c@later.test', 'd@example.net'];
    expect(summary(await sendBy(transportTo(server), mailOf({ to, bytes: letter('mixed') })))).toBe(
      'accepted rejected deferred accepted',
    );
    expect(await copiesAt(sink, 2)).toEqual(
      new Map([
        ['a@example.net', 1],
        ['d@example.net', 1],
      ]),
    );
  });

  test.for([
    ['at RCPT (recipients_max)', ['recipients_max = 30']],
    ['of the whole list (recipients_max_reject)', ['recipients_max = 30', 'recipients_max_reject = true']],
  ] as const)('a limit of recipients %s splits the list: 100 recipients, one copy each', async ([, settings]) => {
    const { server, sink } = await eximWithSink({ settings });
    const to = people(100);
    const outcome = await sendBy(transportTo(server), mailOf({ to, bytes: letter('list') }));
    expect(new Set(summary(outcome).split(' '))).toEqual(new Set(['accepted']));
    const copies = await copiesAt(sink, 100);
    expect([copies.size, new Set(copies.values())]).toEqual([100, new Set([1])]);
  });

  test('a limit of messages per connection costs no message a second round', async () => {
    const { server, sink } = await eximWithSink({ settings: ['smtp_accept_max_per_connection = 5'] });
    expect(await sendAll(transportTo(server, {}, 2), 40, 1)).toBe(1);
    await copiesAt(sink, 1);
  });

  test('a message above its size limit is `too-large` before it is sent', async () => {
    const { server } = await eximWithSink({ settings: ['message_size_limit = 100K'] });
    const outcome = await sendBy(
      transportTo(server),
      mailOf({ bytes: letter('large', `${'x'.repeat(70)}\r\n`.repeat(3_000)) }),
    );
    expect(outcome).toMatchObject({ recipients: [{ outcome: 'rejected', tooLarge: true }] });
  });

  test('a full server (smtp_accept_max) postpones what it does not take, and everything arrives', async () => {
    const { server } = await eximWithSink({ settings: ['smtp_accept_max = 2'] });
    expect(await sendAll(transportTo(server, {}, 6), 30, 40)).toBeGreaterThanOrEqual(1);
  });
});
