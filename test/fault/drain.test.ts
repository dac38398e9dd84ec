/**
 * A worker is told to stop (SIGTERM) in the middle of its work: what runs may end, what has not begun goes back as it was,
 * and the process ends in time, whatever its servers and its Redis do. With the program that is installed, and its exit codes.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Redis } from 'ioredis';
import { describe, expect, onTestFinished, test } from 'vitest';
import { keysOf, laneName } from '../../src/queue/redis/keys.ts';
import { balance, copiesOf, countable, countableMany, isUncertain, settled, sink } from '../support/books.ts';
import { ownRedis } from '../support/own-redis.ts';
import { testProducer } from '../support/postlane.ts';
import { quietServer } from '../support/quiet-server.ts';
import { redisUrl, testConnection, testPrefix } from '../support/redis.ts';
import { until } from '../../testkit/until.ts';
import { startProcess, startWorkerProcess } from '../support/worker-process.ts';
import type { JsonProcess } from '../../testkit/json-process.ts';

interface Installed {
  readonly prefix: string;
  readonly port: number;
  readonly url?: string;
  readonly drain?: string;
  readonly concurrency?: number;
}

/** `postlane worker` with a configuration file, as an operator starts it. */
async function startInstalled({ prefix, port, url, drain = '10s', concurrency = 4 }: Installed): Promise<JsonProcess> {
  const folder = mkdtempSync(join(tmpdir(), 'postlane-drain-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'postlane.yaml');
  writeFileSync(
    file,
    `redis: { url: "${url ?? redisUrl()}", prefix: "${prefix}" }
hostname: worker.test
systemDefaultGateway: relay
worker: { drain: ${drain} }
log: { level: debug }
retry: { firstDelay: 1s, maxDelay: 2s }
connectors:
  relay:
    direction: outgoing
    smtp: { host: 127.0.0.1, port: ${port}, security: none }
    limits: { concurrency: ${concurrency} }
`,
  );
  const { REDIS_URL: _, ...env } = process.env;
  const program = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
  const running = startProcess([program, 'worker', '--config', file], env);
  await running.waitFor('ready');
  return running;
}

/** What ends by itself in that time: the lock of a worker that is gone, and its turns of the sweep. */
async function passHalfAMinute(redis: Redis, prefix: string): Promise<void> {
  const key = (type: string): string => keysOf(prefix).queue(laneName('relay'), type);
  await redis.del(key('m:lock'), key('stalled-check'), `${prefix}:sweep`);
}

const done = { code: 0, signal: null };

describe('SIGTERM', () => {
  test('during a slow send lets it end: one copy, one attempt, 0', async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    const { server, asked, speak } = await quietServer('.');
    const worker = await startInstalled({ prefix, port: server.port });
    await producer.send(countable('m'));
    await until(asked, { what: 'the server to have the message' });
    const exit = worker.stop();
    await worker.waitFor('draining');
    speak();
    expect(await exit).toEqual(done);
    const rows = await settled(producer, ['m']);
    expect(rows).toMatchObject([{ state: 'sent', attempts: 1 }]);
    expect(balance(rows, [server])).toEqual({ lost: [], blindlyTwice: [], knowinglyTwice: [], states: { sent: 1 } });
  });

  test('during a send that does not end breaks it off in time, and the message says that it is uncertain', async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    const { server, asked, speak } = await quietServer('.');
    const worker = await startInstalled({ prefix, port: server.port, drain: '300ms' });
    await producer.send(countable('m'));
    await until(asked, { what: 'the server to have the message' });
    const began = performance.now();
    expect(await worker.stop()).toEqual(done);
    expect(performance.now() - began).toBeLessThan(5_000);
    expect(await producer.status('m')).toMatchObject({ state: 'deferred', attempts: 1 });
    speak();
    await startWorkerProcess({ prefix, connectors: { relay: { port: server.port } } });
    const rows = await settled(producer, ['m']);
    expect(rows.map(isUncertain)).toEqual([true]);
    expect(balance(rows, [server])).toMatchObject({ lost: [], blindlyTwice: [], states: { sent: 1 } });
  });

  test('before an attempt has begun hands the message back: it counts for none', async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    const { server, asked } = await quietServer('CONNECT');
    const worker = await startInstalled({ prefix, port: server.port, drain: '300ms' });
    await producer.send(countable('m'));
    await until(asked, { what: 'the worker to wait for the greeting' });
    expect(await worker.stop()).toEqual(done);
    expect(worker.events.map(({ event }) => event)).toContain('handed-back');
    expect(await producer.status('m')).toMatchObject({ state: 'queued', attempts: 0 });
    await startWorkerProcess({ prefix, connectors: { relay: { port: server.port } } });
    const rows = await settled(producer, ['m']);
    expect(rows).toMatchObject([{ state: 'sent', attempts: 1 }]);
    expect(rows.map(isUncertain)).toEqual([false]);
    expect(copiesOf('m', [server])).toBe(1);
  });

  test('during a backlog leaves the rest as it was: every message is sent once, in one attempt', async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    const server = await sink();
    const messages = countableMany(400);
    const ids = messages.map(({ id }) => id!);
    await producer.sendMany(messages);
    const worker = await startInstalled({ prefix, port: server.port });
    await until(() => server.received.transactions.length > 50, { what: 'the backlog to be under way' });
    expect(await worker.stop()).toEqual(done);
    expect(server.received.transactions.length).toBeLessThan(400);
    await startWorkerProcess({ prefix, connectors: { relay: { port: server.port } } });
    const rows = await settled(producer, ids);
    expect(rows.filter(({ attempts }) => attempts !== 1)).toEqual([]);
    expect(rows.filter(isUncertain)).toEqual([]);
    expect(balance(rows, [server])).toEqual({ lost: [], blindlyTwice: [], knowinglyTwice: [], states: { sent: 400 } });
  });

  test('twice ends it at once, with 1; what it had under way is uncertain, and not lost', async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    const redis = testConnection();
    const { server, asked, speak } = await quietServer('.');
    const worker = await startInstalled({ prefix, port: server.port, drain: '60s' });
    await producer.send(countable('m'));
    await until(asked, { what: 'the server to have the message' });
    worker.signal('SIGTERM');
    await worker.waitFor('draining');
    const began = performance.now();
    expect(await worker.stop()).toEqual({ code: 1, signal: null });
    expect(performance.now() - began).toBeLessThan(2_000);
    expect(await producer.status('m')).toMatchObject({ state: 'sending' });
    speak();
    await passHalfAMinute(redis, prefix);
    await startWorkerProcess({ prefix, connectors: { relay: { port: server.port } } });
    const rows = await settled(producer, ['m']);
    expect(rows.map(isUncertain)).toEqual([true]);
    expect(balance(rows, [server])).toMatchObject({ lost: [], blindlyTwice: [], states: { sent: 1 } });
  });

  test('while Redis is away ends it in time all the same, and what Redis had is there afterwards', async () => {
    const redis = await ownRedis();
    const prefix = '{drain}';
    const producer = testProducer(prefix, { url: redis.url });
    const { server, asked, speak } = await quietServer('.');
    const worker = await startInstalled({ prefix, port: server.port, url: redis.url, drain: '300ms' });
    await producer.send(countable('m'));
    await until(asked, { what: 'the server to have the message' });
    await redis.kill();
    speak();
    const began = performance.now();
    expect(await worker.stop()).toEqual({ code: 1, signal: null });

    expect(performance.now() - began).toBeLessThan(12_000);
    await redis.restart();
    await passHalfAMinute(redis.admin, prefix);
    await startWorkerProcess({ prefix, url: redis.url, connectors: { relay: { port: server.port } } });
    const rows = await settled(producer, ['m']);
    expect(rows.map(isUncertain)).toEqual([true]);
    expect(balance(rows, [server])).toMatchObject({ lost: [], blindlyTwice: [], states: { sent: 1 } });
  });
});
