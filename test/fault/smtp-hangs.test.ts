/** Servers that stop answering at every phase: each silence ends after its own timeout, and no slot is lost to it. */
import { expect, onTestFinished, test } from 'vitest';
import { account, allOnce, allSent, settled } from '../support/accounting.ts';
import { testProducer } from '../support/postlane.ts';
import { testPrefix } from '../support/redis.ts';
import {
  deliverThrough,
  expectCopies,
  expectSessionFaults,
  failingServer,
  phaseNames,
  sendThrough,
  serverFor,
  startSender,
  type ConnectorServer,
  type PhaseName,
} from '../support/smtp-sender.ts';
import { startStallingProxy } from '../../testkit/stalling-proxy.ts';

// Long enough for a busy machine to answer in, short enough to be waited for.
const timeouts = { connectMs: 5_000, greetingMs: 1_500, commandMs: 1_500, dataTerminationMs: 1_500, totalMs: 20_000 };

async function silentServer(phase: PhaseName): Promise<ConnectorServer> {
  if (phase !== 'body') return failingServer(phase, { answer: 'hang', settings: { timeouts } });
  const server = await serverFor(phase, {}, { timeouts });
  const proxy = await startStallingProxy(server.port);
  onTestFinished(() => proxy.stop());
  return { ...server, settings: { ...server.settings, port: proxy.port } };
}

test('a server that goes silent at any phase costs a bounded time, no message, and no unmarked copy', async () => {
  const servers = await Promise.all(phaseNames.map(silentServer));
  const delivered = await deliverThrough(servers, 3);
  expect(account(delivered.rows, servers)).toEqual(allOnce(delivered.rows.length));
  // Only the attempt that waits in vain for the reply to a whole message is uncertain.
  expectCopies(delivered.rows, servers);
  expectSessionFaults(delivered);
  const faults = delivered.of('connector-fault').map(({ fault, code }) => `${fault} ${code}`);
  expect(new Set(faults)).toEqual(new Set(['unreachable ETIMEDOUT']));
});

test('another connector sends all of its messages while a silent server holds its slots', async () => {
  const prefix = testPrefix();
  const silent = await serverFor('silent', { script: { CONNECT: 'hang' } }, { timeouts: { greetingMs: 600_000 } });
  const healthy = await serverFor('healthy');
  const producer = testProducer(prefix);
  await sendThrough(producer, [silent], 30);
  const { of } = await startSender({ prefix, servers: [silent, healthy] });
  const ids = await sendThrough(producer, [healthy], 50);
  const rows = await settled(producer, ids.get('healthy')!);
  expect(account(rows, [healthy])).toMatchObject(allSent(50));
  // No wait for the greeting of the silent server has ended yet.
  expect(of('connector-fault')).toEqual([]);
  await silent.stop();
});
