/**
 * A worker that is killed (SIGKILL) in the middle of its work, at every step; another one finishes.
 *
 * `KILLS_PER_STEP=20` kills one that often at each step of a transaction.
 */
import { expect, onTestFinished, test } from 'vitest';
import {
  account,
  allSent,
  copiesOf,
  countable,
  countableMany,
  isUncertain,
  settled,
  sink,
} from '../support/accounting.ts';
import { endLocks } from '../support/locks.ts';
import { testOperator, testProducer } from '../support/postlane.ts';
import { redisUrl, testConnection, testPrefix } from '../support/redis.ts';
import type { SmtpScriptEntry, SmtpServer } from '../../testkit/smtp/server.ts';
import { startStallingProxy } from '../../testkit/stalling-proxy.ts';
import { startTcpProxy } from '../../testkit/tcp-proxy.ts';
import { until } from '../../testkit/until.ts';
import { startWorkerProcess, type ProcessConnector } from '../support/worker-process.ts';

/** Where a server goes silent in its first session; in the next one it answers. */
const steps = ['greeting', 'EHLO', 'MAIL', 'RCPT', 'DATA', 'body', 'dot'] as const;
type Step = (typeof steps)[number];

const times = Array.from({ length: Number(process.env['KILLS_PER_STEP'] ?? 1) }, (_, i) => i + 1);

interface SilentServer {
  readonly server: SmtpServer;
  readonly connector: ProcessConnector;
  /** The worker is at the step. */
  readonly reached: () => boolean;
}

async function silentAt(step: Step): Promise<SilentServer> {
  const addresses = [`${step.toLowerCase()}@example.com`];
  if (step === 'body') {
    const server = await sink();
    const proxy = await startStallingProxy(server.port);
    onTestFinished(() => proxy.stop());
    return { server, connector: { port: proxy.port, addresses }, reached: proxy.stalled };
  }
  let silent = false;
  const goSilent: SmtpScriptEntry = () => {
    if (silent) return undefined;
    silent = true;
    return 'hang';
  };
  const verb = { greeting: 'CONNECT', dot: '.' }[step as string] ?? step;
  const server = await sink({ script: { [verb]: goSilent } });
  return { server, connector: { port: server.port, addresses }, reached: () => silent };
}

/** Kills a worker that is at all steps at once, and lets another one finish. → what became of each message. */
async function killAtEveryStep(onUncertain: 'retry' | 'hold') {
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  const silent = new Map<Step, SilentServer>();
  for (const step of steps) silent.set(step, await silentAt(step));
  const connectors = Object.fromEntries([...silent].map(([step, { connector }]) => [step.toLowerCase(), connector]));
  const options = { prefix, connectors, retry: { onUncertain } };
  const first = await startWorkerProcess(options);
  for (const step of steps) {
    // Larger than the buffers between two sockets, so that it cannot be on its way as a whole.
    const text = step === 'body' ? `${'x'.repeat(70)}\r\n`.repeat(90_000) : 'x';
    await producer.send(countable(step, { from: `${step.toLowerCase()}@example.com`, text }));
  }
  for (const [step, { reached }] of silent) await until(reached, { what: `the worker to be at ${step}` });
  await first.kill();
  await endLocks(testConnection(), prefix);
  const second = await startWorkerProcess(options);
  const rows = await settled(producer, steps);
  const servers = [...silent.values()].map(({ server }) => server);
  expect(account(rows, servers)).toMatchObject({ lost: [], blindlyTwice: [] });
  await second.stop();
  return rows.map((row) => ({
    step: row.id,
    state: row.state,
    copies: copiesOf(row.id, servers),
    uncertain: isUncertain(row),
  }));
}

test.for(times)(
  'a worker killed before the fence leaves no trace, and one killed after it an uncertain attempt that is made again (%i)',
  async () => {
    expect(await killAtEveryStep('retry')).toEqual([
      { step: 'greeting', state: 'sent', copies: 1, uncertain: false },
      { step: 'EHLO', state: 'sent', copies: 1, uncertain: false },
      // The fence was passed. Only the dead worker knew that the body did not go out whole.
      { step: 'MAIL', state: 'sent', copies: 1, uncertain: true },
      { step: 'RCPT', state: 'sent', copies: 1, uncertain: true },
      { step: 'DATA', state: 'sent', copies: 1, uncertain: true },
      { step: 'body', state: 'sent', copies: 1, uncertain: true },
      { step: 'dot', state: 'sent', copies: 1, uncertain: true },
    ]);
  },
);

test.for(times)(
  'with onUncertain hold a message whose worker is killed after the fence waits for an operator and is not sent again (%i)',
  async () => {
    expect(await killAtEveryStep('hold')).toEqual([
      { step: 'greeting', state: 'sent', copies: 1, uncertain: false },
      { step: 'EHLO', state: 'sent', copies: 1, uncertain: false },
      { step: 'MAIL', state: 'held', copies: 0, uncertain: true },
      { step: 'RCPT', state: 'held', copies: 0, uncertain: true },
      { step: 'DATA', state: 'held', copies: 0, uncertain: true },
      { step: 'body', state: 'held', copies: 0, uncertain: true },
      { step: 'dot', state: 'held', copies: 0, uncertain: true },
    ]);
  },
);

