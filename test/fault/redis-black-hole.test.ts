/** Redis goes silent, without a word and for longer than the locks, while a send is under way; later it is there again. */
import { expect, onTestFinished, test } from 'vitest';
import { account, allOnce, copiesOf, countable, countableMany, settled } from '../support/accounting.ts';
import { endLocks } from '../support/locks.ts';
import { pausedServer } from '../support/paused-server.ts';
import { testProducer } from '../support/postlane.ts';
import { redisUrl, testConnection, testPrefix } from '../support/redis.ts';
import { startTcpProxy } from '../../testkit/tcp-proxy.ts';
import { until } from '../../testkit/until.ts';
import { startWorkerProcess } from '../support/worker-process.ts';

/** A worker amid a send whose Redis has been silent until its lock has ended. */
async function silenced(lateResultMs: number) {
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  const redis = testConnection();
  const proxy = await startTcpProxy({ port: Number(new URL(redisUrl()).port) });
  onTestFinished(() => proxy.stop());
  const { server, reached, release } = await pausedServer('.');
  const options = { prefix, connectors: { relay: { port: server.port } }, timing: { lateResultMs } };
  const worker = await startWorkerProcess({ ...options, url: `redis://127.0.0.1:${proxy.port}` });
  await producer.send(countable('m'));
  await until(reached, { what: 'the server to have the message' });
  proxy.blackHole();
  await endLocks(redis, prefix);
  return { producer, server, release, proxy, worker, options };
}

test('a worker that cannot reach Redis for longer than its lock settles its send afterwards, one copy, and goes on without help', async () => {
  const { producer, server, release, proxy, worker } = await silenced(120_000);
  release();
  await worker.waitFor('outcome', 'm');
  proxy.restore();
  const rows = await settled(producer, ['m']);
  expect(rows).toMatchObject([{ state: 'sent', attempts: 1 }]);
  expect(account(rows, [server])).toEqual(allOnce(1));
  const more = countableMany(50, 'more');
  await producer.sendMany(more);
  expect(account(await settled(producer, more), [server])).toEqual(allOnce(50));
});

test('a message whose worker cannot reach Redis is sent again by another worker, with a mark, and the first result comes too late', async () => {
  const { producer, server, release, proxy, worker, options } = await silenced(300);
  release();
  await worker.waitFor('outcome', 'm');
  const other = await startWorkerProcess(options);
  await other.waitFor('sent', 'm');
  proxy.restore();
  await producer.send(countable('next'));
  const rows = await settled(producer, ['m', 'next']);
  expect(rows).toMatchObject([{ state: 'sent', attempts: 2 }, { state: 'sent' }]);
  expect(account(rows, [server])).toMatchObject({ lost: [], blindlyTwice: [], knowinglyTwice: ['m'] });
  expect(copiesOf('m', [server])).toBe(2);
  expect(await worker.stop()).toEqual({ code: 0, signal: null });
});
