/** A worker that is killed (SIGKILL) in the middle of its work, at every step; another one finishes. */
import { describe, expect, onTestFinished, test } from 'vitest';
import { balance, copiesOf, countable, countableMany, isUncertain, settled, sink } from '../support/books.ts';
import { deafOnce } from '../support/deaf-door.ts';
import { testOperator, testProducer } from '../support/postlane.ts';
import { redisUrl, testPrefix } from '../support/redis.ts';
import type { SmtpScriptEntry, SmtpServer } from '../../testkit/smtp/server.ts';
import { startTcpProxy } from '../../testkit/tcp-proxy.ts';
import { until } from '../../testkit/until.ts';
import { startWorkerProcess, type ProcessConnector } from '../support/worker-process.ts';

/** Where a server falls silent in its first session; in the next one it behaves. */
const steps = ['greeting', 'EHLO', 'MAIL', 'RCPT', 'DATA', 'body', 'dot'] as const;
type Step = (typeof steps)[number];

interface Stage {
  readonly server: SmtpServer;
  readonly connector: ProcessConnector;
  /** The worker stands at the step. */
  readonly reached: () => boolean;
}

async function stageOf(step: Step): Promise<Stage> {
  let silent = false;
  const fallSilent: SmtpScriptEntry = () => {
    if (silent) return undefined;
    silent = true;
    return 'hang';
  };
  const verb = { greeting: 'CONNECT', dot: '.' }[step as string] ?? step;
  const server = await sink({ script: step === 'body' ? {} : { [verb]: fallSilent } });
  const deaf = step === 'body' ? await deafOnce(server.port) : null;
  const connector = { port: deaf?.port ?? server.port, addresses: [`${step.toLowerCase()}@example.com`] };
  return { server, connector, reached: () => deaf?.isDeaf() ?? silent };
}

/** Kills a worker that stands at all steps at once, lets another one finish, and tells how each message fared. */
async function killAtEveryStep(onUncertain: 'retry' | 'hold') {
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  const stages = new Map<Step, Stage>();
  for (const step of steps) stages.set(step, await stageOf(step));
  const connectors = Object.fromEntries([...stages].map(([step, { connector }]) => [step.toLowerCase(), connector]));
  // A large message keeps a worker busy, for seconds on a loaded machine. A lock that is lost meanwhile would be another fault.
  const options = { prefix, connectors, retry: { onUncertain }, timing: { lockMs: 8_000 } };
  const first = await startWorkerProcess(options);
  for (const step of steps) {
    // Larger than the buffers between two sockets, so that it cannot be on its way as a whole.
    const text = step === 'body' ? `${'x'.repeat(70)}\r\n`.repeat(90_000) : 'x';
    await producer.send(countable(step, { from: `${step.toLowerCase()}@example.com`, text }));
  }
  for (const [step, { reached }] of stages)
    await until(reached, { what: `the worker to be at ${step}`, timeoutMs: 30_000 });
  await first.kill();
  const second = await startWorkerProcess(options);
  const rows = await settled(producer, steps);
  const servers = [...stages.values()].map(({ server }) => server);
  expect(balance(rows, servers)).toMatchObject({ lost: [], blindlyTwice: [] });
  await second.stop();
  return rows.map((row) => ({
    step: row.id,
    state: row.state,
    copies: copiesOf(row.id, servers),
    uncertain: isUncertain(row),
  }));
}

describe('a worker killed at a step of a send', () => {
  test('costs no message: before the fence nothing has happened, after it the attempt is uncertain and made again', async () => {
    expect(await killAtEveryStep('retry')).toEqual([
      { step: 'greeting', state: 'sent', copies: 1, uncertain: false },
      { step: 'EHLO', state: 'sent', copies: 1, uncertain: false },
      // The fence was passed. That the body did not go out whole is known to nobody but the dead.
      { step: 'MAIL', state: 'sent', copies: 1, uncertain: true },
      { step: 'RCPT', state: 'sent', copies: 1, uncertain: true },
      { step: 'DATA', state: 'sent', copies: 1, uncertain: true },
      { step: 'body', state: 'sent', copies: 1, uncertain: true },
      { step: 'dot', state: 'sent', copies: 1, uncertain: true },
    ]);
  });

  test('under «hold» leaves what passed the fence to an operator, and is never sent again by itself', async () => {
    expect(await killAtEveryStep('hold')).toEqual([
      { step: 'greeting', state: 'sent', copies: 1, uncertain: false },
      { step: 'EHLO', state: 'sent', copies: 1, uncertain: false },
      { step: 'MAIL', state: 'held', copies: 0, uncertain: true },
      { step: 'RCPT', state: 'held', copies: 0, uncertain: true },
      { step: 'DATA', state: 'held', copies: 0, uncertain: true },
      { step: 'body', state: 'held', copies: 0, uncertain: true },
      { step: 'dot', state: 'held', copies: 0, uncertain: true },
    ]);
  });
});

