/** Servers that never quite fall silent: a line every few milliseconds, for ever, which no timeout for silence notices. */
import { beforeAll, expect, test } from 'vitest';
import { balance, isUncertain, settled } from '../support/books.ts';
import { createCertificates, type Certificates } from '../../testkit/certificates.ts';
import { testProducer } from '../support/postlane.ts';
import { testPrefix } from '../support/redis.ts';
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

let certificates: Certificates;
beforeAll(async () => {
  certificates = await createCertificates();
});

const names = (Object.keys(phases) as PhaseName[]).filter((name) => name !== 'body');
const timeouts = { connectMs: 1_000, greetingMs: 1_000, commandMs: 1_000, dataTerminationMs: 1_000, totalMs: 1_200 };

test('a server that trickles at a phase is given up with the time of the attempt; no copy is made that is not marked', async () => {
  const prefix = testPrefix();
  // Each line is the beginning of a reply that does not come to its end.
  const answer = { trickle: '250-wait', everyMs: 20 };
  const doors = await Promise.all(
    names.map((name) => brokenDoor(name, { answer, certificates, times: 1, settings: { timeouts } })),
  );
  const producer = testProducer(prefix);
  const ids = await sendThrough(producer, doors, 3);
  const { of } = await startSender({ prefix, doors });
  const rows = await settled(producer, [...ids.values()].flat());
  const servers = doors.map(({ server }) => server);
  expect(balance(rows, servers)).toMatchObject({ lost: [], blindlyTwice: [], states: { sent: rows.length } });
  expectCopies(rows, doors);
  const early = ['greeting', 'ehlo', 'starttls', 'auth'];
  expectNoneBurned(rows.filter(({ connector }) => early.includes(connector ?? '')));
  expect(new Set(of('connector-fault').map(({ connector }) => connector))).toEqual(new Set(early));
});

test('a yes of many lines is believed once its last line is there', async () => {
  const prefix = testPrefix();
  const door = await doorTo('relay', {
    script: { '.': ['250-2.0.0 a\n250-2.0.0 very\n250-2.0.0 long\n250 2.0.0 answer'] },
  });
  const producer = testProducer(prefix);
  const ids = await sendThrough(producer, [door], 2);
  await startSender({ prefix, doors: [door] });
  const rows = await settled(producer, [...ids.values()].flat());
  expect(balance(rows, [door.server])).toMatchObject({
    lost: [],
    blindlyTwice: [],
    knowinglyTwice: [],
    states: { sent: 2 },
  });
  expect(rows.filter(isUncertain)).toEqual([]);
});
