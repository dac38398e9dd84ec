/** The host of Redis vanishes without a word, and another one answers at its address: no packet ever ends the old connection. */
import { expect, onTestFinished, test } from 'vitest';
import { connectPatient } from '../../src/queue/redis/connection.ts';
import { countable } from '../support/books.ts';
import { sendUntilAccepted } from '../support/own-redis.ts';
import { testProducer } from '../support/postlane.ts';
import { redisUrl, testPrefix } from '../support/redis.ts';
import { startTcpProxy } from '../../testkit/tcp-proxy.ts';

test("a worker's connection gives up on the silence, and what it had asked is answered by the other", async () => {
  const key = `${testPrefix()}:vanished`;
  const proxy = await startTcpProxy({ port: Number(new URL(redisUrl()).port) });
  onTestFinished(() => proxy.stop());
  const redis = connectPatient({ url: `redis://127.0.0.1:${proxy.port}` }, 'postlane-test', 500);
  redis.on('error', () => undefined);
  onTestFinished(() => redis.disconnect());
  await redis.set(key, 'before');
  proxy.vanish();
  expect(await redis.set(key, 'after')).toBe('OK');
  expect(await redis.get(key)).toBe('after');
});

test('a producer says so in time, and the next message is accepted by the other', async () => {
  const prefix = testPrefix();
  const proxy = await startTcpProxy({ port: Number(new URL(redisUrl()).port) });
  onTestFinished(() => proxy.stop());
  const producer = testProducer(prefix, { url: `redis://127.0.0.1:${proxy.port}`, timeoutMs: 500 });
  await producer.send(countable('before'));
  proxy.vanish();
  await expect(producer.send(countable('lost'))).rejects.toMatchObject({
    code: 'redis-unavailable',
    id: 'lost',
  });
  await sendUntilAccepted(producer, [countable('lost')]);
});

test('a connection that waits for nothing is left alone', async () => {
  const proxy = await startTcpProxy({ port: Number(new URL(redisUrl()).port) });
  onTestFinished(() => proxy.stop());
  const connected = () => connectPatient({ url: `redis://127.0.0.1:${proxy.port}` }, 'postlane-test', 300);
  const redis = connected();
  onTestFinished(() => redis.disconnect());
  // A second connection that is asked all the time, and times the silence of the first.
  const other = connected();
  onTestFinished(() => other.disconnect());
  await redis.ping();
  const until = performance.now() + 1_000;
  while (performance.now() < until) await other.ping();
  expect(await redis.ping()).toBe('PONG');
  expect(proxy.connections).toBe(2);
});
