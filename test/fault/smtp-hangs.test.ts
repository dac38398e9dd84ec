/** Servers that fall silent at every phase: each silence is bounded by its own time, and no slot is lost to it. */
import { beforeAll, expect, test } from 'vitest';
import { balance, settled } from '../support/books.ts';
import { createCertificates, type Certificates } from '../../testkit/certificates.ts';
import { deafOnce } from '../support/deaf-door.ts';
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
  type Door,
  type PhaseName,
} from '../support/smtp-sender.ts';

let certificates: Certificates;
beforeAll(async () => {
  certificates = await createCertificates();
});

// Long enough for a busy machine to answer in, short enough to be waited for.
const timeouts = { connectMs: 1_500, greetingMs: 700, commandMs: 700, dataTerminationMs: 900, totalMs: 10_000 };

async function silentDoor(name: PhaseName): Promise<Door> {
  if (name !== 'body') return brokenDoor(name, { answer: 'hang', certificates, settings: { timeouts } });
  const door = await doorTo(name, {}, { timeouts });
  const deaf = await deafOnce(door.server.port);
  return { ...door, settings: { ...door.settings, port: deaf.port } };
}

test('a server that is silent at a phase costs a bounded time, no message, and no copy that is not marked', async () => {
  const prefix = testPrefix();
  const names = Object.keys(phases) as PhaseName[];
  const doors = await Promise.all(names.map(silentDoor));
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
  // Whoever waits for the reply to a whole message in vain does not know; nobody else has handed anything over.
  expectCopies(rows, doors);
  const early = ['greeting', 'ehlo', 'starttls', 'auth'];
  expectNoneBurned(rows.filter(({ connector }) => early.includes(connector ?? '')));
  const faults = of('connector-fault');
  expect(new Set(faults.map(({ connector }) => connector))).toEqual(new Set(early));
  expect(faults.every(({ fault, code }) => fault === 'unreachable' && code === 'ETIMEDOUT')).toBe(true);
});

test('a silent server holds up nobody else: another connector sends all of its mail meanwhile', async () => {
  const prefix = testPrefix();
  const silent = await doorTo('silent', { script: { CONNECT: 'hang' } });
  const well = await doorTo('well');
  const producer = testProducer(prefix);
  await sendThrough(producer, [silent], 30);
  const { of } = await startSender({ prefix, doors: [silent, well] });
  const ids = await sendThrough(producer, [well], 50);
  const rows = await settled(producer, ids.get('well')!);
  expect(balance(rows, [well.server])).toMatchObject({ lost: [], blindlyTwice: [], states: { sent: 50 } });
  // The default time for a greeting is half a minute: nothing of the silent one has come back yet.
  expect(of('connector-fault')).toEqual([]);
  await silent.server.stop();
});
