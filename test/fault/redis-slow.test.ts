/** Redis answers late: 200 ms for every message in each direction. Everything takes longer, and nothing else changes. */
import { expect, onTestFinished, test } from 'vitest';
import { account, allOnce, countable, countableMany, isUncertain, settled, sink } from '../support/accounting.ts';
import { testProducer } from '../support/postlane.ts';
import { redisUrl, testPrefix } from '../support/redis.ts';
import { startTcpProxy, type TcpProxy } from '../../testkit/tcp-proxy.ts';
import { startWorkerProcess } from '../support/worker-process.ts';

async function proxyToRedis(): Promise<TcpProxy & { readonly url: string }> {
  const proxy = await startTcpProxy({ port: Number(new URL(redisUrl()).port) });
  onTestFinished(() => proxy.stop());
  return { ...proxy, url: `redis://127.0.0.1:${proxy.port}` };
}

test('with a slow Redis every message is sent once, locks hold, and nothing is uncertain', async () => {
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  const proxy = await proxyToRedis();
  const server = await sink();
  const worker = await startWorkerProcess({
    prefix,
    url: proxy.url,
    connectors: { relay: { port: server.port, concurrency: 10 } },
  });
  proxy.delay(200);
  const messages = countableMany(8);
  await producer.sendMany(messages);
  const rows = await settled(producer, messages);
  expect(rows.filter(isUncertain)).toEqual([]);
  expect(account(rows, [server])).toEqual(allOnce(8));
  expect(rows.map(({ attempts }) => attempts)).toEqual(Array(8).fill(1));
  expect(await worker.stop()).toEqual({ code: 0, signal: null });
});

test('with a slow Redis a producer gets its answer, or a typed error after its own timeout', async () => {
  const prefix = testPrefix();
  const proxy = await proxyToRedis();
  const patient = testProducer(prefix, { url: proxy.url, timeoutMs: 30_000 });
  const hasty = testProducer(prefix, { url: proxy.url, timeoutMs: 300 });
  await Promise.all([patient.status('unknown'), hasty.status('unknown')]);
  proxy.delay(200);
  // The hasty one has given up before Redis can answer, so it does not wait for the answer.
  const order: string[] = [];
  const sent = patient.send(countable('m')).finally(() => order.push('answer'));
  const refused = hasty.send(countable('n')).finally(() => order.push('error'));
  await expect(refused).rejects.toMatchObject({ code: 'redis-unavailable', id: 'n' });
  expect(await sent).toMatchObject({ duplicate: false });
  expect(order).toEqual(['error', 'answer']);
});
