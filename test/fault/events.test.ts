/**
 * Events through a crash: a worker dies before or after each step that writes one, a consumer between reading, working and acknowledging,
 * and the stream is trimmed in between. Every state that the ledger has was told, or was counted as a gap.
 */
import { describe, expect, onTestFinished, test } from 'vitest';
import type { EventLog, StoredEvent } from '../../src/queue/journal/events.ts';
import { openQueues } from '../../src/queue/open.ts';
import { startStepProxy } from '../../testkit/step-proxy.ts';
import { until } from '../../testkit/until.ts';
import { countable, countableMany, settled, sink } from '../support/accounting.ts';
import { endLocks } from '../support/locks.ts';
import { testProducer } from '../support/postlane.ts';
import { redisUrl, shardCount, testConnection, testPrefix } from '../support/redis.ts';
import { startWorkerProcess } from '../support/worker-process.ts';

const never = new AbortController().signal;

/** All that a consumer is told from a cursor on. */
async function readAll(events: EventLog, start: string): Promise<StoredEvent[]> {
  const all: StoredEvent[] = [];
  for (let cursor = start; ;) {
    const read = await events.read(cursor, { count: 100, waitMs: 0, signal: never });
    if (read.events.length === 0) return all;
    all.push(...read.events);
    cursor = read.cursor;
  }
}

const idsOf = (events: readonly StoredEvent[], type: string): string[] =>
  events.flatMap((event) => (event.type === type && 'id' in event ? [event.id] : []));

// Over several shards a message is copied into its lane, in other steps.
describe.skipIf(shardCount() > 1)('a worker that is killed', () => {
  test.each([
    ['before', 'the move into the lane', '"known":false'],
    ['after', 'the move into the lane', '"known":false'],
    ['before', 'the result', '"event":"sent"'],
    ['after', 'the result', '"event":"sent"'],
  ] as const)('%s %s: each state was told, and none that is not the ledger’s', async (where, _step, piece) => {
    const prefix = testPrefix();
    const redis = testConnection();
    const { events } = openQueues(redis, { prefix });
    const start = await events.register('hooks', { wants: 'all', leaseMs: null });
    const producer = testProducer(prefix);
    const server = await sink();
    const connectors = { relay: { port: server.port } };
    const proxy = await startStepProxy(Number(new URL(redisUrl()).port), piece, where);
    onTestFinished(() => proxy.stop());
    const first = await startWorkerProcess({ prefix, connectors, url: `redis://127.0.0.1:${proxy.port}` });
    proxy.arm();
    await producer.send(countable('m'));
    await until(proxy.reached, { what: 'the step' });
    await first.kill();
    await endLocks(redis, prefix);
    await startWorkerProcess({ prefix, connectors });
    const [row] = await settled(producer, ['m']);
    const told = await readAll(events, start);
    expect(idsOf(told, 'message.accepted')).toEqual(['m']);
    expect(idsOf(told, 'message.sent')).toEqual(['m']);
    // As many uncertain attempts as the ledger has, and of each event a number of its own.
    expect(idsOf(told, 'message.uncertain')).toHaveLength(
      row!.history.filter(({ event }) => event === 'uncertain').length,
    );
    const numbers = told.flatMap((event) => ('sequence' in event ? [event.sequence] : []));
    expect(new Set(numbers).size).toBe(numbers.length);
  });
});

/** A consumer that dies at a step of its loop, and is started again from what is acknowledged. */
async function consume(
  events: EventLog,
  handled: Map<string, number>,
  dies: (step: 'read' | 'handled' | 'acknowledged', event: StoredEvent) => boolean,
): Promise<'done' | 'died'> {
  let cursor = await events.register('hooks', { wants: 'results', leaseMs: null });
  for (;;) {
    const read = await events.read(cursor, { count: 7, waitMs: 0, signal: never });
    const [first] = read.events;
    if (first === undefined) return 'done';
    if (dies('read', first)) return 'died';
    for (const event of read.events) {
      const name =
        event.type === 'gap' ? `gap ${event.dropped} ${event.cursor}` : 'id' in event ? event.id : event.type;
      handled.set(name, (handled.get(name) ?? 0) + 1);
      if (dies('handled', event)) return 'died';
      await events.acknowledge('hooks', event.cursor, null);
      if (dies('acknowledged', event)) return 'died';
      cursor = event.cursor;
    }
  }
}

test('a consumer that dies between reading, handling and acknowledging handles every event, also while the stream is trimmed', async () => {
  const prefix = testPrefix();
  const redis = testConnection();
  const { events } = openQueues(redis, { prefix, shards: shardCount() });
  await events.register('hooks', { wants: 'results', leaseMs: null });
  const producer = testProducer(prefix);
  const server = await sink();
  await startWorkerProcess({ prefix, connectors: { relay: { port: server.port } } });
  const messages = countableMany(60);
  await producer.sendMany(messages);
  const handled = new Map<string, number>();
  const done = settled(producer, messages);
  let step = 0;
  const places = ['read', 'handled', 'acknowledged'];
  const dies = (at: string): boolean => {
    if (at !== places[step % 3]) return false;
    step += 1;
    return step % 4 !== 0;
  };
  await done;
  while ((await consume(events, handled, dies)) === 'died') {
    await events.trim(64 * 1024 * 1024);
    if (step > 400) break;
  }
  expect([...handled.keys()].toSorted((a, b) => a.localeCompare(b))).toEqual(
    messages.map(({ id }) => id).toSorted((a, b) => a!.localeCompare(b!)),
  );
  // Only what was handled and not acknowledged is handled again.
  expect(Math.max(...handled.values())).toBeGreaterThan(1);
  await events.trim(64 * 1024 * 1024);
  expect(await events.totals()).toMatchObject({ entries: 0, dropped: 0 });
});

test('what is dropped while a consumer is dead is counted: told events and gaps are all that happened', async () => {
  const prefix = testPrefix();
  const redis = testConnection();
  const { events, shards } = openQueues(redis, { prefix, shards: shardCount() });
  const start = await events.register('hooks', { wants: 'results', leaseMs: null });
  const count = 2_400;
  let written = 0;
  const write = async (some: number): Promise<void> => {
    const last = written + some;
    while (written < last) {
      written += 1;
      await events.append('config.rejected', null, { n: String(written), text: 'x'.repeat(80) });
    }
  };
  await write(600);
  const before = await events.read(start, { count: 50, waitMs: 0, signal: never });
  await events.acknowledge('hooks', before.cursor, null);
  await write(900);
  await events.trim(100_000 * shards.all.length);
  // It reads a part of what is left after the gap, and dies before it has acknowledged that.
  await events.read(before.cursor, { count: 20, waitMs: 0, signal: never });
  await write(count - written);
  await events.trim(100_000 * shards.all.length);
  const after = await readAll(events, await events.register('hooks', { wants: 'results', leaseMs: null }));
  const gaps = after.flatMap((event) => (event.type === 'gap' ? [event.dropped] : []));
  const numbers = after.flatMap((event) => ('data' in event ? [Number(event.data['n'])] : []));
  expect(gaps).toHaveLength(1);
  expect(before.events.length + gaps[0]! + numbers.length).toBe(count);
  expect(numbers).toEqual(Array.from({ length: numbers.length }, (_, i) => count - numbers.length + 1 + i));
  expect((await events.totals()).dropped).toBe(gaps[0]);
});
