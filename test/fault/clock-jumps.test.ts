/**
 * The clock of a worker's host jumps by hours. Locks, lanes and pauses run on Redis' clock and are not affected. What a
 * worker computes itself, the time of a retry and the end of a lifetime, is shifted by as much as its clock is wrong, and
 * nothing else: no message is lost, none is sent twice. A message that a wrong clock expires is a whole dead letter, which
 * can be replayed.
 */
import { expect, test } from 'vitest';
import { keysOf, laneName } from '../../src/queue/redis/keys.ts';
import { account, allOnce, copiesOf, countable, countableMany, settled, sink } from '../support/accounting.ts';
import { lockRenewed } from '../support/locks.ts';
import { pausedServer } from '../support/paused-server.ts';
import { testOperator, testProducer } from '../support/postlane.ts';
import { testConnection, testPrefix } from '../support/redis.ts';
import { until } from '../../testkit/until.ts';
import { startWorkerProcess, type WorkerProcess } from '../support/worker-process.ts';

const hourMs = 3_600_000;
const day = { lifetimeMs: 24 * hourMs };

async function setClock(worker: WorkerProcess, aheadMs: number): Promise<void> {
  const before = worker.of('told').length;
  worker.tell(`clock ${aheadMs}`);
  await worker.waitFor('told', undefined, before + 1);
}

test.for([
  ['ahead', 3 * hourMs],
  ['back', -3 * hourMs],
] as const)(
  'a clock that jumps three hours %s amid a backlog: every message is sent once, none expires',
  async ([, jumpMs]) => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    const server = await sink();
    const connectors = { relay: { port: server.port, concurrency: 4 } };
    const jumping = await startWorkerProcess({ prefix, connectors, retry: day });
    await startWorkerProcess({ prefix, connectors, retry: day });
    const messages = countableMany(300);
    await producer.sendMany(messages);
    await until(() => server.received.transactions.length > 50, { what: 'the backlog to be under way' });
    await setClock(jumping, jumpMs);
    const rows = await settled(producer, messages);
    expect(account(rows, [server])).toEqual(allOnce(300));
  },
);

/** A worker that waits for the reply to a whole message. */
async function sending(timing: { lateResultMs: number; lockMs: number }) {
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  const operator = await testOperator(prefix);
  const { server, reached, release } = await pausedServer('.');
  const options = { prefix, connectors: { relay: { port: server.port } }, retry: day, timing };
  const worker = await startWorkerProcess(options);
  await producer.send(countable('m'));
  await until(reached, { what: 'the server to have the message' });
  return { prefix, producer, operator, server, release, worker, options };
}

test.for([
  ['ahead', 3 * hourMs],
  ['back', -3 * hourMs],
] as const)('a clock that jumps %s amid a send: the lock is renewed as before, one copy', async ([, jumpMs]) => {
  const { prefix, producer, server, release, worker } = await sending({ lateResultMs: 120_000, lockMs: 2_000 });
  await setClock(worker, jumpMs);
  const redis = testConnection();
  const lock = keysOf(prefix).queue(laneName('relay'), 'm:lock');
  for (let renewals = 0; renewals < 3; renewals += 1) await lockRenewed(redis, lock);
  release();
  const rows = await settled(producer, ['m']);
  expect(rows).toMatchObject([{ state: 'sent', attempts: 1 }]);
  expect(account(rows, [server])).toEqual(allOnce(1));
});

test('a clock that jumps back while a message waits for its retry: a worker with the right time makes the retry', async () => {
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  const server = await sink({ script: { RCPT: ['451 4.3.0 try again'] } });
  const retry = { ...day, firstDelayMs: 500, maxDelayMs: 750 };
  const options = { prefix, connectors: { relay: { port: server.port } }, retry };
  const wrong = await startWorkerProcess(options);
  await producer.send(countable('m'));
  await wrong.waitFor('deferred', 'm');
  await setClock(wrong, -3 * hourMs);
  await startWorkerProcess(options);
  const rows = await settled(producer, ['m']);
  expect(rows).toMatchObject([{ state: 'sent', attempts: 2 }]);
  expect(copiesOf('m', [server])).toBe(1);
});

test('a clock that jumps past the lifetime of waiting messages expires them as whole dead letters, and a replay sends each once', async () => {
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  const operator = await testOperator(prefix);
  const server = await sink();
  const options = { prefix, connectors: { relay: { port: server.port } }, retry: day };
  const wrong = await startWorkerProcess(options);
  await operator.lanes.pause('relay');
  const messages = countableMany(5);
  await producer.sendMany(messages);
  await until(async () => (await operator.lanes.status('relay')).waiting === 5, { what: 'five to wait' });
  await setClock(wrong, 23 * hourMs);
  // Another message shows that the worker goes on after the jump, which is not past the lifetime yet.
  await producer.send(countable('today', { sendAt: Date.now() }));
  await wrong.waitFor('routed', 'today');
  expect(await operator.deadLetters.count()).toBe(0);
  await setClock(wrong, 25 * hourMs);
  const dead = await settled(producer, messages);
  expect(dead.map(({ state, reason, attempts }) => `${state} ${reason} ${attempts}`)).toEqual(
    Array(5).fill('dead expired 0'),
  );
  await wrong.kill();
  await startWorkerProcess(options);
  await operator.lanes.resume('relay');
  const how = { via: null, now: Date.now(), lifetimeMs: day.lifetimeMs };
  for (const { id } of messages) expect(await operator.replay(id!, how)).toBe('replayed');
  const rows = await settled(producer, messages);
  expect(account(rows, [server])).toEqual(allOnce(5));
});
