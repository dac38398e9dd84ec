/** Redis is killed (SIGKILL) and restarted from its append-only file, again and again, while producers and workers use it. */
import { expect, test } from 'vitest';
import { balance, countable, countableMany, settled, sink } from '../support/books.ts';
import { sendUntilAccepted, ownRedis } from '../support/own-redis.ts';
import { testProducer } from '../support/postlane.ts';
import { quietServer } from '../support/quiet-server.ts';
import { until } from '../../testkit/until.ts';
import { startWorkerProcess } from '../support/worker-process.ts';

const rounds = 4;
const perRound = 150;

test('killed and restarted under load: what was accepted is sent, and nothing twice without a mark', async () => {
  const redis = await ownRedis();
  const prefix = '{restarted}';
  const producer = testProducer(prefix, { url: redis.url, timeoutMs: 1_000 });
  const server = await sink();
  const options = { prefix, url: redis.url, connectors: { relay: { port: server.port, concurrency: 4 } } };
  const workers = [await startWorkerProcess(options), await startWorkerProcess(options)];
  const ids: string[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const messages = countableMany(perRound, `r${round}-`);
    const taken = server.received.transactions.length;
    const accepting = sendUntilAccepted(producer, messages);
    await until(() => server.received.transactions.length > taken + 20, { what: 'mail to be under way' });
    await redis.kill();
    await redis.restart();
    await accepting;
    ids.push(...messages.map(({ id }) => id!));
  }
  const rows = await settled(producer, ids);
  expect(balance(rows, [server])).toMatchObject({ lost: [], blindlyTwice: [], states: { sent: rounds * perRound } });
  for (const worker of workers) expect(await worker.stop()).toEqual({ code: 0, signal: null });
});

test('killed while a send is under way: the worker that made it still settles it, one copy', async () => {
  const redis = await ownRedis();
  const prefix = '{restarted}';
  const producer = testProducer(prefix, { url: redis.url, timeoutMs: 1_000 });
  const { server, asked, speak } = await quietServer('.');
  await startWorkerProcess({ prefix, url: redis.url, connectors: { relay: { port: server.port } } });
  await sendUntilAccepted(producer, [countable('m')]);
  await until(asked, { what: 'the server to have the message' });
  await redis.kill();
  speak();
  await until(() => server.received.transactions.length === 1, { what: 'the server to take it' });
  await redis.restart();
  const rows = await until(() => settled(producer, ['m']), { what: 'it to be settled' });
  expect(rows).toMatchObject([{ state: 'sent', attempts: 1 }]);
  expect(balance(rows, [server])).toEqual({ lost: [], blindlyTwice: [], knowinglyTwice: [], states: { sent: 1 } });
});