/** The worker's Redis goes silent just before the server replies 250: the worker knows the result, and cannot write it. */
async function killKnowing(onUncertain: 'retry' | 'hold') {
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  const proxy = await startTcpProxy({ port: Number(new URL(redisUrl()).port) });
  onTestFinished(() => proxy.stop());
  let first = true;
  const server = await sink({
    script: {
      '.': () => {
        if (first) proxy.blackHole();
        first = false;
        return undefined;
      },
    },
  });
  const options = { prefix, connectors: { relay: { port: server.port } }, retry: { onUncertain } };
  const knowing = await startWorkerProcess({ ...options, url: `redis://127.0.0.1:${proxy.port}` });
  await producer.send(countable('m'));
  expect(await knowing.waitFor('outcome', 'm')).toMatchObject({ kind: 'settled' });
  await knowing.kill();
  // Its connections end, as the kernel would see to: Redis must not go on waking a dead client.
  proxy.restore();
  expect(knowing.of('sent')).toEqual([]);
  expect(copiesOf('m', [server])).toBe(1);
  expect((await producer.status('m'))?.state).toBe('sending');
  await endLocks(testConnection(), prefix);
  const second = await startWorkerProcess(options);
  const [row] = await settled(producer, ['m']);
  return { prefix, producer, server, second, row: row! };
}

test('a worker killed between the 250 of the server and the ledger costs a second copy, and the ledger says why', async () => {
  const { server, row } = await killKnowing('retry');
  expect(row.state).toBe('sent');
  expect(copiesOf('m', [server])).toBe(2);
  expect(row.history.map(({ event }) => event)).toEqual(['routed', 'uncertain', 'sent']);
  const [one, two] = server.received.transactions.map(({ bytes }) => bytes.toString());
  expect(one).toBe(two);
});

test('with onUncertain hold a message whose worker is killed after the 250 is not sent again until an operator decides', async () => {
  const { prefix, producer, server, second, row } = await killKnowing('hold');
  expect(row).toMatchObject({ state: 'held', recipients: [{ outcome: 'uncertain' }] });
  const operator = await testOperator(prefix);
  expect(await operator.deadLetters.get('m')).toMatchObject({ reason: 'uncertain' });
  // A later message is sent; this one stays where it is.
  await producer.send(countable('later'));
  await settled(producer, ['later']);
  expect(copiesOf('m', [server])).toBe(1);
  const how = { now: Date.now(), lifetimeMs: 60_000, retentionMs: 60_000 };
  expect(await operator.resolve('m', 'sent', how)).toBe(true);
  expect((await producer.status('m'))?.state).toBe('sent');
  await second.stop();
  expect(copiesOf('m', [server])).toBe(1);
});

test('a worker killed half-way through an intake of 1,000 messages loses none, and sends none twice without a mark', async () => {
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  const server = await sink();
  const options = { prefix, connectors: { relay: { port: server.port, concurrency: 10 } } };
  const messages = countableMany(1_000);
  const results = await producer.sendMany(messages);
  expect(results.every(({ ok }) => ok)).toBe(true);
  const first = await startWorkerProcess(options);
  await first.waitFor('routed', undefined, 400);
  await first.kill();
  expect(first.of('routed').length).toBeLessThan(1_000);
  await endLocks(testConnection(), prefix);
  await startWorkerProcess(options);
  const rows = await settled(producer, messages);
  expect(account(rows, [server])).toMatchObject(allSent(1_000));
});

test('a worker killed while a message waits for its retry leaves the time and the attempts as they were', async () => {
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  const server = await sink({ script: { RCPT: ['451 4.3.0 try again'] } });
  const retry = { firstDelayMs: 2_000, maxDelayMs: 3_000 };
  const options = { prefix, connectors: { relay: { port: server.port } }, retry };
  const first = await startWorkerProcess(options);
  await producer.send(countable('m'));
  await first.waitFor('deferred', 'm');
  await first.kill();
  // It may have died between the ledger and the queue.
  await endLocks(testConnection(), prefix);
  const retryAt = (await producer.status('m'))?.retryAt ?? 0;
  await startWorkerProcess(options);
  const [row] = await settled(producer, ['m']);
  expect(row).toMatchObject({ state: 'sent', attempts: 2 });
  expect(row?.history.map(({ event }) => event)).toEqual(['routed', 'deferred', 'sent']);
  const [deferred, sent] = [row?.history[1]?.at ?? 0, row?.history[2]?.at ?? 0];
  expect(retryAt).toBeGreaterThanOrEqual(deferred + 1_000);
  expect(sent).toBeGreaterThanOrEqual(retryAt);
  expect(copiesOf('m', [server])).toBe(1);
});
