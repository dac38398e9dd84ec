/** Events: written with the state, read from a cursor, kept until every consumer has read them, and counted where they are dropped. */
import { expect, test } from 'vitest';
import { openQueues } from '../../../src/queue/open.ts';
import type { Outcome } from '../../../src/transport/transport.ts';
import { configOf, startWorker, testOperator, testProducer } from '../../support/postlane.ts';
import { isSealed, shardCount, testConnection, testPrefix } from '../../support/redis.ts';
import { until } from '../../../testkit/until.ts';

const never = new AbortController().signal;
const now = { count: 100, waitMs: 0, signal: never };

function parts() {
  const prefix = testPrefix();
  const redis = testConnection();
  const { events, shards } = openQueues(redis, { prefix, shards: shardCount() });
  return { prefix, redis, events, shards };
}

test.skipIf(isSealed())(
  'a message is told of from its acceptance to its end, in order, with what webhooks need',
  async () => {
    const { prefix, events } = parts();
    const start = await events.register('all', { wants: 'all', leaseMs: null });
    const producer = testProducer(prefix);
    await startWorker({ prefix, config: configOf({ relay: {} }), scripts: { relay: ['deferred'] } });
    await producer.send({ id: 'm', from: 'x@example.com', to: 'a@example.net', text: 'x', metadata: { orderId: '7' } });
    await until(async () => (await producer.status('m'))?.state === 'sent', { what: 'it to be sent' });
    const read = await events.read(start, now);
    expect(read.events.map(({ type }) => type)).toEqual(['message.accepted', 'message.deferred', 'message.sent']);
    const [, , sent] = read.events;
    expect(sent).toMatchObject({
      id: 'm',
      state: 'sent',
      connector: 'relay',
      attempt: 2,
      metadata: { orderId: '7' },
      recipients: [{ address: 'a@example.net', outcome: 'accepted', code: '250' }],
    });
    const sequences = read.events.map((event) => ('sequence' in event ? event.sequence : 0));
    expect(sequences).toEqual(sequences.toSorted((a, b) => a - b));
    expect(new Set(sequences).size).toBe(3);
    const status = (await producer.status('m'))!;
    expect('messageId' in sent! && sent.messageId).toBe(status.messageId);
    // From the cursor of an event on are those after it.
    expect((await events.read(read.events[0]!.cursor, now)).events).toEqual(read.events.slice(1));
  },
);

test('the id of an event is the same however far its reader was, of a gap as well, and no two have the same', async () => {
  const { events, shards } = parts();
  const start = await events.register('one', { wants: 'all', leaseMs: null });
  const connectors = Array.from({ length: 20 }, (_, n) => `c${n}`);
  for (const connector of connectors) await events.append('connector.paused', connector, {});
  const whole = (await events.read(start, now)).events;
  const idsOf = (read: readonly { readonly eventId: string }[]): string[] =>
    read.map(({ eventId }) => eventId).toSorted();
  expect(new Set(idsOf(whole)).size).toBe(20);
  const pieces: string[] = [];
  for (let cursor = start; ;) {
    const piece = await events.read(cursor, { ...now, count: 1 });
    if (piece.events.length === 0) break;
    pieces.push(...idsOf(piece.events));
    cursor = piece.cursor;
  }
  expect(pieces.toSorted()).toEqual(idsOf(whole));
  for (const each of whole) {
    expect(each.eventId).toMatch(/^\d+-\d+-\d+$/);
    expect(shards.of('connector' in each ? each.connector! : '')).toBe(Number(each.eventId.split('-')[0]));
  }
  await events.trim(0);
  const gaps = (await events.read(start, now)).events;
  expect(gaps.length).toBe(new Set(whole.map(({ eventId }) => eventId.split('-')[0])).size);
  for (const gap of gaps)
    expect(gap).toMatchObject({ type: 'gap', eventId: expect.stringMatching(/^\d+-\d+-\d+-gap$/) });
});

test('nothing is written while nobody reads, and accepted messages only for those who want them', async () => {
  const { prefix, redis, events, shards } = parts();
  const producer = testProducer(prefix);
  await startWorker({ prefix, config: configOf({ relay: {} }) });
  const send = async (id: string): Promise<void> => {
    await producer.send({ id, from: 'x@example.com', to: 'a@example.net', text: 'x' });
    await until(async () => (await producer.status(id))?.state === 'sent', { what: `${id} to be sent` });
  };
  await send('m1');
  expect(await redis.exists(...shards.all.map((keys) => keys.events))).toBe(0);
  const start = await events.register('hooks', { wants: 'results', leaseMs: null });
  await send('m2');
  expect((await events.read(start, now)).events).toMatchObject([{ type: 'message.sent', id: 'm2' }]);
  await events.unregister('hooks');
  await send('m3');
  expect((await events.read(start, now)).events).toHaveLength(1);
});

