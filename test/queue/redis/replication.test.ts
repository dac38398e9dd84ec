/** A producer that asks for it resolves only when replicas have the message, and says so in time when they have not. */
import { Redis } from 'ioredis';
import { expect, onTestFinished, test } from 'vitest';
import { startPrivateRedis } from '../../../testkit/redis.ts';
import { startProcessClock } from '../../support/process-clock.ts';
import { testProducer } from '../../support/postlane.ts';
import { journey, untroubled } from '../../support/redis-journey.ts';
import { ownCluster } from '../../support/own-redis.ts';

const message = (id: string) => ({ id, from: 'x@example.com', to: 'a@example.net', text: 'x' });

async function withReplica() {
  const master = await startPrivateRedis({ settings: ['--repl-diskless-sync-delay', '0'] });
  onTestFinished(() => master.stop());
  const replica = await startPrivateRedis({
    settings: ['--replicaof', `127.0.0.1 ${master.port}`],
  });
  onTestFinished(() => replica.stop());
  return { master, replica };
}

test('what is accepted is on the replica, one by one and many at once', async () => {
  const { master, replica } = await withReplica();
  const producer = testProducer('{p}', { url: master.url, acknowledge: { replicas: 1 }, timeoutMs: 20_000 });
  const copy = new Redis(replica.url);
  onTestFinished(() => copy.disconnect());
  expect(await producer.send(message('one'))).toEqual({ id: 'one', duplicate: false });
  expect(await copy.exists('{p}:outbound:one')).toBe(1);
  const many = Array.from({ length: 300 }, (_, i) => message(`m${i}`));
  expect((await producer.sendMany(many)).every(({ ok }) => ok)).toBe(true);
  expect(await copy.exists(...many.map(({ id }) => `{p}:outbound:${id}`))).toBe(300);
});

test('without enough replicas send() rejects in time with the id, and the same id is accepted when there are', async () => {
  const { master, replica } = await withReplica();
  const acknowledge = { replicas: 1, timeoutMs: 200 };
  const producer = testProducer('{p}', { url: master.url, acknowledge, timeoutMs: 10_000 });
  const patient = testProducer('{p}', { url: master.url, acknowledge: { replicas: 1 }, timeoutMs: 40_000 });
  await patient.send(message('before'));
  process.kill(replica.pid(), 'SIGSTOP');
  onTestFinished(() => void process.kill(replica.pid(), 'SIGCONT'));
  const elapsedMs = startProcessClock();
  await expect(producer.send(message('m'))).rejects.toMatchObject({ code: 'redis-unacknowledged', id: 'm' });
  expect(elapsedMs()).toBeLessThan(3_000);
  await expect(producer.send(message('m'))).rejects.toMatchObject({ code: 'redis-unacknowledged' });
  process.kill(replica.pid(), 'SIGCONT');
  expect(await patient.send(message('m'))).toEqual({ id: 'm', duplicate: true });
});

test('over a Cluster the replica of the intake’s master is asked', async () => {
  const { urls } = await ownCluster();
  const redis = { cluster: { nodes: urls } };
  const roles = { producer: redis, worker: redis, operator: redis };
  const about = { prefix: '{postlane}', shards: 3, acknowledge: { replicas: 1 } };
  expect(await journey({ ...about, ...roles })).toEqual(untroubled);
  const two = testProducer('{postlane}', { redis, acknowledge: { replicas: 2, timeoutMs: 100 } });
  await expect(two.send(message('m'))).rejects.toMatchObject({ code: 'redis-unacknowledged' });
});
