/** Refusals of Exim to whole workers: whose they are, what they stop, and what they leave behind. */
import { describe, expect, test } from 'vitest';
import { until } from '../../testkit/until.ts';
import { account, allOnce, countable, settled } from '../support/accounting.ts';
import { testOperator } from '../support/postlane.ts';
import { idsOf, mailFor, startRelay } from './relay.ts';
import { copiesAt, defer, deny, flag, missing, eximWithSink } from './support.ts';

if (missing !== null) console.warn(`Exim is not tested: ${missing}`);

const poison = 'condition = ${if match{$local_part}{^poison}}';
const from = { from: 'relay@example.com' };

describe.skipIf(missing !== null)('Exim', () => {
  test.for([
    ['closes at it with 421', defer, '421 4.3.2 not for this one', 'deferred'],
    ['452 4.3.1, which speaks of the server', defer, '452 4.3.1 insufficient system storage', 'deferred'],
    ['451 4.7.500, which speaks of a rate', defer, '451 4.7.500 server busy', 'deferred'],
    ['550 5.4.5, which speaks of a quota', deny, '550 5.4.5 daily sending quota exceeded', 'deferred'],
    ['550 with a blocklist', deny, '550 5.7.1 client host [192.0.2.1] blocked using bl.example', 'rejected'],
  ] as const)(
    'a recipient that is always refused (%s) holds up neither its own message nor the 20 behind it',
    async ([, verb, answer, left]) => {
      const { server, sink } = await eximWithSink({ rcpt: verb(poison, answer) });
      const { producer, worker } = await startRelay([{ id: 'relay', port: server.port }]);
      const others = mailFor('relay', 20);
      await producer.sendMany([
        countable('poison', from),
        countable('shared', { ...from, to: ['first@example.net', 'poisoned@example.net', 'last@example.net'] }),
        ...others,
      ]);
      const rows = await settled(producer, idsOf(others));
      // Of the shared message all but one have their copy, whatever becomes of that one.
      const copies = await copiesAt(sink, 22);
      expect(account(rows, [sink])).toEqual(allOnce(20));
      expect([copies.size, new Set(copies.values()), copies.has('poison@example.net')]).toEqual([
        22,
        new Set([1]),
        false,
      ]);
      expect(worker.of('connector-fault')).toEqual([]);
      const shared = await until(
        async () => {
          const row = await producer.status('shared');
          return row?.recipients.some(({ outcome }) => outcome === 'accepted') === true ? row : null;
        },
        { what: 'the result of the shared message' },
      );
      expect(shared.recipients.map(({ outcome }) => outcome)).toEqual(['accepted', left, 'accepted']);
    },
  );

  test('a message that is always refused after it was sent, with words about the host, holds up none of the 20 behind it', async () => {
    const data = deny(
      'condition = ${if match{$recipients}{poison}}',
      '554 5.7.1 Service unavailable; client host [192.0.2.1] blocked using bl.example',
    );
    const { server, sink } = await eximWithSink({ data });
    const { producer, worker } = await startRelay([{ id: 'relay', port: server.port }]);
    const others = mailFor('relay', 20);
    await producer.sendMany([countable('poison', from), ...others]);
    const rows = await settled(producer, idsOf(others));
    await copiesAt(sink, 20);
    expect(account(rows, [sink])).toEqual(allOnce(20));
    expect(worker.of('connector-fault')).toEqual([]);
  });

  test('relaying that is denied in Exim’s own words and later allowed leaves no dead letter, and everything is sent', async () => {
    const denied = await flag();
    await denied.set(true);
    const rcpt = deny(`condition = \${if exists{${denied.path}}}`, 'relay not permitted');
    const { server, sink } = await eximWithSink({ rcpt });
    const { prefix, producer, worker } = await startRelay([{ id: 'relay', port: server.port }], { pauseScale: 0.02 });
    const messages = mailFor('relay', 60);
    await producer.sendMany(messages.slice(0, 40));
    await until(() => worker.of('connector-fault').length >= 2, { what: 'two faults' });
    await producer.sendMany(messages.slice(40));
    await until(() => worker.of('connector-fault').length >= 3, { what: 'a fault with more mail behind it' });
    expect(worker.of('dead')).toEqual([]);
    await denied.set(false);
    const rows = await settled(producer, idsOf(messages));
    await copiesAt(sink, 60);
    expect(account(rows, [sink])).toEqual(allOnce(60));
    const { lanes } = await testOperator(prefix);
    expect(await lanes.status('relay')).toMatchObject({ faults: null, suspect: null });
  });
});
