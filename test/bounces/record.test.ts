/** A report in the row of its message: who it names, what it changes, once and for good, and what a forged one does not change. */
import { expect, test } from 'vitest';
import { recordReport } from '../../src/bounces/record.ts';
import { readReport } from '../../src/bounces/report.ts';
import type { BounceNotes } from '../../src/admin/bounces.ts';
import { openQueues } from '../../src/queue/open.ts';
import type { OutgoingMail, Outcome } from '../../src/transport/transport.ts';
import { configOf, startWorker, testOperator, testProducer, testRetry } from '../support/postlane.ts';
import { redisUrl, shardCount, testConnection, testPrefix } from '../support/redis.ts';
import { until } from '../../testkit/until.ts';
import { report } from './reports/case.ts';

const never = new AbortController().signal;
const suppressed = { added: 0, refused: 0 };
const anna = 'anna@example.net';
const ben = 'ben@example.net';

const statusOf = (recipient: string, action = 'failed', code = '5.1.1'): string =>
  `Reporting-MTA: dns; mx.test\n\nFinal-Recipient: rfc822; ${recipient}\nAction: ${action}\nStatus: ${code}\nDiagnostic-Code: smtp; 550 ${code} no such user "${recipient}"`;

const answer =
  (outcomes: Readonly<Record<string, 'accepted' | 'deferred'>>, text = 'Ok: queued as 4XyZ12abcD') =>
  ({ envelope }: OutgoingMail): Outcome => ({
    kind: 'settled',
    recipients: envelope.to.map((address) => {
      const outcome = outcomes[address] ?? 'accepted';
      const code = outcome === 'accepted' ? '250' : '451';
      return { address, outcome, scope: 'recipient', reply: { code, enhancedCode: null, text } };
    }),
  });

async function sent(to: readonly string[] = [anna], scripts: Parameters<typeof startWorker>[0]['scripts'] = {}) {
  const prefix = testPrefix();
  const retry = { ...testRetry, firstDelayMs: 600, maxDelayMs: 600 };
  const operator = await testOperator(prefix, redisUrl());
  const { events } = openQueues(testConnection(), { prefix, shards: shardCount() });
  const start = await events.register('hooks', { wants: 'results', leaseMs: null });
  await startWorker({ prefix, config: configOf({ relay: { retry } }), scripts });
  const producer = testProducer(prefix);
  await producer.send({ id: 'm', from: 'shop@example.com', to: [...to], text: 'x', metadata: { order: '7' } });
  const row = async () => (await producer.status('m'))!;
  const state = async (wanted: string): Promise<void> => {
    await until(async () => (await producer.status('m'))?.state === wanted, { what: `m to be ${wanted}` });
  };
  const bounced = async () => {
    const read = await events.read(start, { count: 100, waitMs: 0, signal: never });
    return read.events.filter(({ type }) => type === 'message.bounced');
  };
  const record = async (mail: string, now = Date.now(), notes: BounceNotes = operator.bounceNotes) =>
    recordReport(await readReport(Buffer.from(mail)), 'relay', { notes, bouncePaths: [], suppressForMs: null, now });
  return { prefix, operator, producer, row, state, bounced, record };
}

const about = (messageId: string | null, recipient = anna, action = 'failed', code = '5.1.1'): string =>
  report(statusOf(recipient, action, code), `Message-ID: ${messageId ?? ''}\n`);

