/** Two workers and one message: the first is suspended amid a send until its lock has ended and the second has the job. */
import { describe, expect, test } from 'vitest';
import { balance, copiesOf, countable, isUncertain, settled } from '../support/books.ts';
import { testOperator, testProducer } from '../support/postlane.ts';
import { quietServer } from '../support/quiet-server.ts';
import { testPrefix } from '../support/redis.ts';
import { until } from '../../testkit/until.ts';
import { startWorkerProcess } from '../support/worker-process.ts';

/** One message, a first worker that stands still (SIGSTOP) where `verb` is about to be answered, and a second worker. */
async function suspendedAt(verb: string, lateResultMs: number, onUncertain: 'retry' | 'hold' = 'retry') {
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  const operator = await testOperator(prefix);
  const quiet = await quietServer(verb);
  const connectors = { relay: { port: quiet.server.port } };
  const options = { prefix, connectors, timing: { lateResultMs }, retry: { onUncertain } };
  const first = await startWorkerProcess(options);
  await producer.send(countable('m'));
  await until(quiet.asked, { what: `the first worker to wait for the answer to ${verb}` });
  first.pause();
  const second = await startWorkerProcess(options);
  return { producer, operator, first, second, ...quiet };
}

describe('a worker suspended between the final dot and its reply', () => {
  test('settles the message itself if it comes back in time: one copy', async () => {
    const { producer, operator, first, second, server, speak } = await suspendedAt('.', 20_000);
    speak();
    const takenOver = async () => (await operator.lanes.status('relay')).delayed === 1;
    await until(takenOver, { what: 'the second worker to have the job, and to wait for the result' });
    first.resume();
    const rows = await settled(producer, ['m']);
    expect(rows).toMatchObject([{ state: 'sent', attempts: 1 }]);
    expect(balance(rows, [server])).toEqual({ lost: [], blindlyTwice: [], knowinglyTwice: [], states: { sent: 1 } });
    expect(second.events.map(({ event }) => event)).not.toContain('outcome');
  });

  test('comes too late after that time: the message has been sent again, and says that it was uncertain', async () => {
    const { producer, first, second, server, speak } = await suspendedAt('.', 300);
    speak();
    await second.waitFor('sent', 'm');
    first.resume();
    await first.waitFor('outcome', 'm');
    expect(await first.stop()).toEqual({ code: 0, signal: null });
    const rows = await settled(producer, ['m']);
    expect(rows).toMatchObject([{ state: 'sent', attempts: 2 }]);
    expect(balance(rows, [server])).toMatchObject({ lost: [], blindlyTwice: [], knowinglyTwice: ['m'] });
    expect(rows[0]?.history.map(({ event }) => event)).toEqual(['routed', 'uncertain', 'sent']);
    expect(first.events.map(({ event }) => event)).not.toContain('sent');
  });

  test('under «hold» settles even what is held by then: one copy, nothing left to resolve', async () => {
    const { producer, operator, first, second, server, speak } = await suspendedAt('.', 300, 'hold');
    speak();
    await second.waitFor('held', 'm');
    expect(await operator.deadLetters.count()).toBe(1);
    first.resume();
    await until(async () => (await producer.status('m'))?.state === 'sent', { what: 'the late result to settle it' });
    expect(await operator.deadLetters.count()).toBe(0);
    expect(copiesOf('m', [server])).toBe(1);
  });
});

describe('a worker suspended before its attempt has begun', () => {
  test('finds its lock lost, and sends nothing', async () => {
    const { producer, first, second, server, speak } = await suspendedAt('CONNECT', 300);
    speak();
    await second.waitFor('sent', 'm');
    first.resume();
    expect(await first.waitFor('outcome', 'm')).toMatchObject({ kind: 'stopped' });
    expect(await first.stop()).toEqual({ code: 0, signal: null });
    const rows = await settled(producer, ['m']);
    expect(rows).toMatchObject([{ state: 'sent', attempts: 1 }]);
    expect(rows.map(isUncertain)).toEqual([false]);
    expect(copiesOf('m', [server])).toBe(1);
  });
});

describe('a worker suspended amid the envelope', () => {
  test('may go on with it afterwards, but no copy of that is blind', async () => {
    const { producer, first, second, server, speak } = await suspendedAt('MAIL', 300);
    speak();
    await second.waitFor('sent', 'm');
    first.resume();
    await first.waitFor('outcome', 'm');
    expect(await first.stop()).toEqual({ code: 0, signal: null });
    const rows = await settled(producer, ['m']);
    expect(rows).toMatchObject([{ state: 'sent' }]);
    expect(rows.map(isUncertain)).toEqual([true]);
    expect(balance(rows, [server])).toMatchObject({ lost: [], blindlyTwice: [] });
  });
});
