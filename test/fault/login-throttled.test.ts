/** Servers that refuse a login for a rate, a quota or their own trouble: no wrong password, and the time that they tell is kept. */
import { expect, test } from 'vitest';
import { account, allOnce } from '../support/accounting.ts';
import { testOperator } from '../support/postlane.ts';
import { deliverThrough, expectNoneBurned, failingServer, pauseScale } from '../support/smtp-sender.ts';

test.for<[string, readonly string[]]>([
  ['550 Too many messages. Try again in 92 seconds', ['throttled 92000', 'throttled 92000']],
  ['535 5.7.8 authenticate too many times', ['throttled 10000', 'throttled 20000']],
  ['451 Authentication failed: Maximum credits exceeded', ['quota 900000']],
  ['454 4.7.0 Temporary authentication failure', ['unreachable 5000', 'unreachable 10000']],
])('"%s" to AUTH pauses the lane so, and everything is sent once', async ([answer, expected]) => {
  const server = await failingServer('auth', { answer, times: expected.length });
  const { rows, of, prefix } = await deliverThrough([server], 3, { concurrency: 1 });
  expect(account(rows, [server])).toEqual(allOnce(rows.length));
  expectNoneBurned(rows);
  expect(of('connector-fault').map(({ fault, pauseMs }) => `${fault} ${pauseMs / pauseScale}`)).toEqual(expected);
  expect(of('connector-fault')[0]).toMatchObject({ code: answer.slice(0, 3) });
  expect((await (await testOperator(prefix)).lanes.status('auth')).faults).toBeNull();
});
