/** Servers that end the connection, politely or by a reset, at every phase, and work again later. */
import { expect, test } from 'vitest';
import { account, allOnce, allSent, settled } from '../support/accounting.ts';
import { testProducer } from '../support/postlane.ts';
import { testPrefix } from '../support/redis.ts';
import { startSmtpServer } from '../../testkit/smtp/server.ts';
import {
  deliverThrough,
  expectCopies,
  expectNoneBurned,
  expectSessionFaults,
  failingServers,
  phaseNames,
  sendThrough,
  serverFor,
  startSender,
} from '../support/smtp-sender.ts';
import { until } from '../../testkit/until.ts';

test.for(['close', 'reset'] as const)(
  'a %s at any phase leads to a second copy only where the server had the whole message and its reply is unknown',
  async (answer) => {
    const servers = await failingServers(phaseNames, { answer });
    const delivered = await deliverThrough(servers, 3);
    expect(account(delivered.rows, servers)).toEqual(allOnce(delivered.rows.length));
    expectCopies(delivered.rows, servers);
    expectSessionFaults(delivered);
  },
);

test('a server that is down costs no attempt and gets every message once it is up', async () => {
  const prefix = testPrefix();
  const relay = await serverFor('relay');
  await relay.stop();
  const producer = testProducer(prefix);
  const ids = await sendThrough(producer, [relay], 5);
  const { of } = await startSender({ prefix, servers: [relay] });
  await until(() => of('connector-fault').length >= 2, { what: 'two failed probes' });
  const back = await startSmtpServer({ port: relay.settings.port });
  try {
    const rows = await settled(producer, ids.get('relay')!);
    expect(account(rows, [back])).toMatchObject(allSent(5));
    expectNoneBurned(rows);
    const faults = of('connector-fault').map(({ fault, code }) => `${fault} ${code}`);
    expect(new Set(faults)).toEqual(new Set(['unreachable ECONNREFUSED']));
  } finally {
    await back.stop();
  }
});
