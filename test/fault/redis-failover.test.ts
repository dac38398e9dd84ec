/** The master is killed (SIGKILL) under load, and Sentinels or the nodes of a Cluster promote a replica. */
import { expect, onTestFinished, test } from 'vitest';
import type { PrivateRedis } from '../../testkit/redis.ts';
import type { RedisSettings } from '../../src/queue/redis/settings.ts';
import { account, allSent, countable, countableMany, settled, sink } from '../support/accounting.ts';
import { ownCluster, ownSentinels, sendUntilAccepted } from '../support/own-redis.ts';
import { testProducer } from '../support/postlane.ts';
import { until } from '../../testkit/until.ts';
import { startWorkerProcess } from '../support/worker-process.ts';

interface Setup {
  readonly redis: RedisSettings;
  readonly master: () => Promise<PrivateRedis>;
  /** Resolves when another server has taken over from this one. */
  readonly moved: (from: PrivateRedis) => Promise<unknown>;
}

const prefix = '{failover}';

async function cluster(): Promise<Setup> {
  const { urls, masterOf, replaced, nodes } = await ownCluster();
  return {
    redis: { cluster: { nodes: urls } },
    master: () => masterOf(prefix),
    moved: (from) =>
      replaced(
        prefix,
        nodes.find(({ port }) => port === from.port)!,
      ),
  };
}

async function sentinel(): Promise<Setup> {
  const { name, sentinels, master } = await ownSentinels();
  const another = async (from: PrivateRedis): Promise<boolean> => (await master()).port !== from.port;
  return {
    redis: { sentinel: { name, nodes: sentinels } },
    master,
    moved: (from) => until(() => another(from), { what: 'the Sentinels to name another', timeoutMs: 60_000 }),
  };
}

const setups = [
  ['Sentinel', sentinel],
  ['Cluster', cluster],
] as const;

test.for(setups)(
  '%s: after a failover workers and producers go on without help, no message is lost, and no unmarked copy is sent',
  async ([, start]) => {
    const { redis, master, moved } = await start();
    const server = await sink();
    const connectors = { relay: { port: server.port, concurrency: 4 } };
    // Short, as a job whose worker never got Redis' reply waits for the end of its lock.
    const options = { prefix, redis, connectors, timing: { lockMs: 5_000 } };
    const workers = [await startWorkerProcess(options), await startWorkerProcess(options)];
    const producer = testProducer(prefix, { redis, timeoutMs: 2_000 });
    const ids: string[] = [];
    const load = async (name: string): Promise<void> => {
      const messages = countableMany(100, name);
      ids.push(...messages.map(({ id }) => id!));
      await sendUntilAccepted(producer, messages);
    };
    const before = load('before-');
    await until(() => server.received.transactions.length > 20, { what: 'mail to be under way' });
    const old = await master();
    await old.kill();
    const during = load('during-');
    await moved(old);
    await Promise.all([before, during]);
    // The old master comes back as a replica of the new one; clients that still use it must move on.
    await old.restart();
    await load('after-');
    const rows = await settled(producer, ids);
    expect(account(rows, [server])).toMatchObject(allSent(300));
    for (const worker of workers) expect(await worker.stop()).toEqual({ code: 0, signal: null });
  },
);

test.for(setups)(
  '%s: while there is no master send() rejects after its timeout, and it works once there is one',
  async ([, start]) => {
    const { redis, master, moved } = await start();
    const producer = testProducer(prefix, { redis, timeoutMs: 500 });
    await producer.send(countable('before'));
    const old = await master();
    // It stands still and its connections stay open, so that only the timeout of send() can end the wait.
    process.kill(old.pid(), 'SIGSTOP');
    onTestFinished(() => void process.kill(old.pid(), 'SIGCONT'));
    await expect(producer.send(countable('during'))).rejects.toMatchObject({
      code: 'redis-unavailable',
      id: 'during',
    });
    await moved(old);
    await sendUntilAccepted(producer, [countable('during')]);
    expect(await producer.send(countable('during'))).toEqual({ id: 'during', duplicate: true });
    expect((await producer.status('before'))?.state).toBe('queued');
  },
);
