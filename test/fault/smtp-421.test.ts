/** Servers that say 421 at any phase: they close, so nobody's attempt is counted, the order is kept, and told times are obeyed. */
import { beforeAll, expect, test } from 'vitest';
import { balance, settled } from '../support/books.ts';
import { createCertificates, type Certificates } from '../../testkit/certificates.ts';
import { testOperator, testProducer } from '../support/postlane.ts';
import { testPrefix } from '../support/redis.ts';
import {
  brokenDoor,
  doorTo,
  expectNoneBurned,
  login,
  pauseScale,
  phases,
  sendThrough,
  startSender,
  type PhaseName,
} from '../support/smtp-sender.ts';
import { until } from '../../testkit/until.ts';

let certificates: Certificates;
beforeAll(async () => {
  certificates = await createCertificates();
});

const beforeTheEnd = (Object.keys(phases) as PhaseName[]).filter((name) => name !== 'dot');

test('at every phase before the end of the message: no attempt is counted, and the order is kept', async () => {
  const prefix = testPrefix();
  const answer = '421 4.7.0 busy, try again in 20 seconds';
  const doors = await Promise.all(beforeTheEnd.map((name) => brokenDoor(name, { answer, certificates })));
  const producer = testProducer(prefix);
  const ids = await sendThrough(producer, doors, 4);
  const { of } = await startSender({ prefix, doors, concurrency: 1 });
  const rows = await settled(producer, [...ids.values()].flat());
  expect(
    balance(
      rows,
      doors.map(({ server }) => server),
    ),
  ).toEqual({
    lost: [],
    blindlyTwice: [],
    knowinglyTwice: [],
    states: { sent: rows.length },
  });
  expectNoneBurned(rows);
  for (const { id, server } of doors) {
    const order = server.received.transactions.map(({ to }) => to[0]?.split('@')[0]);
    expect(order).toEqual(ids.get(id));
    const faults = of('connector-fault').filter(({ connector }) => connector === id);
    expect(faults.map(({ fault, faults: count }) => [id, fault, count])).toEqual([
      [id, 'throttled', 1],
      [id, 'throttled', 2],
    ]);
    // As told each time, and not the growing pause of a fault that names none.
    expect(faults.map(({ pauseMs }) => pauseMs)).toEqual([20_000 * pauseScale, 20_000 * pauseScale]);
  }
});

test('the told pause is kept to: nobody connects before it is over, whoever has mail', async () => {
  const prefix = testPrefix();
  const times: number[] = [];
  const door = await doorTo('relay', {
    script: {
      CONNECT: ({ connection }) => {
        times.push(performance.now());
        return connection <= 3 ? '421 4.7.0 wait 60 seconds' : undefined;
      },
    },
  });
  const producer = testProducer(prefix);
  await startSender({ prefix, doors: [door], name: 'one' });
  await startSender({ prefix, doors: [door], name: 'two' });
  const first = await sendThrough(producer, [door], 1);
  await until(() => times.length >= 1, { what: 'the first connection' });
  const more = Array.from({ length: 20 }, (_, i) => ({
    id: `more-${i}`,
    from: 'relay@example.com',
    to: `more-${i}@example.net`,
    text: 'x',
  }));
  await producer.sendMany(more);
  const rows = await settled(producer, [...first.get('relay')!, ...more.map(({ id }) => id)]);
  expect(balance(rows, [door.server])).toMatchObject({ lost: [], blindlyTwice: [], states: { sent: 21 } });
  const gaps = times.slice(1, 4).map((time, index) => time - times[index]!);
  // 60 s by the scale; the clocks of Redis and of this process may differ by a few ms.
  expect(Math.min(...gaps)).toBeGreaterThan(60_000 * pauseScale - 20);
});

test('after the final dot it defers that message, slows the connector down, and is no fault of it', async () => {
  const prefix = testPrefix();
  const door = await doorTo('dot', { script: { '.': ['421 4.3.0 shutting down'] } });
  const producer = testProducer(prefix);
  const ids = await sendThrough(producer, [door], 3);
  const { of } = await startSender({ prefix, doors: [door], concurrency: 1 });
  const rows = await settled(producer, [...ids.values()].flat());
  expect(balance(rows, [door.server])).toMatchObject({
    lost: [],
    blindlyTwice: [],
    knowinglyTwice: [],
    states: { sent: 3 },
  });
  // A 421 is an answer: the server does not have the message.
  expect(rows.map(({ attempts }) => attempts)).toEqual([2, 1, 1]);
  expect(of('connector-fault')).toEqual([]);
  expect((await (await testOperator(prefix)).lanes.status('dot')).faults).toBeNull();
});

test('in the middle of a session that worked leaves what was accepted, and the rest goes through a new one', async () => {
  const prefix = testPrefix();
  let mails = 0;
  const door = await doorTo(
    'mail',
    {
      auth: login,
      script: {
        MAIL: ({ connection }) => {
          mails += 1;
          return connection === 1 && mails === 3 ? '421 4.7.0 too many messages in this session' : undefined;
        },
      },
    },
    { auth: login, allowInsecureAuth: true },
  );
  const producer = testProducer(prefix);
  const ids = await sendThrough(producer, [door], 6);
  await startSender({ prefix, doors: [door], concurrency: 1 });
  const rows = await settled(producer, [...ids.values()].flat());
  expect(balance(rows, [door.server])).toMatchObject({ lost: [], blindlyTwice: [], states: { sent: 6 } });
  expectNoneBurned(rows);
  expect(door.server.received.connections).toBe(2);
});
