/**
 * A fleet is upgraded worker by worker from the release before, and back again, under load and with mail in every state: whole processes,
 * and every message is counted where it was accepted and where it arrived.
 */
import { execFile } from 'node:child_process';
import { isDeepStrictEqual, promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import type { OutboundMessage } from '../../src/message/outbound.ts';
import type { Producer } from '../../src/producer/producer.ts';
import { storedForm } from '../../src/queue/redis/versions.ts';
import { startJsonProcess, type JsonProcess } from '../../testkit/json-process.ts';
import { until } from '../../testkit/until.ts';
import { account, allOnce, copiesOf, countable, countableMany, settled, sink } from '../support/accounting.ts';
import { project } from '../support/cli.ts';
import { unpackRelease } from '../support/kept-release.ts';
import { ownRedis } from '../support/own-redis.ts';
import { testProducer } from '../support/postlane.ts';
import { root } from '../support/source.ts';

/** As tools/keep-release.ts has kept it; and the form that it knows. */
const before = { name: '0.1.0-321c46e', form: 2 };
const prefix = '{fleet}';
const hourMs = 3_600_000;
/** What each worker sends between two steps, so that both have a share. */
const share = 20;

type Worker = JsonProcess;
type Call = (...args: string[]) => Promise<string>;

test('mail in every state and a load survive the upgrade of a fleet, worker by worker, and the way back: each once', async () => {
  // A release that raises `reads` cannot go back: its changelog and docs/upgrades.md say so, and this test ends half-way.
  expect(storedForm.reads).toBeLessThanOrEqual(before.form);
  const redis = await ownRedis();
  const older = await unpackRelease(before.name);
  const servers = await startServers();
  const here = project(configuration(servers));
  const env = { ...process.env, REDIS_URL: redis.url };
  const started: Worker[] = [];
  const start = async (program: string): Promise<Worker> => {
    const worker = startJsonProcess([program, 'worker'], { cwd: here.folder, env });
    onTestFinished(async () => void (await worker.kill()));
    started.push(worker);
    await worker.waitFor('ready');
    return worker;
  };
  const caller =
    (program: string): Call =>
    async (...args) =>
      (await promisify(execFile)(process.execPath, [program, ...args], { cwd: here.folder, env })).stdout;
  const today = `${root}/src/cli/main.ts`;
  const [call, callOlder] = [caller(today), caller(older.program)];

  const fleet = [await start(older.program), await start(older.program)];
  const producer = testProducer(prefix, { url: redis.url });
  const olderProducer = older.createProducer({ redis: { url: redis.url, prefix } });
  onTestFinished(() => olderProducer.close());
  await everyState(olderProducer, callOlder);

  const load = startLoad([olderProducer, producer], servers.relay.received.transactions);
  const replaceAll = async (program: string): Promise<void> => {
    for (const at of fleet.keys()) {
      expect(await fleet[at]!.stop()).toEqual({ code: 0, signal: null });
      fleet[at] = await start(program);
      const [one, two] = fleet.map((worker) => worker.of('sent').length);
      const both = () => fleet[0]!.of('sent').length >= one! + share && fleet[1]!.of('sent').length >= two! + share;
      await until(both, { what: 'both workers to send', timeoutMs: 60_000 });
    }
  };
  await replaceAll(today);
  expect(await states(producer)).toEqual(waiting);
  await call('resume', 'paused');
  await call('dead', 'replay', 'refused-0', '--via', 'relay');
  await call('resolve', 'held-0', '--as', 'sent');
  await settled(producer, ['refused-0', 'held-0', ...pausedIds('paused')]);

  await replaceAll(older.program);
  expect(await states(olderProducer)).toEqual({
    ...waiting,
    'held-0': 'sent',
    'refused-0': 'sent',
    'paused-0': 'sent',
    'paused-content': 'sent',
  });
  await callOlder('resume', 'still');
  await callOlder('dead', 'replay', 'refused-1', '--via', 'relay');
  await callOlder('resolve', 'held-1', '--as', 'retry');
  const accepted = await load.stop();
  const rows = await settled(producer, [...accepted, 'refused-1', 'held-1', ...pausedIds('still')]);

  // What the source got an acceptance for is at the servers, once.
  const sinks = Object.values(servers);
  expect(accepted.length).toBeGreaterThan(8 * share);
  expect(account(rows, sinks)).toEqual(allOnce(accepted.length + 2 + pausedIds('still').length));
  const copies = (ids: readonly string[]) => ids.map((id) => copiesOf(id, sinks));
  expect(new Set(copies([...pausedIds('paused'), 'refused-0', 'half']))).toEqual(new Set([1]));
  expect(new Set(copies(['deferred', 'refused-2', 'held-0', 'held-2', 'cancelled', 'scheduled']))).toEqual(
    new Set([0]),
  );
  expect(await producer.status('deferred')).toMatchObject({ state: 'deferred', attempts: 1 });
  expect([await call('doctor'), await callOlder('doctor')]).toEqual(['', '']);
  for (const event of ['error', 'format-newer', 'invalid', 'lane-orphaned'])
    expect(started.flatMap((worker) => worker.of(event))).toEqual([]);
}, 300_000);

const pausedIds = (connector: string): string[] => ['0', '1', '2', 'content'].map((name) => `${connector}-${name}`);

/** What is there before the first worker is replaced, and stays so. */
const waiting: Readonly<Record<string, string | undefined>> = {
  first: 'sent',
  'refused-0': 'dead',
  'refused-1': 'dead',
  'refused-2': 'dead',
  'held-0': 'held',
  'held-1': 'held',
  'held-2': 'held',
  half: 'partial',
  deferred: 'deferred',
  cancelled: 'cancelled',
  scheduled: 'scheduled',
  'paused-0': 'queued',
  'paused-content': 'queued',
  'still-0': 'queued',
  'still-content': 'queued',
};

async function states(producer: Producer): Promise<Record<string, string | undefined>> {
  const found = Object.keys(waiting).map(async (id) => [id, (await producer.status(id))?.state] as const);
  return Object.fromEntries(await Promise.all(found));
}

async function startServers() {
  const seen = new Set<string>();
  const once = (line: string) => !seen.has(line) && seen.add(line) && '451 4.3.0 later';
  return {
    // One message in ten takes two attempts.
    relay: await sink({
      script: { RCPT: ({ line }) => (/load-\d*0@/.test(line) && once(line)) || undefined },
    }),
    refusing: await sink({ script: { RCPT: () => '550 5.1.1 no such user' } }),
    deferring: await sink({ script: { RCPT: () => '451 4.3.0 later' } }),
    doubtful: await sink({ script: { '.': ['close', 'close', 'close'] } }),
    half: await sink({
      script: { RCPT: ({ line }) => (line.includes('<no@') ? '550 5.1.1 no such user' : undefined) },
    }),
  };
}

function configuration(servers: Awaited<ReturnType<typeof startServers>>): string {
  const connector = (id: string, port: number, more = '') =>
    `  ${id}: { address: ${id}@example.com, direction: outgoing, smtp: { host: 127.0.0.1, port: ${port}, security: none }${more} }`;
  return [
    `redis: { prefix: "${prefix}" }`,
    'hostname: mail.example.com',
    'systemDefaultGateway: relay',
    'retry: { firstDelay: 1s, maxDelay: 2s, lifetime: 24h }',
    'metrics: { listen: 127.0.0.1:0 }',
    'connectors:',
    connector('relay', servers.relay.port),
    connector('paused', servers.relay.port),
    connector('still', servers.relay.port),
    connector('refusing', servers.refusing.port),
    connector('deferring', servers.deferring.port, ', retry: { firstDelay: 5h, maxDelay: 6h }'),
    connector('doubtful', servers.doubtful.port, ', onUncertain: hold'),
    connector('half', servers.half.port),
    '',
  ].join('\n');
}

/** Enqueues by the producer of the release before, and waits until each message is in its state. */
async function everyState(producer: Producer, call: Call): Promise<void> {
  await call('pause', 'paused');
  await call('pause', 'still');
  const from = (connector: string, change: Partial<OutboundMessage> = {}) => ({
    from: `${connector}@example.com`,
    ...change,
  });
  const content = { filename: 'a.bin', content: Buffer.alloc(100_000, 'x') };
  await producer.sendMany([
    countable('first'),
    ...['refused-0', 'refused-1', 'refused-2'].map((id) => countable(id, from('refusing'))),
    ...['held-0', 'held-1', 'held-2'].map((id) => countable(id, from('doubtful'))),
    countable('half', from('half', { to: ['half@example.net', 'no@example.net'] })),
    countable('deferred', from('deferring')),
    countable('cancelled', { sendAt: new Date(Date.now() + hourMs) }),
    countable('scheduled', { sendAt: new Date(Date.now() + 6 * hourMs) }),
    ...['paused', 'still'].flatMap((connector) => [
      ...countableMany(3, `${connector}-`).map((message, at) => ({
        ...message,
        ...from(connector, { priority: (['high', 'normal', 'low'] as const)[at]! }),
      })),
      countable(`${connector}-content`, from(connector, { attachments: [content] })),
    ]),
  ]);
  await producer.cancel('cancelled');
  await until(
    async () => {
      const found = await states(producer);
      if (isDeepStrictEqual(found, waiting)) return true;
      throw new Error(JSON.stringify(found));
    },
    { what: 'every message to be in its state', timeoutMs: 60_000 },
  );
}

/** Ten messages at a time, by each producer in turn, while at most a hundred are on their way. */
function startLoad(producers: readonly Producer[], arrived: readonly unknown[]) {
  const accepted: string[] = [];
  const stopping = new AbortController();
  const { signal } = stopping;
  const run = async (): Promise<void> => {
    for (let batch = 0; !signal.aborted; batch += 1) {
      const messages = Array.from({ length: 10 }, (_, at) => countable(`load-${batch * 10 + at}`));
      const results = await producers[batch % producers.length]!.sendMany(messages);
      accepted.push(...results.flatMap((result) => ('id' in result ? [result.id] : [])));
      const next = Date.now() + 100;
      await until(() => signal.aborted || (Date.now() >= next && accepted.length - arrived.length < 100), {
        what: 'the load to be sent',
        timeoutMs: 60_000,
      });
    }
  };
  const running = run();
  return {
    async stop(): Promise<string[]> {
      stopping.abort();
      await running;
      return accepted;
    },
  };
}