test('an event goes once every consumer has acknowledged it, and a lease that ends holds nothing', async () => {
  const { events } = parts();
  const start = await events.register('slow', { wants: 'all', leaseMs: null });
  await events.register('fast', { wants: 'all', leaseMs: null });
  for (const n of ['1', '2', '3']) await events.append('config.rejected', null, { n });
  const all = await events.read(start, now);
  expect(all.events.map((event) => 'data' in event && event.data['n'])).toEqual(['1', '2', '3']);
  expect(await events.acknowledge('fast', all.cursor, null)).toBe(true);
  await events.trim(1_000_000);
  expect((await events.read(start, now)).events).toHaveLength(3);
  expect(await events.acknowledge('slow', all.events[0]!.cursor, null)).toBe(true);
  expect(await events.trim(1_000_000)).toMatchObject({ entries: 2, dropped: 0, droppedNow: 0 });
  // What is acknowledged is not taken back.
  await events.acknowledge('slow', start, null);
  await events.register('slow', { wants: 'results', leaseMs: 1 });
  await until(async () => (await events.trim(1_000_000)).entries === 0, { what: 'the lease to end' });
  expect(await events.acknowledge('slow', all.cursor, 1)).toBe(false);
});

test('what is dropped unread is counted, and told once to each consumer that had not read it', async () => {
  const { events, shards } = parts();
  const start = await events.register('slow', { wants: 'all', leaseMs: null });
  await events.register('fast', { wants: 'all', leaseMs: null });
  for (let n = 0; n < 1_500; n += 1)
    await events.append('config.rejected', null, { n: String(n), text: 'x'.repeat(100) });
  const read = await events.read(start, { ...now, count: 2_000 });
  await events.acknowledge('fast', read.cursor, null);
  await events.acknowledge('slow', read.events[99]!.cursor, null);
  const trimmed = await events.trim(100_000 * shards.all.length);
  expect(trimmed.dropped).toBe(trimmed.droppedNow);
  expect(trimmed.bytes).toBeLessThanOrEqual(100_000);
  const [gap, ...rest] = (await events.read(read.events[99]!.cursor, { ...now, count: 2_000 })).events;
  expect(gap).toMatchObject({ type: 'gap', dropped: trimmed.dropped });
  expect(rest).toHaveLength(1_400 - trimmed.dropped);
  expect((await events.read(gap!.cursor, { ...now, count: 2_000 })).events).toEqual(rest);
  // It had read them all.
  expect((await events.read(read.cursor, now)).events).toEqual([]);
  await events.acknowledge('slow', gap!.cursor, null);
  await events.trim(1_000_000);
  expect((await events.totals()).dropped).toBe(trimmed.dropped);
});

test('a reader waits for the first event, and stops when it is told to', async () => {
  const { events } = parts();
  const start = await events.register('live', { wants: 'all', leaseMs: 60_000 });
  const waiting = events.read(start, { count: 10, waitMs: 30_000, signal: never });
  await events.append('connector.paused', 'relay', { reason: 'a test' });
  expect((await waiting).events).toMatchObject([
    { type: 'connector.paused', connector: 'relay', data: { reason: 'a test' } },
  ]);
  const stop = new AbortController();
  const stopped = events.read((await waiting).cursor, { count: 10, waitMs: 30_000, signal: stop.signal });
  stop.abort();
  expect((await stopped).events).toEqual([]);
});

test('cancelled and replayed messages are told of, too', async () => {
  const { prefix, events } = parts();
  const start = await events.register('hooks', { wants: 'results', leaseMs: null });
  const producer = testProducer(prefix);
  const operator = await testOperator(prefix);
  await producer.send({ id: 'c', from: 'x@example.com', to: 'a@example.net', text: 'x' });
  expect(await producer.cancel('c')).toBe(true);
  await startWorker({ prefix, config: configOf({ relay: {} }), scripts: { relay: ['rejected'] } });
  await producer.send({ id: 'd', from: 'x@example.com', to: 'a@example.net', text: 'x' });
  await until(async () => (await producer.status('d'))?.state === 'dead', { what: 'it to be dead' });
  await operator.replay('d', { via: null, now: Date.now(), lifetimeMs: 60_000 });
  await until(async () => (await producer.status('d'))?.state === 'sent', { what: 'it to be sent' });
  const found = (await events.read(start, now)).events.map((event) => `${event.type} ${'id' in event ? event.id : ''}`);
  expect(found.toSorted()).toEqual(
    ['message.cancelled c', 'message.dead d', 'message.replayed d', 'message.sent d'].toSorted(),
  );
});

