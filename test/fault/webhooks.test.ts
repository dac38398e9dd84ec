/**
 * Webhooks through crashes: a process that serves them is killed between each two steps, and again and again while receivers misbehave
 * and messages are sent. No event is lost; one that comes twice has the same id and the same body.
 *
 * `WEBHOOK_MESSAGES=10000 vitest run test/fault/webhooks.test.ts` sends so many, and kills every 5 s.
 */
import { fileURLToPath } from 'node:url';
import { Queue } from 'bullmq';
import { expect, onTestFinished, test } from 'vitest';
import { sleep } from '../../src/async/timeout.ts';
import { offScript, noteScript, openScript } from '../../src/queue/deliveries/states.ts';
import { acknowledgeScript, readScript } from '../../src/queue/journal/event-scripts.ts';
import type { StoredEvent } from '../../src/queue/journal/events.ts';
import { openQueues } from '../../src/queue/open.ts';
import type { JsonProcess } from '../../testkit/json-process.ts';
import { startStepProxy } from '../../testkit/step-proxy.ts';
import { until } from '../../testkit/until.ts';
import type { WebhookSettings } from '../../testkit/webhooks-main.ts';
import { countableMany, settled, sink } from '../support/accounting.ts';
import { endLocks } from '../support/locks.ts';
import { testProducer } from '../support/postlane.ts';
import { startReceiver, type Receiver } from '../support/receiver.ts';
import { redisUrl, shardCount, testConnection, testPrefix } from '../support/redis.ts';
import { startProcess, startWorkerProcess } from '../support/worker-process.ts';

const program = fileURLToPath(new URL('../../testkit/webhooks-main.ts', import.meta.url));

function setUp(receiver: Receiver) {
  const prefix = testPrefix();
  const redis = testConnection();
  const open = openQueues(redis, { prefix, shards: shardCount() });
  const queue = new Queue('hook-crm', { connection: redis, prefix });
  queue.on('error', () => undefined);
  onTestFinished(() => queue.close());
  return {
    ...open,
    prefix,
    queue,
    /** A process that serves the receiver, until the test ends. */
    serve: async (port?: number): Promise<JsonProcess> => {
      const url = port === undefined ? redisUrl() : `redis://127.0.0.1:${port}`;
      const settings: WebhookSettings = {
        redis: { url, prefix, shards: shardCount() },
        endpoints: [receiver.endpoint()],
        leaseMs: 2_000,
        lockMs: 3_000,
        timeoutMs: 500,
      };
      const running = startProcess([program, JSON.stringify(settings)]);
      await running.waitFor('started');
      return running;
    },
    registered: () =>
      until(async () => (await redis.hlen(`${prefix}:events:consumers`)) === 1, { what: 'it to be registered' }),
    append: async (...numbers: readonly number[]): Promise<void> => {
      for (const n of numbers) await open.events.append('connector.paused', 'relay', { n: String(n) });
    },
    /** What a dead process held is free at once. */
    endLeases: async (): Promise<void> => {
      await endLocks(redis, prefix);
      await redis.del(`${prefix}:webhook:crm:lease`);
    },
    delivered: () =>
      until(async () => (await open.deliveries.view('crm')).open === 0 && (await queue.count()) === 0, {
        what: 'nothing to be open',
      }),
  };
}

const numbersOf = ({ received }: Receiver): number[] =>
  [...new Set(received.map(({ body }) => Number(body.data['n'])))].toSorted((a, b) => a - b);

/** How many came more than once. Each of them is the same, byte for byte, under one id. */
function doublesOf({ received, refused }: Receiver): number {
  const bodies = new Map<string, Set<string>>();
  for (const { id, text } of received) bodies.set(id, (bodies.get(id) ?? new Set()).add(text));
  expect([...bodies.values()].filter((texts) => texts.size !== 1)).toEqual([]);
  const ids = new Map<string, string>();
  for (const { id, text } of received) {
    expect(ids.get(text) ?? id).toBe(id);
    ids.set(text, id);
  }
  expect(refused).toEqual([]);
  return received.length - bodies.size;
}

