/** Servers that end the connection, politely or by a reset, at every phase, and are well again later. */
import { beforeAll, describe, expect, test } from 'vitest';
import { balance, settled } from '../support/books.ts';
import { createCertificates, type Certificates } from '../../testkit/certificates.ts';
import { testProducer } from '../support/postlane.ts';
import { testPrefix } from '../support/redis.ts';
import { startSmtpServer } from '../../testkit/smtp/server.ts';
import {
  brokenDoor,
  doorTo,
  expectCopies,
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

describe.for(['close', 'reset'] as const)('a server that does this: %s', (answer) => {
  test('at every phase gets each message once, and twice only where it had it whole and nobody knows', async () => {
    const prefix = testPrefix();
    const names = Object.keys(phases) as PhaseName[];
    const doors = await Promise.all(names.map((name) => brokenDoor(name, { answer, certificates })));
    const producer = testProducer(prefix);
    const ids = await sendThrough(producer, doors, 3);
    const { of } = await startSender({ prefix, doors });
    const rows = await settled(producer, [...ids.values()].flat());

    const servers = doors.map(({ server }) => server);
    expect(balance(rows, servers)).toEqual({
      lost: [],
      blindlyTwice: [],
      knowinglyTwice: [],
      states: { sent: rows.length },
    });
    expectCopies(rows, doors);
    // Before MAIL FROM it concerns the connector: no message's attempt is counted.
    const early = ['greeting', 'ehlo', 'starttls', 'auth'];
    expectNoneBurned(rows.filter(({ connector }) => early.includes(connector ?? '')));
    expect(new Set(of('connector-fault').map(({ connector }) => connector))).toEqual(new Set(early));
  });
});

test('a server that is not there at all costs no attempt, and gets everything when it comes', async () => {
  const prefix = testPrefix();
  const door = await doorTo('relay');
  await door.server.stop();
  const producer = testProducer(prefix);
  const ids = await sendThrough(producer, [door], 5);
  const { of } = await startSender({ prefix, doors: [door] });
  await until(() => of('connector-fault').length >= 2, { what: 'two failed probes' });
  const back = await startSmtpServer({ port: door.settings.port });
  try {
    const rows = await settled(producer, [...ids.values()].flat());
    expect(balance(rows, [back])).toMatchObject({ lost: [], blindlyTwice: [], states: { sent: 5 } });
    expectNoneBurned(rows);
    expect(of('connector-fault').every(({ fault, code }) => fault === 'unreachable' && code === 'ECONNREFUSED')).toBe(
      true,
    );
  } finally {
    await back.stop();
  }
});
