/** A worker whose event loop is blocked for longer than its lock: it renews nothing and reads nothing, and another takes over. */
import { expect, test } from 'vitest';
import { account, allOnce, copiesOf, countable, isUncertain, settled } from '../support/accounting.ts';
import { endLocks } from '../support/locks.ts';
import { pausedServer } from '../support/paused-server.ts';
import { testOperator, testProducer } from '../support/postlane.ts';
import { testConnection, testPrefix } from '../support/redis.ts';
import { until } from '../../testkit/until.ts';
import { startWorkerProcess } from '../support/worker-process.ts';

/** One message, a first worker blocked where it waits for the reply to `verb`, and a second worker that takes over. */
async function blockedAt(verb: string, lateResultMs: number) {
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  const operator = await testOperator(prefix);
  const { server, reached, release } = await pausedServer(verb);
  const options = { prefix, connectors: { relay: { port: server.port } }, timing: { lateResultMs } };
  const first = await startWorkerProcess(options);
  await producer.send(countable('m'));
  await until(reached, { what: `the first worker to wait for the reply to ${verb}` });
  first.tell('block');
  await first.waitFor('told');
  await endLocks(testConnection(), prefix);
  const second = await startWorkerProcess(options);
  release();
  return { producer, operator, first, second, server };
}

test('a worker blocked until its lock is lost settles the message with its own result if that comes in time: one copy', async () => {
  const { producer, operator, first, second, server } = await blockedAt('.', 120_000);
  const takenOver = async () => (await operator.lanes.status('relay')).delayed === 1;
  await until(takenOver, { what: 'the second worker to have the job, and to wait for the result' });
  first.tell('go on');
  const rows = await settled(producer, ['m']);
  expect(rows).toMatchObject([{ state: 'sent', attempts: 1 }]);
  expect(account(rows, [server])).toEqual(allOnce(1));
  expect(second.of('outcome')).toEqual([]);
});

test('a worker blocked for longer than a late result is waited for leads to a second copy, and the ledger says why', async () => {
  const { producer, first, second, server } = await blockedAt('.', 300);
  await second.waitFor('sent', 'm');
  first.tell('go on');
  await first.waitFor('outcome', 'm');
  const rows = await settled(producer, ['m']);
  expect(rows).toMatchObject([{ state: 'sent', attempts: 2 }]);
  expect(account(rows, [server])).toMatchObject({ lost: [], blindlyTwice: [], knowinglyTwice: ['m'] });
});

test('a worker blocked before its attempt has begun finds its lock lost, sends nothing, and works on as before', async () => {
  const { producer, first, second, server } = await blockedAt('CONNECT', 300);
  await second.waitFor('sent', 'm');
  first.tell('go on');
  expect(await first.waitFor('outcome', 'm')).toMatchObject({ kind: 'stopped' });
  const rows = await settled(producer, ['m']);
  expect(rows).toMatchObject([{ state: 'sent', attempts: 1 }]);
  expect(rows.map(isUncertain)).toEqual([false]);
  expect(copiesOf('m', [server])).toBe(1);
  await second.stop();
  await producer.send(countable('next'));
  expect(await first.waitFor('sent', 'next')).toMatchObject({ attempt: 1 });
});
