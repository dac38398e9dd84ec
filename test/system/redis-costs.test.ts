/**
 * What a message costs Redis, by its own counters: scripts, commands within them, bytes. Nobody adds a round trip unseen.
 *
 * The bounds are what it is today and a few percent, as batches differ a little from run to run. Lower them when it costs less.
 */
import { expect, test } from 'vitest';
import { ownRedis, type OwnRedis } from '../support/own-redis.ts';
import { createRecordingTransport } from '../../src/transport/recording.ts';
import type { Transport } from '../../src/transport/transport.ts';
import { configOf, startWorker, testProducer } from '../support/postlane.ts';
import { until } from '../../testkit/until.ts';

const messages = 2_000;
const prefix = '{costs}';

interface Costs {
  readonly scripts: number;
  /** Within scripts or not. */
  readonly commands: number;
  readonly bytesToRedis: number;
  readonly bytesFromRedis: number;
}

/** What Redis has counted since it started. */
async function counted({ admin }: OwnRedis): Promise<Costs> {
  const [stats, commandStats] = [await admin.info('stats'), await admin.info('commandstats')];
  const field = (name: string): number => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(stats)?.[1]);
  let [scripts, commands] = [0, 0];
  for (const [, name = '', calls] of commandStats.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm)) {
    if (name.startsWith('eval')) scripts += Number(calls);
    // Of this test's own connection.
    else if (name !== 'info') commands += Number(calls);
  }
  return {
    scripts,
    commands,
    bytesToRedis: field('total_net_input_bytes'),
    bytesFromRedis: field('total_net_output_bytes'),
  };
}

/** Per message, while `work` runs. */
async function costsOf(server: OwnRedis, work: () => Promise<unknown>): Promise<Costs> {
  const before = await counted(server);
  await work();
  const after = await counted(server);
  const names = Object.keys(before) as (keyof Costs)[];
  return Object.fromEntries(names.map((name) => [name, (after[name] - before[name]) / messages])) as unknown as Costs;
}

/** What accepting messages for ten connectors costs, and what sending them does. `warm`: each finds a session open. */
async function measure(warm: boolean): Promise<{ readonly sending: Costs; readonly working: Costs }> {
  const server = await ownRedis({ appendfsync: 'everysec' });
  const redis = { url: server.url, shards: 1 };
  const producer = testProducer(prefix, { redis });
  const mails = Array.from({ length: messages }, (_, nth) => ({
    from: `news@x${nth % 10}.example`,
    to: `reader${nth}@example.net`,
    subject: 'Costs',
    text: 'x'.repeat(4_096),
  }));
  // The connection, and the sources of the scripts.
  await producer.send({ ...mails[0], from: 'warm@up.example' });
  const sending = await costsOf(server, () => producer.sendMany(mails));
  const ids = Array.from({ length: 10 }, (_, nth) => `x${nth}`);
  const limits = { concurrency: 64, messagesPerMinute: null };
  const config = configOf(Object.fromEntries(ids.map((id) => [id, { addresses: [`*@${id}.example`], limits }])), {
    worker: { slots: 64, drainMs: 5_000 },
  });
  const always: Pick<Transport, 'warm'> = { warm: () => ({ cancel: () => undefined }) };
  const transports = warm
    ? Object.fromEntries(ids.map((id) => [id, { ...createRecordingTransport(), ...always }]))
    : {};
  const working = await costsOf(server, async () => {
    // Its maintenance is by the clock and not by the message.
    const worker = await startWorker({ prefix, config, transports, redis, timing: { maintenanceMs: 60_000 } });
    await until(() => worker.of('sent').length > messages, { what: 'all messages to be sent', timeoutMs: 120_000 });
  });
  return { sending, working };
}

test('a message costs Redis no more scripts, commands and bytes than is known', { timeout: 180_000 }, async () => {
  const { sending, working } = await measure(false);
  // Of 16 messages that are sent within one turn of the event loop.
  expect(sending.scripts).toBeLessThan(0.07);
  expect(sending.commands).toBeLessThan(2.3);
  expect(sending.bytesToRedis).toBeLessThan(4_600);
  expect(sending.bytesFromRedis).toBeLessThan(8);
  // The more a process has to do, the more of it goes together.
  expect(working.scripts).toBeLessThan(0.8);
  expect(working.commands).toBeLessThan(46);
  expect(working.bytesToRedis).toBeLessThan(3_300);
  expect(working.bytesFromRedis).toBeLessThan(10_000);
});

test(
  'a message that goes straight through costs two thirds of that, and its data crosses the wire once',
  { timeout: 180_000 },
  async () => {
    const { working } = await measure(true);
    expect(working.scripts).toBeLessThan(0.5);
    expect(working.commands).toBeLessThan(28);
    expect(working.bytesToRedis).toBeLessThan(2_600);
    expect(working.bytesFromRedis).toBeLessThan(5_200);
  },
);
