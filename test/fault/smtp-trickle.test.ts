/** Servers that send a line every few milliseconds for ever, which no timeout for silence notices. */
import { expect, test } from 'vitest';
import { account, allOnce, allSent, isUncertain } from '../support/accounting.ts';
import {
  deliverThrough,
  expectCopies,
  expectSessionFaults,
  failingServers,
  phaseNames,
  serverFor,
} from '../support/smtp-sender.ts';

const names = phaseNames.filter((name) => name !== 'body');
const timeouts = { connectMs: 5_000, greetingMs: 2_000, commandMs: 2_000, dataTerminationMs: 2_000, totalMs: 2_500 };

test('a server that trickles at any phase is given up when the attempt’s time is over, without an unmarked copy', async () => {
  // Each line is the beginning of a reply that never ends.
  const answer = { trickle: '250-wait', everyMs: 20 };
  const servers = await failingServers(names, { answer, times: 1, settings: { timeouts } });
  const delivered = await deliverThrough(servers, 3);
  expect(account(delivered.rows, servers)).toMatchObject(allSent(delivered.rows.length));
  expectCopies(delivered.rows, servers);
  expectSessionFaults(delivered);
});

test('an acceptance of several lines counts once its last line is there', async () => {
  const server = await serverFor('relay', {
    script: { '.': ['250-2.0.0 a\n250-2.0.0 very\n250-2.0.0 long\n250 2.0.0 answer'] },
  });
  const { rows } = await deliverThrough([server], 2);
  expect(account(rows, [server])).toEqual(allOnce(2));
  expect(rows.filter(isUncertain)).toEqual([]);
});
