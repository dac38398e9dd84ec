/** The breaker of a connector, shared by a fleet: one probe at a time, growing pauses, full speed after the first success. */
import { expect, test } from 'vitest';
import { balance, countable, countableMany, settled } from '../support/books.ts';
import { testOperator, testProducer, type TestWorker } from '../support/postlane.ts';
import { testPrefix } from '../support/redis.ts';
import { doorTo, expectNoneBurned, startSender, type Door } from '../support/smtp-sender.ts';
import { until } from '../../testkit/until.ts';

const fleetOf = (prefix: string, doors: readonly Door[]): Promise<TestWorker[]> =>
  Promise.all(['one', 'two', 'three'].map((name) => startSender({ prefix, doors, name })));

const faultsOf = (fleet: readonly TestWorker[]) => fleet.flatMap(({ of }) => of('connector-fault'));

/** A wait without an event to wait for: that nothing happens meanwhile is what is watched. */
async function watch(ms: number): Promise<void> {
  const end = performance.now() + ms;
  await until(() => performance.now() >= end, { what: `${ms} ms to pass` });
}

test('while faults last, the whole fleet sends one probe at a time, after pauses that double', async () => {
  const prefix = testPrefix();
  let well = false;
  const door = await doorTo('relay', { script: { CONNECT: () => (well ? undefined : 'close') } });
  const { received } = door.server;
  const producer = testProducer(prefix);
  const fleet = await fleetOf(prefix, [door]);
  // The first fault is found by one message alone; what comes then waits behind it, and wakes all workers.
  await producer.send(countable('first'));
  await until(() => faultsOf(fleet).length === 1, { what: 'the first fault' });
  await producer.sendMany(countableMany(100));
  await until(() => faultsOf(fleet).length >= 6, { what: 'six faults' });

  // Connections and faults are one to one. Two probes at once would have shared a fault, as it counts once in a pause.
  const faults = faultsOf(fleet).toSorted((a, b) => a.faults - b.faults);
  expect(faults.map((fault) => fault.faults)).toEqual(faults.map((_, index) => index + 1));
  expect(received.connections).toBeLessThanOrEqual(faults.length + 1);
  expect(received.highWater).toBe(1);
  // A first pause of 5 s is 50 ms by the scale.
  expect(faults.slice(0, 6).map(({ pauseMs }) => pauseMs)).toEqual([50, 100, 200, 400, 800, 1600]);
  // Each probe is the message that waits longest: nobody overtakes it.
  expect(new Set(faults.map(({ id }) => id))).toEqual(new Set(['first']));

  well = true;
  const rows = await settled(producer, ['first', ...countableMany(100).map(({ id }) => id!)]);
  expect(balance(rows, [door.server])).toEqual({
    lost: [],
    blindlyTwice: [],
    knowinglyTwice: [],
    states: { sent: 101 },
  });
  expectNoneBurned(rows);
  expect(fleet.flatMap(({ of }) => of('connector-recovered'))).toHaveLength(1);
});

test('a probe that takes long stays the only one: nobody loses patience and sends a second', async () => {
  const prefix = testPrefix();
  const held = Promise.withResolvers<void>();
  const door = await doorTo('relay', {
    script: {
      CONNECT: async ({ connection }) => {
        if (connection === 1) return 'close';
        if (connection === 2) await held.promise;
        return undefined;
      },
    },
  });
  const { received } = door.server;
  const producer = testProducer(prefix);
  const fleet = await fleetOf(prefix, [door]);
  await producer.send(countable('first'));
  await until(() => faultsOf(fleet).length === 1, { what: 'the first fault' });
  await producer.sendMany(countableMany(30));
  await until(() => received.connections === 2, { what: 'the probe' });
  // Twenty pauses long, and through several sweeps, which give lanes their limits back.
  await watch(1_000);
  expect(received.connections).toBe(2);
  held.resolve();
  const rows = await settled(producer, ['first', ...countableMany(30).map(({ id }) => id!)]);
  expect(balance(rows, [door.server])).toMatchObject({ lost: [], blindlyTwice: [], states: { sent: 31 } });
});

test('the first success gives the lane its concurrency back', async () => {
  const prefix = testPrefix();
  let faulty = true;
  let together = 0;
  const five = Promise.withResolvers<void>();
  const door = await doorTo('relay', {
    script: {
      CONNECT: () => (faulty ? '454 4.3.0 not now' : undefined),
      // Once well, nobody is answered before five messages are there at the same time; the probe alone is, first.
      '.': async ({ to }) => {
        if (to[0]?.startsWith('first@') === true) return undefined;
        together += 1;
        if (together === 5) five.resolve();
        await five.promise;
        return undefined;
      },
    },
  });
  const producer = testProducer(prefix);
  const fleet = await fleetOf(prefix, [door]);
  await producer.send(countable('first'));
  await until(() => faultsOf(fleet).length >= 2, { what: 'two faults' });
  const operator = await testOperator(prefix);
  expect((await operator.lanes.status('relay')).faults).toMatchObject({ fault: 'unreachable' });
  await producer.sendMany(countableMany(40));
  faulty = false;
  const rows = await settled(producer, ['first', ...countableMany(40).map(({ id }) => id!)]);
  expect(balance(rows, [door.server])).toMatchObject({ lost: [], blindlyTwice: [], states: { sent: 41 } });
  expect(await operator.lanes.queue('relay').getGlobalConcurrency()).toBe(5);
  expect((await operator.lanes.status('relay')).faults).toBeNull();
});

test('refused recipients and messages never trip it, however many', async () => {
  const prefix = testPrefix();
  const door = await doorTo('relay', {
    script: {
      RCPT: ({ line }) => (line.includes('<no') ? '550 5.1.1 no such user' : undefined),
      '.': ({ to }) => (to[0]?.startsWith('spam') === true ? '554 5.7.1 spam' : undefined),
    },
  });
  const producer = testProducer(prefix);
  const fleet = await fleetOf(prefix, [door]);
  const messages = Array.from({ length: 40 }, (_, i) => [countable(`no${i}`), countable(`spam${i}`)]).flat();
  await producer.sendMany([...messages, ...countableMany(20)]);
  const dead = await settled(
    producer,
    messages.map(({ id }) => id!),
  );
  const sent = await settled(
    producer,
    countableMany(20).map(({ id }) => id!),
  );
  expect(balance([...dead, ...sent], [door.server])).toMatchObject({
    lost: [],
    blindlyTwice: [],
    states: { dead: 80, sent: 20 },
  });
  expect(faultsOf(fleet)).toEqual([]);
  expect((await (await testOperator(prefix)).lanes.status('relay')).faults).toBeNull();
});