describe('a worker killed between the 250 of the server and the ledger', () => {
  /** The worker's Redis vanishes just before the server says 250: it knows, and cannot tell. */
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
    const timing = { lockMs: 1_000 };
    const options = { prefix, connectors: { relay: { port: server.port } }, retry: { onUncertain }, timing };
    const knowing = await startWorkerProcess({ ...options, url: `redis://127.0.0.1:${proxy.port}` });
    await producer.send(countable('m'));
    expect(await knowing.waitFor('outcome', 'm')).toMatchObject({ kind: 'settled' });
    await knowing.kill();
    // Its connections end, as the kernel would see to: Redis must not go on waking a dead client.
    proxy.restore();
    expect(knowing.events.filter(({ event }) => event === 'sent')).toEqual([]);
    expect(copiesOf('m', [server])).toBe(1);
    expect((await producer.status('m'))?.state).toBe('sending');
    const second = await startWorkerProcess(options);
    const [row] = await settled(producer, ['m']);
    return { prefix, producer, server, second, row: row! };
  }

  test('under «retry» costs a second copy, and the ledger says why', async () => {
    const { server, row } = await killKnowing('retry');
    expect(row.state).toBe('sent');
    expect(copiesOf('m', [server])).toBe(2);
    expect(row.history.map(({ event }) => event)).toEqual(['routed', 'uncertain', 'sent']);
    const [one, two] = server.received.transactions.map(({ bytes }) => bytes.toString());
    expect(one).toBe(two);
  });

  test('under «hold» is never sent again, until an operator says so', async () => {
    const { prefix, producer, server, second, row } = await killKnowing('hold');
    expect(row).toMatchObject({ state: 'held', recipients: [{ outcome: 'uncertain' }] });
    const operator = await testOperator(prefix);
    expect(await operator.deadLetters.get('m')).toMatchObject({ reason: 'uncertain' });
    // A later message passes it by; it stays where it is.
    await producer.send(countable('later'));
    await settled(producer, ['later']);
    expect(copiesOf('m', [server])).toBe(1);
    const how = { now: Date.now(), lifetimeMs: 60_000, retentionMs: 60_000 };
    expect(await operator.resolve('m', 'sent', how)).toBe(true);
    expect((await producer.status('m'))?.state).toBe('sent');
    await second.stop();
    expect(copiesOf('m', [server])).toBe(1);
  });
});

describe('a worker killed', () => {
  test('half-way through 1,000 messages of the intake loses none, and repeats none without a mark', async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    const server = await sink();
    const options = { prefix, connectors: { relay: { port: server.port, concurrency: 10 } } };
    const messages = countableMany(1_000);
    const results = await producer.sendMany(messages);
    expect(results.every(({ ok }) => ok)).toBe(true);
    const first = await startWorkerProcess(options);
    const routed = () => first.events.filter(({ event }) => event === 'routed').length;
    await until(() => routed() >= 400, { what: 'the router to be half-way' });
    await first.kill();
    expect(routed()).toBeLessThan(1_000);
    await startWorkerProcess(options);
    const rows = await settled(
      producer,
      messages.map(({ id }) => id!),
    );
    expect(balance(rows, [server])).toMatchObject({ lost: [], blindlyTwice: [], states: { sent: 1_000 } });
  });

  test('while a message waits for its retry leaves the time and the attempts as they were', async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    const server = await sink({ script: { RCPT: ['451 4.3.0 try again'] } });
    const retry = { firstDelayMs: 2_000, maxDelayMs: 3_000 };
    const options = { prefix, connectors: { relay: { port: server.port } }, retry };
    const first = await startWorkerProcess(options);
    await producer.send(countable('m'));
    await first.waitFor('deferred', 'm');
    await first.kill();
    const retryAt = (await producer.status('m'))?.retryAt ?? 0;
    expect(retryAt).toBeGreaterThan(Date.now());
    await startWorkerProcess(options);
    const [row] = await settled(producer, ['m']);
    expect(row).toMatchObject({ state: 'sent', attempts: 2 });
    expect(row?.history.map(({ event }) => event)).toEqual(['routed', 'deferred', 'sent']);
    expect(row?.history.at(-1)?.at).toBeGreaterThanOrEqual(retryAt);
    expect(copiesOf('m', [server])).toBe(1);
  });
});
