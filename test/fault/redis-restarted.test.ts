/** Redis is killed (SIGKILL) and restarted from its append-only file, again and again, while producers and workers use it. */
import { expect, test } from 'vitest';
import { account, allOnce, allSent, countable, countableMany, settled, sink } from '../support/accounting.ts';
import { sendUntilAccepted, ownRedis } from '../support/own-redis.ts';
import { pausedServer } from '../support/paused-server.ts';
import { testProducer } from '../support/postlane.ts';
import { until } from '../../testkit/until.ts';
import { startWorkerProcess } from '../support/worker-process.ts';

const prefix = '{restarted}';
const rounds = 3;
const perRound = 150;

test('a Redis that is killed and restarted under load has every accepted message sent, and no unmarked second copy', async () => {
  const redis = await ownRedis();
  const producer = testProducer(prefix, { url: redis.url, timeoutMs: 1_000 });
  const server = await sink();
  const connectors = { relay: { port: server.port, concurrency: 4 } };
  // Short, as a job whose worker never got Redis' reply waits for the end of its lock.
  const options = { prefix, url: redis.url, connectors, timing: { lockMs: 5_000 } };
  const workers = [await startWorkerProcess(options), await startWorkerProcess(options)];
  const messages = Array.from({ length: rounds }, (_, round) => countableMany(perRound, `r${round}-`));
  for (const round of messages) {
    const taken = server.received.transactions.length;
    const accepting = sendUntilAccepted(producer, round);
    await until(() => server.received.transactions.length > taken + 20, { what: 'mail to be under way' });
    await redis.kill();
    await redis.restart();
    await accepting;
  }
  const rows = await settled(producer, messages.flat());
  expect(account(rows, [server])).toMatchObject(allSent(rounds * perRound));
  for (const worker of workers) expect(await worker.stop()).toEqual({ code: 0, signal: null });
});

test('a Redis that is killed during a send gets the result from the worker that made it: one copy', async () => {
  const redis = await ownRedis();
  const producer = testProducer(prefix, { url: redis.url, timeoutMs: 1_000 });
  const { server, reached, release } = await pausedServer('.');
  const connectors = { relay: { port: server.port } };
  await startWorkerProcess({ prefix, url: redis.url, connectors, timing: { lateResultMs: 120_000 } });
  await sendUntilAccepted(producer, [countable('m')]);
  await until(reached, { what: 'the server to have the message' });
  await redis.kill();
  release();
  await until(() => server.received.transactions.length === 1, { what: 'the server to accept it' });
  await redis.restart();
  const rows = await settled(producer, ['m']);
  expect(rows).toMatchObject([{ state: 'sent', attempts: 1 }]);
  expect(account(rows, [server])).toEqual(allOnce(1));
});
