/** Redis answers late: 200 ms for every message in each direction. Everything takes longer, and nothing else is different. */
import { expect, onTestFinished, test } from 'vitest';
import { balance, countableMany, isUncertain, settled, sink } from '../support/books.ts';
import { testProducer } from '../support/postlane.ts';
import { redisUrl, testPrefix } from '../support/redis.ts';
import { startTcpProxy } from '../../testkit/tcp-proxy.ts';
import { startWorkerProcess } from '../support/worker-process.ts';

test('a slow Redis costs time: every message is sent once, locks hold, nothing is uncertain', async () => {
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  const proxy = await startTcpProxy({ port: Number(new URL(redisUrl()).port) });
  onTestFinished(() => proxy.stop());
  const server = await sink();
  const worker = await startWorkerProcess({
    prefix,
    url: `redis://127.0.0.1:${proxy.port}`,
    connectors: { relay: { port: server.port, concurrency: 10 } },
    timing: { lockMs: 3_000 },
  });
  proxy.delay(200);
  const messages = countableMany(8);
  await producer.sendMany(messages);
  const rows = await settled(
    producer,
    messages.map(({ id }) => id!),
  );
  expect(rows.filter(isUncertain)).toEqual([]);
  expect(balance(rows, [server])).toEqual({ lost: [], blindlyTwice: [], knowinglyTwice: [], states: { sent: 8 } });
  expect(rows.map(({ attempts }) => attempts)).toEqual(Array(8).fill(1));
  expect(await worker.stop()).toEqual({ code: 0, signal: null });
});

test('a producer gets its answer all the same, or a typed error in time', async () => {
  const prefix = testPrefix();
  const proxy = await startTcpProxy({ port: Number(new URL(redisUrl()).port) });
  onTestFinished(() => proxy.stop());
  const url = `redis://127.0.0.1:${proxy.port}`;
  const patient = testProducer(prefix, { url });
  const hasty = testProducer(prefix, { url, timeoutMs: 300 });
  await Promise.all([patient.status('nobody'), hasty.status('nobody')]);
  proxy.delay(200);
  expect(await patient.send({ id: 'm', from: 'x@example.com', to: 'a@example.net', text: 'x' })).toMatchObject({
    duplicate: false,
  });
  const began = performance.now();
  await expect(hasty.send({ id: 'n', from: 'x@example.com', to: 'a@example.net', text: 'x' })).rejects.toMatchObject({
    code: 'redis-unavailable',
    id: 'n',
  });
  expect(performance.now() - began).toBeLessThan(1_500);
});
