/**
 * The clock of a worker's host jumps by hours. Locks, lanes and pauses run on Redis' clock and take no notice. What a
 * worker works out itself, when to try again and what has expired, is shifted by as much as its clock is wrong, and
 * nothing else: nothing is lost, nothing is sent twice. What a wrong clock makes expire is a dead letter, whole, and can be
 * replayed.
 */
import { describe, expect, test } from 'vitest';
import { keysOf, laneName } from '../../src/queue/redis/keys.ts';
import { balance, copiesOf, countable, countableMany, settled, sink } from '../support/books.ts';
import { testOperator, testProducer } from '../support/postlane.ts';
import { quietServer } from '../support/quiet-server.ts';
import { testConnection, testPrefix } from '../support/redis.ts';
import { until } from '../../testkit/until.ts';
import { startWorkerProcess, type WorkerProcess } from '../support/worker-process.ts';

const hourMs = 3_600_000;
const day = { lifetimeMs: 24 * hourMs };

async function setClock(worker: WorkerProcess, aheadMs: number): Promise<void> {
  const told = worker.events.filter(({ event }) => event === 'told').length;
  worker.tell(`clock ${aheadMs}`);
  await until(() => worker.events.filter(({ event }) => event === 'told').length > told, {
    what: 'the clock to be set',
  });
}

describe('a clock that jumps amid a backlog', () => {
  test.for([
    ['3 hours ahead', 3 * hourMs],
    ['3 hours back', -3 * hourMs],
  ] as const)('%s: every message is sent once, none expires', async ([, jumpMs]) => {
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
    const rows = await settled(
      producer,
      messages.map(({ id }) => id!),
    );
    expect(balance(rows, [server])).toEqual({ lost: [], blindlyTwice: [], knowinglyTwice: [], states: { sent: 300 } });
  });
});

describe('a clock that jumps amid a send', () => {
  async function sending(lateResultMs: number) {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    const operator = await testOperator(prefix);
    const { server, asked, speak } = await quietServer('.');
    const timing = { lateResultMs };
    const options = { prefix, connectors: { relay: { port: server.port } }, retry: day, timing };
    const worker = await startWorkerProcess(options);
    await producer.send(countable('m'));
    await until(asked, { what: 'the server to have the message' });
    return { prefix, producer, operator, server, speak, worker, options };
  }

  test('ahead: the lock is renewed as before, one copy', async () => {
    const { prefix, producer, server, speak, worker } = await sending(300);
    await setClock(worker, 3 * hourMs);
    const redis = testConnection();
    const lock = keysOf(prefix).queue(laneName('relay'), 'm:lock');
    for (let last = await redis.pttl(lock), renewals = 0; renewals < 3; renewals += 1) {
      // It counts down, and jumps up when it is renewed.
      last = await until(
        async () => {
          const left = await redis.pttl(lock);
          if (left > last) return left;
          last = left;
          return null;
        },
        { what: 'the lock to be renewed' },
      );
    }
    speak();
    const rows = await settled(producer, ['m']);
    expect(rows).toMatchObject([{ state: 'sent', attempts: 1 }]);
    expect(balance(rows, [server])).toEqual({ lost: [], blindlyTwice: [], knowinglyTwice: [], states: { sent: 1 } });
  });

  test('back: the lock is not renewed and another worker takes over, but a result in time settles it, one copy', async () => {
    const { producer, operator, server, speak, worker, options } = await sending(20_000);
    await setClock(worker, -3 * hourMs);
    await startWorkerProcess(options);
    const takenOver = async () => (await operator.lanes.status('relay')).delayed === 1;
    await until(takenOver, { what: 'the other worker to have the job, and to wait for the result' });
    speak();
    const rows = await settled(producer, ['m']);
    expect(rows).toMatchObject([{ state: 'sent', attempts: 1 }]);
    expect(balance(rows, [server])).toEqual({ lost: [], blindlyTwice: [], knowinglyTwice: [], states: { sent: 1 } });
  });
});

describe('a clock that jumps while a message waits', () => {
  test('back, for its retry: this worker waits for its clock, one with the right time does not', async () => {
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

  test('ahead, past its lifetime: it expires by that clock, is a whole dead letter, and a replay sends it once', async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    const operator = await testOperator(prefix);
    const server = await sink();
    const options = { prefix, connectors: { relay: { port: server.port } }, retry: day };
    const wrong = await startWorkerProcess(options);
    await operator.lanes.pause('relay');
    const messages = countableMany(5);
    const ids = messages.map(({ id }) => id!);
    await producer.sendMany(messages);
    await until(async () => (await operator.lanes.status('relay')).waiting === 5, { what: 'five to wait' });
    await setClock(wrong, 23 * hourMs);
    // Another message shows that it works on, with the jump behind it: it is not past the lifetime yet.
    await producer.send(countable('today', { sendAt: Date.now() }));
    await wrong.waitFor('routed', 'today');
    expect(await operator.deadLetters.count()).toBe(0);
    await setClock(wrong, 25 * hourMs);
    const dead = await settled(producer, ids);
    expect(dead.map(({ state, reason, attempts }) => `${state} ${reason} ${attempts}`)).toEqual(
      Array(5).fill('dead expired 0'),
    );
    await wrong.kill();
    await startWorkerProcess(options);
    await operator.lanes.resume('relay');
    const now = Date.now();
    for (const id of ids)
      expect(await operator.replay(id, { via: null, now, lifetimeMs: day.lifetimeMs })).toBe('replayed');
    const rows = await settled(producer, ids);
    expect(balance(rows, [server])).toEqual({ lost: [], blindlyTwice: [], knowinglyTwice: [], states: { sent: 5 } });
  });
});
