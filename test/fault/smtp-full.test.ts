/** A server that takes so many connections and resets all others, as sendmail does at MaxDaemonChildren: its lane gets narrower. */
import { expect, test } from 'vitest';
import { account, allOnce } from '../support/accounting.ts';
import { deliverThrough, expectNoneBurned, pauseScale, serverFor } from '../support/smtp-sender.ts';

test('a full server lowers the concurrency of the lane instead of stopping it: everything is sent, with few refused connections', async () => {
  let refused = 0;
  const server = await serverFor('full', {
    script: {
      CONNECT: () => {
        if (server.received.openConnections <= 2) return undefined;
        refused += 1;
        return 'reset';
      },
    },
  });
  const { rows, of } = await deliverThrough([server], 60, { concurrency: 5 });
  expect(account(rows, [server])).toEqual(allOnce(60));
  expectNoneBurned(rows);
  const faults = of('connector-fault');
  // The first connections may race with each other before any of them is known to work.
  expect(faults.filter(({ fault }) => fault === 'throttled').length).toBeGreaterThan(0);
  expect(refused).toBeLessThan(20);
  expect(new Set(faults.filter(({ fault }) => fault === 'throttled').map(({ pauseMs }) => pauseMs))).toEqual(
    new Set([1_000 * pauseScale]),
  );
});
