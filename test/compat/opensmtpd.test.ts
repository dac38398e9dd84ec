/** OpenSMTPD, which limits recipients per transaction and messages per session, and offers no PIPELINING. */
import { describe, expect, test } from 'vitest';
import { mailOf, sendBy, summary } from '../support/smtp-client.ts';
import { copiesAt, letter, missing, people, sendAll, opensmtpdWithSink, transportTo } from './support.ts';

if (missing !== null) console.warn(`OpenSMTPD is not tested: ${missing}`);

describe.skipIf(missing !== null)('OpenSMTPD', () => {
  test('of 100 recipients, with 30 in a transaction, each has the outcome that is its own', async () => {
    const { server, sink } = await opensmtpdWithSink(['smtp limit max-rcpt 30']);
    const to = people(100).map((address, at) =>
      at % 25 === 7 ? address.replace('example.net', 'refused.test') : address,
    );
    const outcomes = summary(await sendBy(transportTo(server), mailOf({ to, bytes: letter('list') }))).split(' ');
    expect(outcomes.map((outcome, at) => (at % 25 === 7 ? outcome === 'rejected' : outcome === 'accepted'))).toEqual(
      Array<boolean>(100).fill(true),
    );
    const copies = await copiesAt(sink, 96);
    expect([copies.size, new Set(copies.values())]).toEqual([96, new Set([1])]);
  });

  test('a session of few messages is followed by the next one at once', async () => {
    const { server } = await opensmtpdWithSink(['smtp limit max-mails 7']);
    expect(await sendAll(transportTo(server, {}, 3), 60, 1)).toBe(1);
  });

  test('takes a message without PIPELINING', async () => {
    const { server, sink } = await opensmtpdWithSink();
    expect(summary(await sendBy(transportTo(server), mailOf({ bytes: letter('plain') })))).toBe('accepted');
    await copiesAt(sink, 1);
  });
});
