/** Redis falls silent, without a word and for longer than the locks, while sends are under way; then it is there again. */
import { describe, expect, onTestFinished, test } from 'vitest';
import { keysOf, laneName } from '../../src/queue/redis/keys.ts';
import { balance, copiesOf, countable, countableMany, settled } from '../support/books.ts';
import { testProducer } from '../support/postlane.ts';
import { quietServer } from '../support/quiet-server.ts';
import { redisUrl, testConnection, testPrefix } from '../support/redis.ts';
import { startTcpProxy } from '../../testkit/tcp-proxy.ts';
import { until } from '../../testkit/until.ts';
import { startWorkerProcess } from '../support/worker-process.ts';

/** A worker amid a send, whose Redis has been silent until its lock has ended. */
async function silenced(lateResultMs: number) {
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  const redis = testConnection();
  const proxy = await startTcpProxy({ port: Number(new URL(redisUrl()).port) });
  onTestFinished(() => proxy.stop());
  const { server, asked, speak } = await quietServer('.');
  const options = { prefix, connectors: { relay: { port: server.port } }, timing: { lateResultMs } };
  const worker = await startWorkerProcess({ ...options, url: `redis://127.0.0.1:${proxy.port}` });
  await producer.send(countable('m'));
  await until(asked, { what: 'the server to have the message' });
  proxy.blackHole();
  const lock = keysOf(prefix).queue(laneName('relay'), 'm:lock');
  await until(async () => (await redis.exists(lock)) === 0, { what: 'the lock to end' });
  return { producer, server, speak, proxy, worker, options };
}

describe('a worker that cannot reach Redis for longer than its lock', () => {
  test('settles what it had under way when Redis is back, one copy, and goes on by itself', async () => {
    const { producer, server, speak, proxy, worker } = await silenced(20_000);
    speak();
    await worker.waitFor('outcome', 'm');
    proxy.restore();
    const rows = await settled(producer, ['m']);
    expect(rows).toMatchObject([{ state: 'sent', attempts: 1 }]);
    expect(balance(rows, [server])).toEqual({ lost: [], blindlyTwice: [], knowinglyTwice: [], states: { sent: 1 } });
    const more = countableMany(50, 'more');
    await producer.sendMany(more);
    const moreRows = await settled(
      producer,
      more.map(({ id }) => id!),
    );
    expect(balance(moreRows, [server])).toMatchObject({ lost: [], blindlyTwice: [], knowinglyTwice: [] });
  });

  test('has its message sent again by another, with a mark; its own result comes too late', async () => {
    const { producer, server, speak, proxy, worker, options } = await silenced(300);
    speak();
    await worker.waitFor('outcome', 'm');
    const other = await startWorkerProcess(options);
    await other.waitFor('sent', 'm');
    proxy.restore();
    await producer.send(countable('next'));
    const rows = await settled(producer, ['m', 'next']);
    expect(rows).toMatchObject([{ state: 'sent', attempts: 2 }, { state: 'sent' }]);
    expect(balance(rows, [server])).toMatchObject({ lost: [], blindlyTwice: [], knowinglyTwice: ['m'] });
    expect(copiesOf('m', [server])).toBe(2);
    expect(await worker.stop()).toEqual({ code: 0, signal: null });
  });
});
