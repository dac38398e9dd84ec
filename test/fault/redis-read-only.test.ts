/** Redis becomes a replica amid the work, as in a failover: it refuses every write until it, or another, is the primary. */
import { expect, onTestFinished, test } from 'vitest';
import { account, allOnce, allSent, countableMany, settled, sink } from '../support/accounting.ts';
import { sendUntilAccepted, ownRedis } from '../support/own-redis.ts';
import { testProducer } from '../support/postlane.ts';
import { backlogThrough, resultThrough, type RefusingRedis } from '../support/refused-writes.ts';
import { startTcpProxy } from '../../testkit/tcp-proxy.ts';
import { until } from '../../testkit/until.ts';
import { startWorkerProcess } from '../support/worker-process.ts';

const prefix = '{readonly}';

async function demotedRedis(): Promise<RefusingRedis> {
  const { url, admin } = await ownRedis();
  return {
    url,
    prefix,
    // A replica whose primary cannot be reached keeps its data and refuses writes.
    refuse: () => admin.replicaof('127.0.0.1', '1'),
    restore: () => admin.replicaof('NO', 'ONE'),
  };
}

test('a Redis that is read-only for a time loses no message and no unmarked copy is sent; workers go on without help', async () => {
  expect(await backlogThrough(await demotedRedis(), { count: 400, refusal: {} })).toMatchObject(allSent(421));
});

test('a result that comes while Redis is read-only is kept until it can be written: one copy', async () => {
  expect(await resultThrough(await demotedRedis())).toEqual({ ...allOnce(1), attempts: 1 });
});

test('when another Redis takes over at the same address, workers and producers leave the old one, which still answers', async () => {
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
  await settled(producer, before);
  const synced = async () => (await old.admin.wait(1, 1_000)) === 1;
  await until(synced, { what: 'the next primary to have everything' });
  await next.admin.replicaof('NO', 'ONE');
  address.target(next.port);
  // The connections to the old one stay, and it refuses writes.
  await old.admin.replicaof('127.0.0.1', String(next.port));
  const after = countableMany(20, 'after');
  await sendUntilAccepted(producer, after);
  const rows = await settled(producer, [...before, ...after]);
  expect(account(rows, [server])).toMatchObject(allSent(40));
  expect(await worker.stop()).toEqual({ code: 0, signal: null });
});
