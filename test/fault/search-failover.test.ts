/** Search over a Cluster, while a master of it is killed and after a replica has taken over: what was acknowledged is found. */
import { expect, test } from 'vitest';
import { shardsOf } from '../../src/queue/redis/shards.ts';
import { countable, settled, sink } from '../support/accounting.ts';
import { ownCluster, sendUntilAccepted } from '../support/own-redis.ts';
import { testOperator, testProducer } from '../support/postlane.ts';
import { startWorkerProcess } from '../support/worker-process.ts';

const shards = 6;
const prefix = '{search}';

test('over a Cluster every message is found by its recipient, also after the failover of a shard', async () => {
  const { urls, masterOf, replaced } = await ownCluster();
  const redis = { cluster: { nodes: urls }, shards };
  const server = await sink();
  const names = Array.from({ length: 12 }, (_, i) => `c${i}`);
  const connectors = Object.fromEntries(
    names.map((name) => [name, { port: server.port, addresses: [`${name}@example.com`] }]),
  );
  await startWorkerProcess({ prefix, redis, connectors, timing: { lockMs: 5_000 } });
  const acknowledged = testProducer(prefix, { redis, timeoutMs: 2_000, acknowledge: { replicas: 1 } });
  // The master that is promoted has no replica of its own.
  const producer = testProducer(prefix, { redis, timeoutMs: 2_000 });
  const to = (n: number) => ({ to: n % 2 === 0 ? 'Even@example.net' : 'odd@example.net' });
  const messages = names.map((name, n) => countable(`m${n}`, { from: `${name}@example.com`, ...to(n) }));
  const half = messages.slice(0, 6);
  await sendUntilAccepted(acknowledged, half);
  await settled(producer, half);
  const operator = await testOperator(prefix, undefined, redis);
  const found = async (query: object): Promise<string[]> =>
    (await operator.messages({ limit: 50, ...query })).items.map(({ id }) => id).toSorted((a, b) => a.localeCompare(b));
  expect(await found({ recipient: 'even@example.net' })).toEqual(['m0', 'm2', 'm4']);
  expect(await found({})).toHaveLength(6);

  const lost = shardsOf(prefix, shards).prefixes[1]!;
  const old = await masterOf(lost);
  await old.kill();
  await replaced(lost, old);
  await sendUntilAccepted(producer, messages.slice(6));
  await settled(producer, messages);
  const odd = ['m1', 'm11', 'm3', 'm5', 'm7', 'm9'];
  expect(await found({ recipient: 'ODD@example.net' })).toEqual(odd);
  expect(await found({ recipient: 'even@example.net' })).toHaveLength(6);
  const { items, complete } = await operator.messages({ state: 'sent', limit: 50 });
  expect([items.length, complete]).toEqual([12, true]);
});
