/** The breaker of a connector, shared by a fleet: one probe at a time, growing pauses, full speed after the first success. */
import { expect, test } from 'vitest';
import { account, allOnce, allSent, countable, countableMany, settled } from '../support/accounting.ts';
import { testOperator, testProducer, type TestWorker } from '../support/postlane.ts';
import { testPrefix } from '../support/redis.ts';
import { expectNoneBurned, serverFor, startSender, type ConnectorServer } from '../support/smtp-sender.ts';
import { holds, until } from '../../testkit/until.ts';

const fleetOf = (prefix: string, server: ConnectorServer, random = Math.random): Promise<TestWorker[]> =>
  Promise.all(['one', 'two', 'three'].map((name) => startSender({ prefix, servers: [server], name, random })));

const faultsOf = (fleet: readonly TestWorker[]) => fleet.flatMap(({ of }) => of('connector-fault'));

test('while faults last, the whole fleet sends one probe at a time, after pauses that double', async () => {
  const prefix = testPrefix();
  let healthy = false;
  const relay = await serverFor('relay', { script: { CONNECT: () => (healthy ? undefined : 'close') } });
  const producer = testProducer(prefix);
  const fleet = await fleetOf(prefix, relay);
  // The first fault is found by one message alone; later messages wait behind it, and wake all workers.
  await producer.send(countable('first'));
  await until(() => faultsOf(fleet).length === 1, { what: 'the first fault' });
  await producer.sendMany(countableMany(100));
  await until(() => faultsOf(fleet).length >= 6, { what: 'six faults' });

  // Connections and faults are one to one. Two probes at once would have shared a fault, as it counts once in a pause.
  const faults = faultsOf(fleet).toSorted((a, b) => a.faults - b.faults);
  expect(faults.map((fault) => fault.faults)).toEqual(faults.map((_, index) => index + 1));
  expect(relay.received.connections).toBeLessThanOrEqual(faults.length + 1);
  expect(relay.received.highWater).toBe(1);
  // A first pause of 5 s is 50 ms by the scale.
  expect(faults.slice(0, 6).map(({ pauseMs }) => pauseMs)).toEqual([50, 100, 200, 400, 800, 1600]);
  // Each probe is the message that has waited longest.
  expect(new Set(faults.map(({ id }) => id))).toEqual(new Set(['first']));

  healthy = true;
  const rows = await settled(producer, ['first', ...countableMany(100)]);
  expect(account(rows, [relay])).toEqual(allOnce(101));
  expectNoneBurned(rows);
  expect(fleet.flatMap(({ of }) => of('connector-recovered'))).toHaveLength(1);
});

test('a probe that takes long stays the only one', async () => {
  const prefix = testPrefix();
  const released = Promise.withResolvers<void>();
  const relay = await serverFor('relay', {
    script: {
      CONNECT: async ({ connection }) => {
        if (connection === 1) return 'close';
        if (connection === 2) await released.promise;
        return undefined;
      },
    },
  });
  const producer = testProducer(prefix);
  const fleet = await fleetOf(prefix, relay);
  await producer.send(countable('first'));
  await until(() => faultsOf(fleet).length === 1, { what: 'the first fault' });
  await producer.sendMany(countableMany(30));
  await until(() => relay.received.connections === 2, { what: 'the probe' });
  // Twenty pauses long, and through several rounds of maintenance, which give lanes their limits back.
  await holds(() => relay.received.connections === 2, { what: 'one probe alone', forMs: 1_000 });
  released.resolve();
  const rows = await settled(producer, ['first', ...countableMany(30)]);
  expect(account(rows, [relay])).toMatchObject(allSent(31));
});

test('the first success gives the lane its concurrency back', async () => {
  const prefix = testPrefix();
  let faulty = true;
  let together = 0;
  const five = Promise.withResolvers<void>();
  const relay = await serverFor('relay', {
    script: {
      CONNECT: () => (faulty ? '454 4.3.0 not now' : undefined),
      // After the recovery, no message but the probe is answered before five are there at the same time.
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
  const fleet = await fleetOf(prefix, relay);
  await producer.send(countable('first'));
  await until(() => faultsOf(fleet).length >= 2, { what: 'two faults' });
  const operator = await testOperator(prefix);
  expect((await operator.lanes.status('relay')).faults).toMatchObject({ fault: 'unreachable' });
  await producer.sendMany(countableMany(40));
  faulty = false;
  const rows = await settled(producer, ['first', ...countableMany(40)]);
  expect(account(rows, [relay])).toMatchObject(allSent(41));
  expect(await operator.lanes.queue('relay').getGlobalConcurrency()).toBe(5);
  expect((await operator.lanes.status('relay')).faults).toBeNull();
});

test('rejected recipients and messages never open the breaker, however many, while others are accepted', async () => {
  const prefix = testPrefix();
  const relay = await serverFor('relay', {
    script: {
      RCPT: ({ line }) => (line.includes('<no') ? '550 5.1.1 no such user' : undefined),
      '.': ({ to }) => (to[0]?.startsWith('spam') === true ? '554 5.7.1 spam' : undefined),
    },
  });
  const producer = testProducer(prefix);
  const fleet = await fleetOf(prefix, relay, () => 0.999_999);
  // Each one that is refused for its content has accepted ones behind it, which chance would have to find.
  const many = Array.from({ length: 200 }, (_, i) => countable(`${i < 40 ? 'no' : i % 8 === 0 ? 'spam' : 'good'}${i}`));
  await producer.sendMany(many);
  const rows = await settled(producer, many);
  expect(account(rows, [relay])).toMatchObject({ lost: [], blindlyTwice: [], states: { dead: 60, sent: 140 } });
  expect(faultsOf(fleet)).toEqual([]);
  expect((await (await testOperator(prefix)).lanes.status('relay')).faults).toBeNull();
});