test('a failure is told in the row, its history, an event, a counter and a search, and the state stays', async () => {
  const { operator, row, state, bounced, record } = await sent([anna, ben]);
  await state('sent');
  const before = await row();
  expect(await record(about(before.messageId), 1_700_000_000_000)).toEqual({
    kind: 'matched',
    id: 'm',
    written: 1,
    suppressed,
  });
  const after = await row();
  const bounce = {
    at: 1_700_000_000_000,
    action: 'failed',
    status: '5.1.1',
    smtpCode: '550',
    permanent: true,
    diagnostic: '550 5.1.1 no such user "anna@example.net"',
  };
  expect(after).toEqual({
    ...before,
    recipients: [{ ...before.recipients[0], bounce }, before.recipients[1]],
    history: [
      ...before.history,
      {
        at: 1_700_000_000_000,
        event: 'bounced',
        connector: 'relay',
        detail: 'anna@example.net: 550 5.1.1 no such user "anna@example.net"',
      },
    ],
  });
  expect(await bounced()).toMatchObject([
    {
      type: 'message.bounced',
      id: 'm',
      state: 'sent',
      connector: 'relay',
      messageId: before.messageId,
      metadata: { order: '7' },
      recipients: [{ address: anna, outcome: 'accepted' }, { address: ben }],
      bounced: [{ address: anna, bounce }],
      sequence: after.history.length,
    },
  ]);
  const series = await operator.counters.series(Date.now() - 600_000, Date.now());
  expect(series.reduce((sum, { counts }) => sum + counts.bounced, 0)).toBe(1);
  const lane = await operator.counters.connectorSeries('relay', Date.now() - 600_000, Date.now());
  expect(lane.reduce((sum, { counts }) => sum + counts.bounced, 0)).toBe(1);
  const found = await operator.messages({ bounced: true, limit: 10 });
  expect(found).toMatchObject({ items: [{ id: 'm', recipients: [{ address: anna, bounce }, {}] }], complete: true });
});

test('a report a second time, or one that contradicts it, changes nothing and is no second event', async () => {
  const { row, state, bounced, record } = await sent();
  await state('sent');
  const { messageId } = await row();
  await record(about(messageId));
  const after = await row();
  const again = { kind: 'matched', id: 'm', written: 0, suppressed };
  expect(await record(about(messageId))).toEqual(again);
  expect(await record(about(messageId, anna, 'failed', '4.2.2'))).toEqual(again);
  expect(await record(about(messageId, anna, 'delayed', '4.2.2'))).toEqual(again);
  expect(await row()).toEqual(after);
  expect(await bounced()).toHaveLength(1);
});

test('two readers that write the same report at once write it once', async () => {
  const { row, state, bounced, record } = await sent();
  await state('sent');
  const { messageId } = await row();
  const all = await Promise.all(Array.from({ length: 10 }, () => record(about(messageId))));
  expect(all.map((each) => ('written' in each ? each.written : -1)).toSorted((a, b) => a - b)).toEqual([
    ...Array<number>(9).fill(0),
    1,
  ]);
  expect(await bounced()).toHaveLength(1);
  expect((await row()).history.filter(({ event }) => event === 'bounced')).toHaveLength(1);
});

test('a delay is no event, and the failure after it takes its place', async () => {
  const { operator, row, state, bounced, record } = await sent();
  await state('sent');
  const { messageId } = await row();
  await record(about(messageId, anna, 'delayed', '4.4.1'));
  expect((await row()).recipients[0]?.bounce).toMatchObject({ action: 'delayed', status: '4.4.1', permanent: false });
  expect(await bounced()).toEqual([]);
  expect((await operator.messages({ bounced: true, limit: 10 })).items).toEqual([]);
  await record(about(messageId, anna, 'failed', '4.4.7'));
  expect((await row()).recipients[0]?.bounce).toMatchObject({ action: 'failed', status: '4.4.7', permanent: false });
  expect((await row()).history.map(({ event }) => event)).toEqual(['routed', 'sent', 'delayed', 'bounced']);
  expect(await bounced()).toHaveLength(1);
});

test('a report of a success changes nothing', async () => {
  const { row, state, record } = await sent();
  await state('sent');
  const before = await row();
  expect(await record(about(before.messageId, anna, 'delivered', '2.0.0'))).toMatchObject({ written: 0 });
  expect(await row()).toEqual(before);
});

test('a forged report, with our Message-ID and a recipient to whom the mail never went, changes nothing', async () => {
  const { row, state, bounced, record } = await sent();
  await state('sent');
  const before = await row();
  expect(await record(about(before.messageId, 'boss@victim.test'))).toEqual({ kind: 'unmatched', why: 'stranger' });
  // The id alone can be guessed; the Message-ID has a hash beside it.
  expect(await record(about('<m.0000000000@example.com>'))).toEqual({ kind: 'unmatched', why: 'unknown' });
  expect(await row()).toEqual(before);
  expect(await bounced()).toEqual([]);
});

