/**
 * A master of a Cluster is killed (SIGKILL) under load, with many connectors spread over shards, three worker processes, and
 * settings under which an isolated master accepts nothing. CONNECTORS and PER_CONNECTOR set its size.
 */
import { expect, onTestFinished, test } from 'vitest';
import type { OutboundMessage } from '../../src/message/outbound.ts';
import { shardsOf } from '../../src/queue/redis/shards.ts';
import { account, allSent, countable, settled, sink } from '../support/accounting.ts';
import { ownCluster, sendUntilAccepted } from '../support/own-redis.ts';
import { testProducer } from '../support/postlane.ts';
import { until } from '../../testkit/until.ts';
import { startWorkerProcess } from '../support/worker-process.ts';

const connectorCount = Number(process.env.CONNECTORS ?? 24);
const perConnector = Number(process.env.PER_CONNECTOR ?? 12);
const shards = 6;
const prefix = '{failover}';

test('a killed master of a Cluster loses no acknowledged message, every second copy is marked, and workers go on without help', async () => {
  const { urls, masterOf, replaced } = await ownCluster(['--min-replicas-to-write', '1']);
  const redis = { cluster: { nodes: urls }, shards };
  const server = await sink();
  const names = Array.from({ length: connectorCount }, (_, i) => `c${i}`);
  const connectors = Object.fromEntries(
    names.map((name) => [name, { port: server.port, addresses: [`${name}@example.com`], concurrency: 2 }]),
  );
  // Short, as a job that the lost master gave out, and whose worker never knew of it, waits for the end of its lock.
  const options = { prefix, redis, connectors, timing: { lockMs: 5_000 } };
  const workers = await Promise.all([1, 2, 3].map(() => startWorkerProcess(options)));
  // A message is accepted once a replica has it, so the promoted one knows it.
  const producer = testProducer(prefix, { redis, timeoutMs: 2_000, acknowledge: { replicas: 1 } });
  const messages = names.flatMap((name) =>
    Array.from({ length: perConnector }, (_, i) => countable(`${name}-${i}`, { from: `${name}@example.com` })),
  );
  const accept = async (some: readonly OutboundMessage[]): Promise<void> => {
    for (let start = 0; start < some.length; start += 20)
      await sendUntilAccepted(producer, some.slice(start, start + 20));
  };
  // In turns over the connectors, so that each has some at any time.
  const mixed = messages.toSorted((a, b) => Number(a.id!.split('-')[1]) - Number(b.id!.split('-')[1]));
  const half = Math.ceil(mixed.length / 2);
  const sent = (): number => server.received.transactions.length;
  await accept(mixed.slice(0, half));
  await until(() => sent() > half / 4, { what: 'mail to be under way' });

  // Not the first shard: the intake and most connectors are elsewhere and could go on.
  const lost = shardsOf(prefix, shards).prefixes[1]!;
  const old = await masterOf(lost);
  const killedAt = performance.now();
  const seen: number[] = [killedAt];
  let count = sent();
  const watch = setInterval(() => {
    if (sent() === count) return;
    count = sent();
    seen.push(performance.now());
  }, 10);
  onTestFinished(() => clearInterval(watch));
  await old.kill();
  const accepting = accept(mixed.slice(half));
  await replaced(lost, old);
  const replacedAt = performance.now();
  // As a supervisor would: with one replica per master, `min-replicas-to-write` needs it.
  await old.restart();
  await accepting;
  const rows = await settled(producer, messages);
  const { knowinglyTwice, ...figures } = account(rows, [server]);
  expect(figures).toEqual(allSent(messages.length));
  clearInterval(watch);
  const longestMs = Math.max(...seen.slice(1).map((at, i) => at - seen[i]!));
  console.log(
    `${messages.length} messages of ${connectorCount} connectors in ${shards} shards: a new master after ` +
      `${Math.round(replacedAt - killedAt)} ms, longest pause of the sink ${Math.round(longestMs)} ms, ` +
      `${knowinglyTwice.length} came twice, marked as uncertain`,
  );
  for (const worker of workers) expect(await worker.stop()).toEqual({ code: 0, signal: null });
});
