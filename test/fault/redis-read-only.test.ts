/** Redis becomes a replica amid the work, as in a failover: it refuses every write until it, or another, is the primary. */
import { describe, expect, onTestFinished, test } from 'vitest';
import { balance, countable, countableMany, settled, sink } from '../support/books.ts';
import { sendUntilAccepted, ownRedis } from '../support/own-redis.ts';
import { testProducer } from '../support/postlane.ts';
import { quietServer } from '../support/quiet-server.ts';
import { startTcpProxy } from '../../testkit/tcp-proxy.ts';
import { until } from '../../testkit/until.ts';
import { startWorkerProcess } from '../support/worker-process.ts';

const prefix = '{readonly}';

describe('a Redis that turns read-only', () => {
  test('and back: nothing is lost, nothing goes twice without a mark, workers go on by themselves', async () => {
    const redis = await ownRedis();
    const producer = testProducer(prefix, { url: redis.url });
    const server = await sink();
    const connectors = { relay: { port: server.port, concurrency: 4 } };
    const before = countableMany(400, 'before');
    await sendUntilAccepted(producer, before);
    const worker = await startWorkerProcess({ prefix, url: redis.url, connectors });
    await until(() => server.received.transactions.length > 50, { what: 'mail to be under way' });
    // A primary that nobody finds: it keeps its data and refuses writes.
    await redis.admin.replicaof('127.0.0.1', '1');
    await worker.waitFor('error');
    await expect(producer.send(countable('refused'))).rejects.toMatchObject({ id: 'refused' });
    await redis.admin.replicaof('NO', 'ONE');
    const after = [countable('refused'), ...countableMany(20, 'after')];
    await sendUntilAccepted(producer, after);
    const rows = await settled(
      producer,
      [...before, ...after].map(({ id }) => id!),
    );
    expect(balance(rows, [server])).toMatchObject({ lost: [], blindlyTwice: [], states: { sent: 421 } });
  });

  test('amid a send: the result is kept until it can be written, one copy', async () => {
    const redis = await ownRedis();
    const producer = testProducer(prefix, { url: redis.url });
    const { server, asked, speak } = await quietServer('.');
    const connectors = { relay: { port: server.port } };
    const worker = await startWorkerProcess({ prefix, url: redis.url, connectors, timing: { lateResultMs: 20_000 } });
    await producer.send(countable('m'));
    await until(asked, { what: 'the server to have the message' });
    await redis.admin.replicaof('127.0.0.1', '1');
    speak();
    await worker.waitFor('outcome', 'm');
    await worker.waitFor('error', 'm');
    await redis.admin.replicaof('NO', 'ONE');
    const rows = await settled(producer, ['m']);
    expect(rows).toMatchObject([{ state: 'sent', attempts: 1 }]);
    expect(balance(rows, [server])).toEqual({ lost: [], blindlyTwice: [], knowinglyTwice: [], states: { sent: 1 } });
  });
});

test('another Redis takes over at the same address: workers and producers leave the old one, which still answers', async () => {
  const old = await ownRedis();
  const next = await ownRedis();
  await next.admin.replicaof('127.0.0.1', String(old.port));
  const address = await startTcpProxy({ port: old.port });
  onTestFinished(() => address.stop());
  const url = `redis://127.0.0.1:${address.port}`;
  const producer = testProducer(prefix, { url });
  const server = await sink();
  const worker = await startWorkerProcess({ prefix, url, connectors: { relay: { port: server.port } } });
  const before = countableMany(20, 'before');
  await sendUntilAccepted(producer, before);
  await settled(
    producer,
    before.map(({ id }) => id!),
  );
  const synced = async () => (await old.admin.wait(1, 1_000)) === 1;
  await until(synced, { what: 'the next primary to have everything' });
  await next.admin.replicaof('NO', 'ONE');
  address.target(next.port);
  // The connections to the old one stay, and it refuses what it is told to write.
  await old.admin.replicaof('127.0.0.1', String(next.port));
  const after = countableMany(20, 'after');
  await sendUntilAccepted(producer, after);
  const rows = await settled(
    producer,
    [...before, ...after].map(({ id }) => id!),
  );
  expect(balance(rows, [server])).toMatchObject({ lost: [], blindlyTwice: [], states: { sent: 40 } });
  expect(await worker.stop()).toEqual({ code: 0, signal: null });
});
