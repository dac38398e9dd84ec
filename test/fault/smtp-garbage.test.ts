/** Servers that send garbage at every phase: noise, control characters, endless lines and replies. */
import { expect, test } from 'vitest';
import { account, isUncertain } from '../support/accounting.ts';
import { deliverThrough, failingServers, handedOver, phaseNames } from '../support/smtp-sender.ts';

const names = phaseNames.filter((name) => name !== 'body');
// Silence ends an attempt after this time, so it is long enough for a busy machine and short enough to wait for.
const timeouts = { greetingMs: 1_500, commandMs: 1_500, dataTerminationMs: 1_500, totalMs: 15_000 };

test.for<[string, string, 'refusal'?]>([
  ['words', 'HTTP/1.1 400 Bad Request'],
  ['an empty line', ''],
  ['digits that are not a reply code', '99999'],
  ['control characters and half a character', '\u0000\u0001\u0007\u001b[2J\u009b\ufffd\u202e'],
  ['a line of a megabyte', 'x'.repeat(1_000_000)],
  ['a refusal of a megabyte in one line', `450 4.3.0 ${'y'.repeat(1_000_000)}`, 'refusal'],
  ['a refusal of ten thousand lines', `${'450-4.3.0 and so on\n'.repeat(10_000)}450 4.3.0 the end`, 'refusal'],
  ['lines that disagree on the code', '450-4.3.0 no\n250-yes\n554 perhaps'],
])(
  'a server that sends %s at any phase costs no message and no unmarked copy, and its text is kept short and clean',
  async ([, answer, kind]) => {
    const servers = await failingServers(names, { answer, settings: { timeouts }, times: 1 });
    const { rows, events } = await deliverThrough(servers, 2, { concurrency: 1, timing: { pauseScale: 0.001 } });

    expect(account(rows, servers)).toMatchObject({ lost: [], blindlyTwice: [] });
    for (const { id, state } of rows) expect(`${id} ${state}`).toMatch(/ sent$/);
    for (const server of servers) {
      for (const row of rows.filter(({ id }) => id.startsWith(`${server.id}-`))) {
        // A refusal is an answer, and may be followed by another attempt; garbage after a whole message is none.
        const answered = server.id === 'dot' && kind === 'refusal';
        expect([row.id, handedOver(row.id, server) === 1 || answered || isUncertain(row)]).toEqual([row.id, true]);
      }
    }
    const details = rows.flatMap(({ history }) => history.map(({ detail = '' }) => detail.length));
    expect(Math.max(...details)).toBeLessThan(600);
    const shown = JSON.stringify([rows, events]);
    // oxlint-disable-next-line no-control-regex -- control characters are what must not be there
    expect(shown).not.toMatch(/\\u00(?:0|1|8|9)|[\u007f-\u009f\u202e]|x{600}|y{600}/);
  },
);
