/** What servers say before MAIL FROM: a login refused for a rate, a quota or trouble is no wrong password, and all of the text is kept. */
import { expect, test } from 'vitest';
import { account, allOnce } from '../support/accounting.ts';
import { testOperator, testProducer } from '../support/postlane.ts';
import { testPrefix } from '../support/redis.ts';
import {
  deliverThrough,
  expectNoneBurned,
  failingServer,
  pauseScale,
  sendThrough,
  serverFor,
  startSender,
} from '../support/smtp-sender.ts';
import { until } from '../../testkit/until.ts';

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

test('a greeting of several lines is shown with all of them while its lane pauses', async () => {
  const server = await serverFor('greeting', { script: { CONNECT: '554-mx.example.com\n554-No service\n554 ask us' } });
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  await sendThrough(producer, [server], 1);
  const { of } = await startSender({ prefix, servers: [server] });
  await until(() => of('connector-fault').length > 0, { what: 'the fault' });
  const reply = 'mx.example.com No service ask us';
  expect(of('connector-fault')[0]).toMatchObject({ fault: 'blocked', code: '554', reply });
  const { faults } = await (await testOperator(prefix)).lanes.status('greeting');
  expect(faults).toMatchObject({ fault: 'blocked', reply });
});