/** A piece of the command of each step, that no other has. */
const steps = [
  ['the events are read', readScript.sha],
  ['they are noted as open', openScript.sha],
  ['they are put into the queue', 'eventId'],
  ['they are acknowledged', acknowledgeScript.sha],
  ['a delivery is taken', 'hook-crm:limiter'],
  ['its result is noted', noteScript.sha],
  ['its job ends', 'hook-crm:metrics'],
] as const;

test.each(
  steps.flatMap(([name, piece]) => (['before', 'after'] as const).map((where) => [where, name, piece] as const)),
)('a process that is killed %s %s: each event is delivered', async (where, _name, piece) => {
  const receiver = await startReceiver();
  const { serve, registered, append, endLeases, delivered } = setUp(receiver);
  const proxy = await startStepProxy(Number(new URL(redisUrl()).port), piece, where);
  onTestFinished(() => proxy.stop());
  const first = await serve(proxy.port);
  await registered();
  await append(0);
  await until(() => receiver.received.length > 0, { what: 'the first event' });
  await delivered();
  // What comes now is there when it looks next.
  first.signal('SIGSTOP');
  await append(1, 2, 3, 4, 5);
  proxy.arm();
  first.signal('SIGCONT');
  await until(proxy.reached, { what: 'the step' });
  await first.kill();
  await endLeases();
  await serve();
  await until(() => numbersOf(receiver).length === 6, { what: 'each event' });
  await delivered();
  expect(numbersOf(receiver)).toEqual([0, 1, 2, 3, 4, 5]);
  expect(doublesOf(receiver)).toBeLessThanOrEqual(5);
});

test.each(['before', 'after'] as const)(
  'a process that is killed %s it switches off a webhook that answered 410: the event is kept, and delivered once it is enabled',
  async (where) => {
    const receiver = await startReceiver();
    receiver.react = () => 410;
    const { serve, registered, append, endLeases, delivered, deliveries } = setUp(receiver);
    const proxy = await startStepProxy(Number(new URL(redisUrl()).port), offScript.sha, where);
    onTestFinished(() => proxy.stop());
    const first = await serve(proxy.port);
    await registered();
    // A first switch, so that Redis knows the script.
    await deliveries.switchOff('other', 'gone', 'HTTP 410');
    proxy.arm();
    await append(1);
    await until(proxy.reached, { what: 'the step' });
    await first.kill();
    await endLeases();
    await serve();
    await until(async () => (await deliveries.view('crm')).off === 'gone', { what: 'it to be off' });
    expect((await deliveries.view('crm')).open).toBe(1);
    receiver.react = () => 204;
    await until(() => deliveries.switchOn('crm'), { what: 'it to be enabled' });
    await delivered();
    expect(numbersOf(receiver)).toEqual([1]);
    doublesOf(receiver);
  },
);

test(
  'a receiver that hangs, redirects, throttles, fails and breaks off gets every event, although a process dies at each of its answers',
  { timeout: 120_000 },
  async () => {
    const [receiver, elsewhere] = [await startReceiver(), await startReceiver()];
    const moods: ReturnType<Receiver['react']>[] = [
      'hang',
      { status: 307, headers: { location: elsewhere.url } },
      { status: 429, headers: { 'retry-after': '1' } },
      503,
      'reset',
      204,
    ];
    let mood = 0;
    receiver.react = () => moods[mood]!;
    const { serve, registered, append, endLeases, delivered, queue } = setUp(receiver);
    let running = await serve();
    await registered();
    for (; mood < moods.length - 1; mood += 1) {
      const before = receiver.requests();
      await append(mood);
      await until(() => receiver.requests() > before, { what: `an answer: ${JSON.stringify(moods[mood])}` });
      await running.kill();
      await endLeases();
      running = await serve();
    }
    await append(mood);
    await until(
      async () => {
        await queue.promoteJobs();
        return (
          receiver.received.some(({ body }) => Number(body.data['n']) === mood) && numbersOf(receiver).length === 6
        );
      },
      { what: 'each event' },
    );
    await until(
      async () => {
        await queue.promoteJobs();
        return (await queue.count()) === 0;
      },
      { what: 'an empty queue' },
    );
    await delivered();
    expect(numbersOf(receiver)).toEqual([0, 1, 2, 3, 4, 5]);
    doublesOf(receiver);
    expect(elsewhere.requests()).toBe(0);
  },
);