test('a report on a recipient to whom nothing was sent yet is forged, and changes nothing', async () => {
  const { producer, row, operator } = await sent();
  await operator.lanes.pause('relay', { by: 'test', reason: 'test', forMs: null });
  await producer.send({ id: 'w', from: 'shop@example.com', to: anna, text: 'x' });
  await until(async () => (await producer.status('w'))?.connector === 'relay', { what: 'w to be routed' });
  expect((await row()).id).toBe('m');
  const waiting = (await producer.status('w'))!;
  const mail = Buffer.from(about(waiting.messageId));
  const recorded = await recordReport(await readReport(mail), 'relay', {
    notes: operator.bounceNotes,
    bouncePaths: [],
    suppressForMs: null,
    now: Date.now(),
  });
  expect(recorded).toEqual({ kind: 'matched', id: 'w', written: 0, suppressed });
  expect(await producer.status('w')).toEqual(waiting);
});

test('a server that gives the mail an id of its own is matched by its answer to the final dot', async () => {
  const { state, row, record } = await sent([anna], { relay: [answer({})] });
  await state('sent');
  expect(await record(about('<4XyZ12abcD>'))).toEqual({ kind: 'matched', id: 'm', written: 1, suppressed });
  expect((await row()).recipients[0]?.bounce?.status).toBe('5.1.1');
});

test('a report that names no mail is matched by the thread that it answers to', async () => {
  const { state, row, record } = await sent();
  await state('sent');
  const { messageId } = await row();
  const mail = report(statusOf(anna)).replace('Date:', `References: <other@shop.test> ${messageId}\nDate:`);
  expect(await record(mail)).toEqual({ kind: 'matched', id: 'm', written: 1, suppressed });
});

test('a report that comes while another recipient is retried is not lost by the next result', async () => {
  const { row, state, record } = await sent([anna, ben], { relay: [answer({ [ben]: 'deferred' }), answer({})] });
  await state('deferred');
  const { messageId } = await row();
  expect(await record(about(messageId))).toMatchObject({ written: 1 });
  expect((await row()).state).toBe('deferred');
  await state('sent');
  expect((await row()).recipients).toMatchObject([
    { address: anna, outcome: 'accepted', bounce: { action: 'failed' } },
    { address: ben, outcome: 'accepted' },
  ]);
  expect((await row()).recipients[1]).not.toHaveProperty('bounce');
});

test('erasure removes what came back, and a report that comes later is a stranger', async () => {
  const { prefix, operator, row, state, record } = await sent();
  await state('sent');
  const { messageId } = await row();
  await record(about(messageId));
  expect(await operator.erase(['m'])).toEqual([{ id: 'm', kind: 'erased' }]);
  expect((await row()).recipients).toEqual([{ address: 'erased', outcome: 'accepted', code: '250', reply: null }]);
  const redis = testConnection();
  const { shards } = openQueues(redis, { prefix, shards: shardCount() });
  for (const keys of shards.all) {
    expect(await redis.hget(keys.ledger('m'), 'bounces')).toBeNull();
    expect(await redis.zcard(keys.bounced)).toBe(0);
  }
  expect(await record(about(messageId))).toMatchObject({ kind: 'unmatched' });
});

test('text in a diagnostic that JSON of Redis cannot read is kept readable', async () => {
  const { row, state, operator } = await sent();
  await state('sent');
  const bounce = { at: 1, action: 'failed', status: null, smtpCode: null, permanent: null } as const;
  const diagnostic = `"\\u0000/\ud800 é ${'x'.repeat(600)}`;
  await operator.bounceNotes.write('m', 'relay', 1, [{ place: 0, address: anna, bounce: { ...bounce, diagnostic } }]);
  const kept = (await row()).recipients[0]?.bounce;
  expect(kept).toMatchObject(bounce);
  expect(kept?.diagnostic).toMatch(/^"\\u0000\/\ufffd é x{40,}$/);
  expect(kept?.diagnostic).toHaveLength(500);
});
