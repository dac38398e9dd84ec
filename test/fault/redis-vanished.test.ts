/** The host of Redis vanishes without closing its connections, and another one answers at its address. */
import { expect, onTestFinished, test } from 'vitest';
import { connectPatient } from '../../src/queue/redis/connection.ts';
import { countable } from '../support/accounting.ts';
import { sendUntilAccepted } from '../support/own-redis.ts';
import { testProducer } from '../support/postlane.ts';
import { redisUrl, testPrefix } from '../support/redis.ts';
import { startTcpProxy } from '../../testkit/tcp-proxy.ts';

test('a worker’s connection gives up on the silent host, and its command is answered by the other one', async () => {
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

test('a producer whose Redis host is gone rejects, and the other host accepts the same message', async () => {
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

test('a connection without a command under way is not closed for its silence', async () => {
  const proxy = await startTcpProxy({ port: Number(new URL(redisUrl()).port) });
  onTestFinished(() => proxy.stop());
  const connected = () => connectPatient({ url: `redis://127.0.0.1:${proxy.port}` }, 'postlane-test', 300);
  const redis = connected();
  onTestFinished(() => redis.disconnect());
  // A second connection that always has a command under way: its clock runs, and the first one's must not.
  const other = connected();
  onTestFinished(() => other.disconnect());
  await redis.ping();
  const end = performance.now() + 1_000;
  while (performance.now() < end) await other.ping();
  expect(await redis.ping()).toBe('PONG');
  expect(proxy.connections).toBe(2);
});
