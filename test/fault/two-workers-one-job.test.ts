/** Two workers and one message: the first is suspended amid a send until its lock has ended and the second has the job. */
import { expect, test } from 'vitest';
import { account, allOnce, copiesOf, countable, isUncertain, settled } from '../support/accounting.ts';
import { endLocks } from '../support/locks.ts';
import { pausedServer } from '../support/paused-server.ts';
import { testOperator, testProducer } from '../support/postlane.ts';
import { testConnection, testPrefix } from '../support/redis.ts';
import { until } from '../../testkit/until.ts';
import { startWorkerProcess } from '../support/worker-process.ts';

/** One message, a first worker suspended (SIGSTOP) where it waits for the reply to `verb`, and a second worker that takes over. */
async function suspendedAt(verb: string, lateResultMs: number, onUncertain: 'retry' | 'hold' = 'retry') {
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  const operator = await testOperator(prefix);
  const { server, reached, release } = await pausedServer(verb);
  const connectors = { relay: { port: server.port } };
  const options = { prefix, connectors, timing: { lateResultMs }, retry: { onUncertain } };
  const first = await startWorkerProcess(options);
  await producer.send(countable('m'));
  await until(reached, { what: `the first worker to wait for the reply to ${verb}` });
  first.pause();
  await endLocks(testConnection(), prefix);
  const second = await startWorkerProcess(options);
  release();
  return { producer, operator, first, second, server };
}

test('a worker suspended before the reply to a whole message settles it if it comes back in time: one copy', async () => {
  const { producer, operator, first, second, server } = await suspendedAt('.', 120_000);
  const takenOver = async () => (await operator.lanes.status('relay')).delayed === 1;
  await until(takenOver, { what: 'the second worker to have the job, and to wait for the result' });
  first.resume();
  const rows = await settled(producer, ['m']);
  expect(rows).toMatchObject([{ state: 'sent', attempts: 1 }]);
  expect(account(rows, [server])).toEqual(allOnce(1));
  expect(second.of('outcome')).toEqual([]);
});

test('a worker suspended for longer finds that the message was sent again, and the ledger calls its attempt uncertain', async () => {
  const { producer, first, second, server } = await suspendedAt('.', 300);
  await second.waitFor('sent', 'm');
  first.resume();
  await first.waitFor('outcome', 'm');
  expect(await first.stop()).toEqual({ code: 0, signal: null });
  const rows = await settled(producer, ['m']);
  expect(rows).toMatchObject([{ state: 'sent', attempts: 2 }]);
  expect(account(rows, [server])).toMatchObject({ lost: [], blindlyTwice: [], knowinglyTwice: ['m'] });
  expect(rows[0]?.history.map(({ event }) => event)).toEqual(['routed', 'uncertain', 'sent']);
  expect(first.of('sent')).toEqual([]);
});

test('with onUncertain hold a late result settles even a message that is held by then: one copy, nothing left to resolve', async () => {
  const { producer, operator, first, second, server } = await suspendedAt('.', 300, 'hold');
  await second.waitFor('held', 'm');
  expect(await operator.deadLetters.count()).toBe(1);
  first.resume();
  await until(async () => (await producer.status('m'))?.state === 'sent', { what: 'the late result to settle it' });
  expect(await operator.deadLetters.count()).toBe(0);
  expect(copiesOf('m', [server])).toBe(1);
});

test('a worker suspended before its attempt has begun finds its lock lost and sends nothing', async () => {
  const { producer, first, second, server } = await suspendedAt('CONNECT', 300);
  await second.waitFor('sent', 'm');
  first.resume();
  expect(await first.waitFor('outcome', 'm')).toMatchObject({ kind: 'stopped' });
  expect(await first.stop()).toEqual({ code: 0, signal: null });
  const rows = await settled(producer, ['m']);
  expect(rows).toMatchObject([{ state: 'sent', attempts: 1 }]);
  expect(rows.map(isUncertain)).toEqual([false]);
  expect(copiesOf('m', [server])).toBe(1);
});

test('a worker suspended amid the envelope may send the message afterwards, but only as a marked copy', async () => {
  const { producer, first, second, server } = await suspendedAt('MAIL', 300);
  await second.waitFor('sent', 'm');
  first.resume();
  await first.waitFor('outcome', 'm');
  expect(await first.stop()).toEqual({ code: 0, signal: null });
  const rows = await settled(producer, ['m']);
  expect(rows).toMatchObject([{ state: 'sent' }]);
  expect(rows.map(isUncertain)).toEqual([true]);
  expect(account(rows, [server])).toMatchObject({ lost: [], blindlyTwice: [] });
});
