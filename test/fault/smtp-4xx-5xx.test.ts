/** Servers that refuse, for now or for good, at every phase: before MAIL FROM no digit of theirs kills a message. */
import { beforeAll, describe, expect, test } from 'vitest';
import { balance, copiesOf, isUncertain, settled } from '../support/books.ts';
import { createCertificates, type Certificates } from '../../testkit/certificates.ts';
import { testOperator, testProducer } from '../support/postlane.ts';
import { testPrefix } from '../support/redis.ts';
import {
  brokenDoor,
  doorTo,
  expectNoneBurned,
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

const session = ['greeting', 'ehlo', 'starttls', 'auth'] as const satisfies readonly PhaseName[];
const transaction = ['mail', 'rcpt', 'data', 'dot'] as const satisfies readonly PhaseName[];
// What a first pause of half a minute, of a minute or of five minutes is here: 30, 60 and 300 ms.
const timing = { pauseScale: 0.001 };

describe.for<[string, string, Record<(typeof session)[number], string>]>([
  ['4xx', '450 4.3.2 not now', { greeting: 'unreachable', ehlo: 'unreachable', starttls: 'tls', auth: 'unreachable' }],
  ['5xx', '554 5.7.1 never', { greeting: 'blocked', ehlo: 'config', starttls: 'tls', auth: 'auth' }],
])('%s before MAIL FROM', ([, answer, expected]) => {
  test('is a fault of the connector: no dead letter, no attempt, and all is sent once the server is well', async () => {
    const prefix = testPrefix();
    const doors = await Promise.all(session.map((name) => brokenDoor(name, { answer, certificates, times: 3 })));
    const producer = testProducer(prefix);
    const ids = await sendThrough(producer, doors, 5);
    const { of } = await startSender({ prefix, doors, timing });
    const rows = await settled(producer, [...ids.values()].flat());
    const servers = doors.map(({ server }) => server);
    expect(balance(rows, servers)).toEqual({
      lost: [],
      blindlyTwice: [],
      knowinglyTwice: [],
      states: { sent: rows.length },
    });
    expectNoneBurned(rows);
    expect(of('dead')).toEqual([]);
    for (const name of session) {
      const faults = of('connector-fault').filter(({ connector }) => connector === name);
      expect([name, ...new Set(faults.map(({ fault }) => fault))]).toEqual([name, expected[name]]);
      expect(of('connector-recovered').filter(({ connector }) => connector === name)).toHaveLength(1);
    }
  });
});

test('4xx within the transaction defers the message, each time counted, and never more than one copy is taken', async () => {
  const prefix = testPrefix();
  const answer = '451 4.3.0 local error in processing';
  const scripts = transaction.map((name) => doorTo(name, { script: { [phases[name]]: [answer, answer] } }));
  const doors = await Promise.all(scripts);
  const producer = testProducer(prefix);
  const ids = await sendThrough(producer, doors, 1);
  const { of } = await startSender({ prefix, doors });
  const rows = await settled(producer, [...ids.values()].flat());
  const servers = doors.map(({ server }) => server);
  expect(balance(rows, servers)).toEqual({ lost: [], blindlyTwice: [], knowinglyTwice: [], states: { sent: 4 } });
  expect(rows.map(({ attempts }) => attempts)).toEqual([3, 3, 3, 3]);
  for (const row of rows) {
    expect(row.history.map(({ event }) => event)).toEqual(['routed', 'deferred', 'deferred', 'sent']);
    expect(row.history[1]?.detail).toBe('local error in processing');
  }
  expect(rows.filter(isUncertain)).toEqual([]);
  expect(of('connector-fault')).toEqual([]);
});

test('5xx within the transaction is the end of that message alone, with its reply in the dead letter', async () => {
  const prefix = testPrefix();
  const refused = (line: string): boolean => line.includes('bad');
  const doors = await Promise.all(
    transaction.map((name) =>
      doorTo(name, {
        script: {
          // MAIL does not name the recipient, so the sender tells.
          [phases[name]]: ({ line, to }) => (refused(`${line} ${to.join()}`) ? '550 5.6.0 not this one' : undefined),
        },
      }),
    ),
  );
  const producer = testProducer(prefix);
  const good = await sendThrough(producer, doors, 3);
  for (const { id } of doors) {
    const envelope = { from: id === 'mail' ? 'bad@example.com' : `${id}@example.com`, to: [`bad-${id}@example.net`] };
    await producer.send({
      id: `bad-${id}`,
      from: `${id}@example.com`,
      to: `bad-${id}@example.net`,
      text: 'x',
      envelope,
    });
  }
  const { of } = await startSender({ prefix, doors });
  const rows = await settled(producer, [...good.values()].flat());
  const dead = await settled(
    producer,
    doors.map(({ id }) => `bad-${id}`),
  );
  const servers = doors.map(({ server }) => server);
  expect(balance([...rows, ...dead], servers)).toMatchObject({
    lost: [],
    blindlyTwice: [],
    states: { sent: 12, dead: 4 },
  });
  const { deadLetters } = await testOperator(prefix);
  for (const row of dead) {
    expect(row).toMatchObject({ state: 'dead', reason: 'rejected', attempts: 1 });
    expect(copiesOf(row.id, servers)).toBe(0);
    expect(await deadLetters.get(row.id)).toMatchObject({
      reason: 'rejected',
      reply: 'not this one',
      recipients: [{ code: '550' }],
    });
  }
  expect(of('connector-fault')).toEqual([]);
});

test('5xx for as long as it lasts: what waits behind a blocked greeting is neither counted nor buried', async () => {
  const prefix = testPrefix();
  let blocked = true;
  const door = await doorTo('relay', { script: { CONNECT: () => (blocked ? '554 5.7.1 go away' : undefined) } });
  const producer = testProducer(prefix);
  const ids = await sendThrough(producer, [door], 20);
  const { of } = await startSender({ prefix, doors: [door], timing: { pauseScale: 0.000_2 } });
  await until(() => of('connector-fault').length >= 8, { what: 'eight refused probes' });
  expect(await producer.status(ids.get('relay')![0]!)).toMatchObject({ state: 'queued', attempts: 0 });
  blocked = false;
  const rows = await settled(producer, ids.get('relay')!);
  expect(balance(rows, [door.server])).toMatchObject({ lost: [], blindlyTwice: [], states: { sent: 20 } });
  expectNoneBurned(rows);
});
