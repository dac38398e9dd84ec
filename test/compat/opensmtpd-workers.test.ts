/** Whole workers in front of OpenSMTPD: sessions of few messages, lists of recipients, restarts. */
import { describe, expect, test } from 'vitest';
import { until } from '../../testkit/until.ts';
import { account, allOnce, countable, settled } from '../support/accounting.ts';
import { expectNoneBurned } from '../support/smtp-sender.ts';
import { idsOf, mailFor, startRelay } from './relay.ts';
import { copiesAt, missing, people, opensmtpdWithSink } from './support.ts';

if (missing !== null) console.warn(`OpenSMTPD is not tested: ${missing}`);

describe.skipIf(missing !== null)('OpenSMTPD', () => {
  test('with seven mails in a session, 300 messages need no second attempt and meet no fault', async () => {
    const { server, sink } = await opensmtpdWithSink(['smtp limit max-mails 7']);
    const { producer, worker } = await startRelay([{ id: 'relay', port: server.port }]);
    const messages = mailFor('relay', 300);
    await producer.sendMany(messages);
    const rows = await settled(producer, idsOf(messages));
    await copiesAt(sink, 300);
    expect(account(rows, [sink])).toEqual(allOnce(300));
    expectNoneBurned(rows);
    expect(worker.of('connector-fault')).toEqual([]);
  });

  test('with 30 recipients in a transaction, a message to 100 of whom some are refused is settled in one attempt', async () => {
    const { server, sink } = await opensmtpdWithSink(['smtp limit max-rcpt 30']);
    const { producer } = await startRelay([{ id: 'relay', port: server.port }]);
    const isRefused = (at: number): boolean => [3, 29, 30, 31, 64, 99].includes(at);
    const to = people(100).map((address, at) =>
      isRefused(at) ? address.replace('example.net', 'refused.test') : address,
    );
    await producer.send(countable('list', { from: 'relay@example.com', to }));
    const [row] = await settled(producer, ['list']);
    expect(row).toMatchObject({ state: 'partial', attempts: 1 });
    expect(row!.recipients.map(({ address, outcome }) => [address, outcome])).toEqual(
      to.map((address, at) => [address, isRefused(at) ? 'rejected' : 'accepted']),
    );
    const copies = await copiesAt(sink, 94);
    expect([copies.size, new Set(copies.values())]).toEqual([94, new Set([1])]);
  });

  test('restarted amid 500 messages at concurrency 5, it gets every message, and none is a dead letter', async () => {
    const { server, sink } = await opensmtpdWithSink();
    const { producer, worker } = await startRelay([{ id: 'relay', port: server.port }], {
      pauseScale: 0.02,
      retry: { firstDelayMs: 500, maxDelayMs: 2_000 },
    });
    const messages = mailFor('relay', 500);
    await producer.sendMany(messages);
    for (const share of [100, 250, 400]) {
      await until(() => worker.of('sent').length >= share, { what: `${share} messages` });
      await server.restart();
    }
    const rows = await settled(producer, idsOf(messages));
    expect(rows.filter(({ state }) => state !== 'sent')).toEqual([]);
    await copiesAt(sink, 500);
    expect(worker.of('dead')).toEqual([]);
  });
});
