/**
 * A worker gets SIGTERM in the middle of its work: running sends may end, jobs that have not begun go back unchanged, and
 * the process ends within its drain time, whatever its servers and its Redis do. Runs the installed program, for its exit codes.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import {
  account,
  allOnce,
  allSent,
  copiesOf,
  countable,
  countableMany,
  isUncertain,
  settled,
  sink,
} from '../support/accounting.ts';
import { endLocks } from '../support/locks.ts';
import { ownRedis } from '../support/own-redis.ts';
import { testProducer } from '../support/postlane.ts';
import { pausedServer } from '../support/paused-server.ts';
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

const drained = { code: 0, signal: null };

/** A worker that waits for the reply to `verb`, with one message. */
async function waitingFor(verb: string, options: Pick<Installed, 'drain' | 'url'> & { prefix?: string } = {}) {
  const prefix = options.prefix ?? testPrefix();
  const producer = testProducer(prefix, options.url === undefined ? {} : { url: options.url });
  const paused = await pausedServer(verb);
  const worker = await startInstalled({ ...options, prefix, port: paused.server.port });
  await producer.send(countable('m'));
  await until(paused.reached, { what: `the worker to wait for the reply to ${verb}` });
  /** Another worker, which finishes what the first one left. */
  const finish = async () => {
    await startWorkerProcess({
      prefix,
      ...(options.url === undefined ? {} : { url: options.url }),
      connectors: { relay: { port: paused.server.port } },
    });
    return settled(producer, ['m']);
  };
  return { prefix, producer, worker, finish, ...paused };
}

test('SIGTERM during a slow send lets it end: one copy, one attempt, exit code 0', async () => {
  const { producer, worker, server, release } = await waitingFor('.');
  const exit = worker.stop();
  await worker.waitFor('draining');
  release();
  expect(await exit).toEqual(drained);
  const rows = await settled(producer, ['m']);
  expect(rows).toMatchObject([{ state: 'sent', attempts: 1 }]);
  expect(account(rows, [server])).toEqual(allOnce(1));
});

test('SIGTERM during a send that does not end aborts it after the drain time, and the ledger calls the attempt uncertain', async () => {
  const { producer, worker, server, release, finish } = await waitingFor('.', { drain: '300ms' });
  // The server has not replied yet: only the drain time can end this.
  expect(await worker.stop()).toEqual(drained);
  expect(await producer.status('m')).toMatchObject({ state: 'deferred', attempts: 1 });
  release();
  const rows = await finish();
  expect(rows.map(isUncertain)).toEqual([true]);
  expect(account(rows, [server])).toMatchObject(allSent(1));
});

test('SIGTERM before an attempt has begun hands the message back without counting one', async () => {
  const { producer, worker, server, finish } = await waitingFor('CONNECT', { drain: '300ms' });
  expect(await worker.stop()).toEqual(drained);
  expect(worker.of('handed-back')).toHaveLength(1);
  expect(await producer.status('m')).toMatchObject({ state: 'queued', attempts: 0 });
  const rows = await finish();
  expect(rows).toMatchObject([{ state: 'sent', attempts: 1 }]);
  expect(rows.map(isUncertain)).toEqual([false]);
  expect(copiesOf('m', [server])).toBe(1);
});

test('SIGTERM during a backlog leaves the rest unchanged: every message is sent once, in one attempt', async () => {
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  const server = await sink();
  const messages = countableMany(400);
  await producer.sendMany(messages);
  const worker = await startInstalled({ prefix, port: server.port });
  await until(() => server.received.transactions.length > 50, { what: 'the backlog to be under way' });
  expect(await worker.stop()).toEqual(drained);
  expect(server.received.transactions.length).toBeLessThan(400);
  await startWorkerProcess({ prefix, connectors: { relay: { port: server.port } } });
  const rows = await settled(producer, messages);
  expect(rows.filter(({ attempts }) => attempts !== 1)).toEqual([]);
  expect(rows.filter(isUncertain)).toEqual([]);
  expect(account(rows, [server])).toEqual(allOnce(400));
});

test('a second SIGTERM ends the worker at once with exit code 1; its send is uncertain and not lost', async () => {
  const { prefix, producer, worker, server, release, finish } = await waitingFor('.', { drain: '10m' });
  worker.signal('SIGTERM');
  await worker.waitFor('draining');
  // The drain time is ten minutes, and the server has not replied: only the second signal can end this.
  expect(await worker.stop()).toEqual({ code: 1, signal: null });
  expect(await producer.status('m')).toMatchObject({ state: 'sending' });
  release();
  await endLocks(testConnection(), prefix);
  const rows = await finish();
  expect(rows.map(isUncertain)).toEqual([true]);
  expect(account(rows, [server])).toMatchObject(allSent(1));
});

test('SIGTERM while Redis is away ends the worker all the same, and no message of Redis is lost', async () => {
  const redis = await ownRedis();
  const { prefix, worker, server, release, finish } = await waitingFor('.', {
    prefix: '{drain}',
    url: redis.url,
    drain: '300ms',
  });
  await redis.kill();
  release();
  // Redis stays away until the process has ended.
  expect(await worker.stop()).toEqual({ code: 1, signal: null });
  await redis.restart();
  await endLocks(redis.admin, prefix);
  const rows = await finish();
  expect(rows.map(isUncertain)).toEqual([true]);
  expect(account(rows, [server])).toMatchObject(allSent(1));
});
