/** Whole workers in front of Haraka: recipients at whom it closes, its plugin of limits, and restarts. */
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { harakaMissing, startHaraka, type Haraka, type HarakaOptions } from '../../testkit/mailservers/haraka.ts';
import { startPrivateRedis } from '../../testkit/redis.ts';
import { until } from '../../testkit/until.ts';
import { countable, isUncertain, settled } from '../support/accounting.ts';
import { expectNoneBurned } from '../support/smtp-sender.ts';
import { root } from '../support/source.ts';
import { idsOf, mailFor, startRelay } from './relay.ts';

const packages = join(root, 'test/compat/haraka');
const missing = harakaMissing(packages);
if (missing !== null) console.warn(`Haraka is not tested: ${missing}`);

async function haraka(options: HarakaOptions = {}): Promise<Haraka> {
  const server = await startHaraka(packages, options);
  onTestFinished(() => server.stop());
  return server;
}

/** With Haraka's own plugin of limits, whose counters are in a Redis. */
async function limited(section: string, limit: string): Promise<Haraka> {
  const redis = await startPrivateRedis();
  onTestFinished(() => redis.stop());
  const limits = `tarpit_delay=0\n[redis]\nhost=127.0.0.1\nport=${redis.port}\n[${section}]\nenabled=true\n${limit}\n`;
  return haraka({ plugins: ['limit'], config: { 'limit.ini': limits } });
}

const once = (count: number): [number, Set<number>] => [count, new Set([1])];
const counted = (copies: ReadonlyMap<string, number>): [number, Set<number>] => [copies.size, new Set(copies.values())];

describe.skipIf(missing !== null)('Haraka', () => {
  test('a recipient at whom it closes the connection is put off by itself: its message reaches the others, and 20 behind it are sent', async () => {
    const server = await haraka();
    const { producer, worker } = await startRelay([{ id: 'relay', port: server.port }]);
    const from = { from: 'relay@example.com' };
    const others = mailFor('relay', 20);
    const shared = countable('shared', { ...from, to: ['first@example.net', 'drop@example.net', 'last@example.net'] });
    await producer.sendMany([countable('drop', from), shared, ...others]);
    const rows = await settled(producer, idsOf(others));
    expectNoneBurned(rows);
    const row = await until(
      async () => {
        const found = await producer.status('shared');
        return found?.state === 'deferred' ? found : null;
      },
      { what: 'the result of the shared message' },
    );
    expect(row.recipients.map(({ outcome }) => outcome)).toEqual(['accepted', 'deferred', 'accepted']);
    expect(counted(await server.copies())).toEqual(once(22));
    expect(worker.of('connector-fault')).toEqual([]);
  });

  test('restarted again and again amid 500 messages at concurrency 5, it has every message, and a second copy only after an uncertain attempt', async () => {
    const server = await haraka();
    const { producer, worker } = await startRelay([{ id: 'relay', port: server.port }], {
      pauseScale: 0.02,
      retry: { firstDelayMs: 500, maxDelayMs: 2_000 },
    });
    const messages = mailFor('relay', 500);
    await producer.sendMany(messages);
    for (const share of [100, 200, 300, 400]) {
      await until(async () => (await server.copies()).size >= share, { what: `${share} copies` });
      await server.restart();
    }
    const rows = await settled(producer, idsOf(messages));
    const copies = await server.copies();
    expect(rows.filter(({ state }) => state !== 'sent')).toEqual([]);
    expect(copies.size).toBe(500);
    const twice = rows.filter(({ id }) => (copies.get(`${id}@example.net`) ?? 0) > 1);
    expect(twice.filter((row) => !isUncertain(row))).toEqual([]);
    expect(worker.of('dead')).toEqual([]);
  });

  test('a limit of connections at once (limit, concurrency) costs no message an attempt', async () => {
    const server = await limited('concurrency', 'max=2');
    const { producer } = await startRelay([{ id: 'relay', port: server.port }], { pauseScale: 0.02 });
    const messages = mailFor('relay', 100);
    await producer.sendMany(messages);
    const rows = await settled(producer, idsOf(messages));
    expect(counted(await server.copies())).toEqual(once(100));
    expectNoneBurned(rows);
  });

  test('a limit of recipients over all messages of a session (limit, recipients) is met by new sessions: 60 messages are sent', async () => {
    const server = await limited('recipients', 'max=7');
    const { producer, worker } = await startRelay([{ id: 'relay', port: server.port }]);
    const messages = mailFor('relay', 60);
    await producer.sendMany(messages);
    await settled(producer, idsOf(messages));
    expect(counted(await server.copies())).toEqual(once(60));
    expect(worker.of('dead')).toEqual([]);
  });

  test('a limit of recipients per time (limit, rate_rcpt_sender) puts mail off until all of it is sent', async () => {
    const server = await limited('rate_rcpt_sender', 'default=20/2s');
    const { producer, worker } = await startRelay([{ id: 'relay', port: server.port }], {
      pauseScale: 0.1,
      retry: { firstDelayMs: 1_000, maxDelayMs: 4_000 },
    });
    const messages = mailFor('relay', 100);
    await producer.sendMany(messages);
    await settled(producer, idsOf(messages), 150_000);
    expect(counted(await server.copies())).toEqual(once(100));
    expect(worker.of('dead')).toEqual([]);
  });
});