test('faults and recoveries of connectors are told of and counted', async () => {
  const { prefix, events } = parts();
  const start = await events.register('hooks', { wants: 'results', leaseMs: null });
  const producer = testProducer(prefix);
  const operator = await testOperator(prefix);
  const fault: Outcome = {
    kind: 'connector-fault',
    fault: 'unreachable',
    reply: { code: 'ECONNREFUSED', enhancedCode: null, text: 'connection refused' },
  };
  await startWorker({
    prefix,
    config: configOf({ relay: {} }),
    scripts: { relay: [fault] },
    timing: { pauseScale: 0.001 },
  });
  await producer.send({ id: 'm', from: 'x@example.com', to: 'a@example.net', text: 'x' });
  await until(async () => (await producer.status('m'))?.state === 'sent', { what: 'it to be sent' });
  const found = (await events.read(start, now)).events;
  expect(found.map(({ type }) => type)).toEqual(['connector.fault', 'message.sent', 'connector.recovered']);
  expect(found[0]).toMatchObject({ connector: 'relay', data: { fault: 'unreachable' } });
  const [slot] = (await operator.counters.series(Date.now() - 300_000, Date.now())).filter(
    ({ counts }) => counts.sent > 0,
  );
  expect(slot!.counts).toMatchObject({ accepted: 1, sent: 1, soon: 1, fault: 1 });
  const [own] = (await operator.counters.connectorSeries('relay', Date.now() - 300_000, Date.now())).filter(
    ({ counts }) => counts.sent > 0,
  );
  expect(own!.counts).toMatchObject({ sent: 1, fault: 1 });
});

test('a pause that is over by its time is told of once, by whichever worker comes first; one that was replaced is not', async () => {
  const prefix = testPrefix();
  const { lanes, events } = openQueues(testConnection(), { prefix, shards: shardCount() });
  const start = await events.register('hooks', { wants: 'results', leaseMs: null });
  await lanes.pause('over', { by: 'ops', reason: 'r', forMs: 1 });
  for (const name of ['longer', 'resumed']) await lanes.pause(name, { by: 'ops', reason: 'r', forMs: 60_000 });
  await lanes.pause('longer', { by: 'ops', reason: 'for good', forMs: null });
  await lanes.resume('resumed');
  await until(async () => (await lanes.pauseOf('over')) === null, { what: 'the pause to be over' });
  // As far as Redis' clock says; this one is only for which are looked at.
  const at = Date.now() + 3_600_000;
  await Promise.all([lanes.tellPausesOver(at, 10), lanes.tellPausesOver(at, 10)]);
  await until(
    async () => {
      await lanes.tellPausesOver(at, 10);
      return (await events.read(start, now)).events.some(
        ({ type, ...rest }) => type === 'connector.resumed' && 'connector' in rest && rest.connector === 'over',
      );
    },
    { what: 'it to be told' },
  );
  const told = (await events.read(start, now)).events.flatMap((event) =>
    event.type === 'connector.resumed' ? [[event.connector, event.data]] : [],
  );
  expect(Object.fromEntries(told)).toEqual({
    resumed: expect.objectContaining({ by: 'ops' }),
    over: { by: '', reason: '', until: '' },
  });
  expect(told).toHaveLength(2);
  expect(await lanes.queue('over').isPaused()).toBe(false);
});

test('a lane that an operator holds and releases is told of, with who and why', async () => {
  const prefix = testPrefix();
  const { lanes, events } = openQueues(testConnection(), { prefix, shards: shardCount() });
  const start = await events.register('hooks', { wants: 'results', leaseMs: null });
  await lanes.pause('relay', { by: 'ops', reason: 'maintenance', forMs: 60_000 });
  await lanes.resume('relay');
  expect((await events.read(start, now)).events).toMatchObject([
    { type: 'connector.paused', connector: 'relay', data: { by: 'ops', reason: 'maintenance' } },
    { type: 'connector.resumed', connector: 'relay', data: { by: 'ops', reason: 'maintenance' } },
  ]);
});
