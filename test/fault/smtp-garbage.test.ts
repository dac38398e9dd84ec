/** Servers that speak nonsense at every phase: noise, control characters, lines and replies without measure. */
import { beforeAll, describe, expect, test } from 'vitest';
import { balance, isUncertain, settled } from '../support/books.ts';
import { createCertificates, type Certificates } from '../../testkit/certificates.ts';
import { testProducer } from '../support/postlane.ts';
import { testPrefix } from '../support/redis.ts';
import { brokenDoor, handedOver, phases, sendThrough, startSender, type PhaseName } from '../support/smtp-sender.ts';

let certificates: Certificates;
beforeAll(async () => {
  certificates = await createCertificates();
});

const names = (Object.keys(phases) as PhaseName[]).filter((name) => name !== 'body');
const timeouts = { greetingMs: 700, commandMs: 700, dataTerminationMs: 700, totalMs: 8_000 };

describe.for<[string, string, 'refusal'?]>([
  ['words', 'HTTP/1.1 400 Bad Request'],
  ['an empty line', ''],
  ['digits that are no code', '99999'],
  ['control characters and half a character', '\u0000\u0001\u0007\u001b[2J\u009b\ufffd\u202e'],
  ['a line of a megabyte', 'x'.repeat(1_000_000)],
  ['a refusal of a megabyte in one line', `450 4.3.0 ${'y'.repeat(1_000_000)}`, 'refusal'],
  ['a refusal of ten thousand lines', `${'450-4.3.0 and so on\n'.repeat(10_000)}450 4.3.0 the end`, 'refusal'],
  ['lines that disagree on the code', '450-4.3.0 no\n250-yes\n554 perhaps'],
])('a server that says %s', ([, answer, kind]) => {
  const refusal = kind === 'refusal';

  test('at every phase loses nothing, doubles nothing blindly, and leaves only short and clean replies', async () => {
    const prefix = testPrefix();
    const settings = { timeouts };
    const doors = await Promise.all(
      names.map((name) => brokenDoor(name, { answer, certificates, settings, times: 1 })),
    );
    const producer = testProducer(prefix);
    const ids = await sendThrough(producer, doors, 2);
    const { events } = await startSender({ prefix, doors, concurrency: 1, timing: { pauseScale: 0.001 } });
    const rows = await settled(producer, [...ids.values()].flat());

    expect(
      balance(
        rows,
        doors.map(({ server }) => server),
      ),
    ).toMatchObject({ lost: [], blindlyTwice: [] });
    for (const { id, state } of rows) expect(`${id} ${state}`).toMatch(/ sent$/);
    for (const { id: phase, server } of doors) {
      for (const row of rows.filter(({ id }) => id.startsWith(`${phase}-`))) {
        // A refusal is an answer, and may be followed by another try; noise after a whole message is no answer.
        const answered = phase === 'dot' && refusal;
        expect([row.id, handedOver(row.id, server) === 1 || answered || isUncertain(row)]).toEqual([row.id, true]);
      }
    }
    const said = JSON.stringify([rows, events]);
    expect(Math.max(...rows.flatMap(({ history }) => history.map(({ detail = '' }) => detail.length)))).toBeLessThan(
      600,
    );
    // oxlint-disable-next-line no-control-regex -- control characters are what must not be there
    expect(said).not.toMatch(/\\u00(?:0|1|8|9)|[\u007f-\u009f\u202e]|x{600}|y{600}/);
  });
});