const isFull = 'WEBHOOK_MESSAGES' in process.env;
const messageCount = Number(process.env['WEBHOOK_MESSAGES'] ?? 500);
const killEveryMs = isFull ? 5_000 : 800;

test(
  `a receiver gets every event of ${messageCount} messages while processes are killed every ${killEveryMs} ms; ids tell doubles`,
  { timeout: 60_000 + messageCount * 60 },
  async () => {
    const receiver = await startReceiver();
    const { serve, registered, prefix, events, endLeases, delivered, deliveries } = setUp(receiver);
    const tried = new Set<string>();
    const server = await sink({
      script: {
        // One in ten is deferred once, so that messages have several events.
        RCPT({ line }: { readonly line: string }) {
          const [, id = ''] = /<(\w+)@/.exec(line) ?? [];
          if (!id.endsWith('0') || tried.has(id)) return undefined;
          tried.add(id);
          return '450 4.2.0 later';
        },
      },
    });
    const processes = [await serve(), await serve()];
    await registered();
    // A consumer of its own, which keeps what happened until it has read it.
    let cursor = await events.register('test', { wants: 'results', leaseMs: null });
    const messagesPerMinute = isFull ? 20_000 : 6_000;
    await startWorkerProcess({
      prefix,
      connectors: { relay: { port: server.port, concurrency: 20, messagesPerMinute } },
    });
    const producer = testProducer(prefix);
    const messages = countableMany(messageCount);
    await producer.sendMany(messages);
    let kills = 0;
    const done = new AbortController();
    const killing = (async () => {
      for (;;) {
        await sleep(killEveryMs, done.signal);
        const victim = processes.shift();
        if (done.signal.aborted || victim === undefined) break;
        await victim.kill();
        kills += 1;
        // The lease of the dead is waited for, in the full run; here tests are short.
        if (!isFull) await endLeases();
        processes.push(await serve());
      }
    })();
    await settled(producer, messages, 60_000 + messageCount * 40);
    const expected = new Map<string, StoredEvent>();
    for (;;) {
      const read = await events.read(cursor, { count: 500, waitMs: 0, signal: new AbortController().signal });
      for (const event of read.events) expected.set(event.eventId, event);
      if (read.events.length === 0) break;
      cursor = read.cursor;
    }
    const missing = (): string[] => {
      const had = new Set(receiver.received.map(({ id }) => id));
      return [...expected.keys()].filter((id) => !had.has(id));
    };
    await until(() => missing().length === 0, { what: 'each event', timeoutMs: 120_000 });
    done.abort();
    await killing;
    await delivered();
    const types = [...expected.values()].map(({ type }) => type);
    expect(types.filter((type) => type === 'message.sent')).toHaveLength(messageCount);
    expect(types.filter((type) => type === 'message.deferred')).toHaveLength(messageCount / 10);
    expect(types).not.toContain('gap');
    expect(kills).toBeGreaterThan(2);
    const doubles = doublesOf(receiver);
    expect((await deliveries.view('crm')).deadLetters).toBe(0);
    // For the record of a full run.
    if (isFull)
      console.log(JSON.stringify({ events: expected.size, requests: receiver.received.length, doubles, kills }));
  },
);
