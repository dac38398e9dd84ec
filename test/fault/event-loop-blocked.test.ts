/** A worker whose event loop is blocked for longer than its lock: it renews nothing, hears nothing, and another takes over. */
import { expect, test } from 'vitest';
import { balance, copiesOf, countable, isUncertain, settled } from '../support/books.ts';
import { testOperator, testProducer } from '../support/postlane.ts';
import { quietServer } from '../support/quiet-server.ts';
import { testPrefix } from '../support/redis.ts';
import { until } from '../../testkit/until.ts';
import { startWorkerProcess } from '../support/worker-process.ts';

/** One message, a first worker that is blocked where `verb` is about to be answered, and a second one that is not. */
async function blockedAt(verb: string, lateResultMs: number) {
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  const operator = await testOperator(prefix);
  const quiet = await quietServer(verb);
  const options = { prefix, connectors: { relay: { port: quiet.server.port } }, timing: { lateResultMs } };
  const first = await startWorkerProcess(options);
  await producer.send(countable('m'));
  await until(quiet.asked, { what: `the first worker to wait for the answer to ${verb}` });
  first.tell('block');
  await first.waitFor('told');
  const second = await startWorkerProcess(options);
  quiet.speak();
  return { producer, operator, first, second, server: quiet.server };
}

test('blocked until its lock is lost, but not for long: its own result settles the message, one copy', async () => {
  const { producer, operator, first, second, server } = await blockedAt('.', 20_000);
  const takenOver = async () => (await operator.lanes.status('relay')).delayed === 1;
  await until(takenOver, { what: 'the second worker to have the job, and to wait for the result' });
  first.tell('go on');
  const rows = await settled(producer, ['m']);
  expect(rows).toMatchObject([{ state: 'sent', attempts: 1 }]);
  expect(balance(rows, [server])).toEqual({ lost: [], blindlyTwice: [], knowinglyTwice: [], states: { sent: 1 } });
  expect(second.events.map(({ event }) => event)).not.toContain('outcome');
});

test('blocked for longer than a late result is waited for: a second copy, and the ledger says why', async () => {
  const { producer, first, second, server } = await blockedAt('.', 300);
  await second.waitFor('sent', 'm');
  first.tell('go on');
  await first.waitFor('outcome', 'm');
  const rows = await settled(producer, ['m']);
  expect(rows).toMatchObject([{ state: 'sent', attempts: 2 }]);
  expect(balance(rows, [server])).toMatchObject({ lost: [], blindlyTwice: [], knowinglyTwice: ['m'] });
});

test('blocked before its attempt has begun: it finds its lock lost, and sends nothing', async () => {
  const { producer, first, second, server } = await blockedAt('CONNECT', 300);
  await second.waitFor('sent', 'm');
  first.tell('go on');
  expect(await first.waitFor('outcome', 'm')).toMatchObject({ kind: 'stopped' });
  const rows = await settled(producer, ['m']);
  expect(rows).toMatchObject([{ state: 'sent', attempts: 1 }]);
  expect(rows.map(isUncertain)).toEqual([false]);
  expect(copiesOf('m', [server])).toBe(1);
});

test('afterwards it works on as before', async () => {
  const { producer, first, second } = await blockedAt('CONNECT', 300);
  await second.waitFor('sent', 'm');
  first.tell('go on');
  await first.waitFor('unblocked');
  await second.stop();
  await producer.send(countable('next'));
  expect(await first.waitFor('sent', 'next')).toMatchObject({ attempt: 1 });
});
