/** What a fallback has of others and cannot send comes back to its own connector. */
import { expect, test } from 'vitest';
import { account, allOnce, countableMany, settled, sink } from '../../support/accounting.ts';
import { after, senderConfig, startSender, switched } from '../../support/fallback.ts';
import { testProducer, testRetry } from '../../support/postlane.ts';
import { shardCount, testConnection, testPrefix } from '../../support/redis.ts';
import { shardsOf } from '../../../src/queue/redis/shards.ts';
import { until } from '../../../testkit/until.ts';

const messages = countableMany(5);

/** Five messages of a connector whose server is away, which its fallback has deferred. */
async function deferredByFallback(onceAway: string | undefined) {
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  const own = await switched();
  const is = { away: false };
  const other = await sink({
    script: { CONNECT: () => (is.away ? onceAway : undefined), RCPT: '451 4.3.0 local error' },
  });
  const third = await sink();
  const retry = { ...testRetry, firstDelayMs: 1_500, maxDelayMs: 1_500 };
  const connectors = {
    primary: { port: own.server.port, connector: { fallback: after(0, 'standby') } },
    standby: { port: other.port, connector: { retry } },
    third: { port: third.port },
  };
  const worker = await startSender(prefix, connectors);
  await producer.sendMany(messages);
  const rows = () => Promise.all(messages.map(({ id }) => producer.status(id!)));
  await until(async () => (await rows()).every((row) => row?.state === 'deferred' && row.connector === 'standby'), {
    what: 'the fallback to defer all',
  });
  return { prefix, producer, own, other, third, is, connectors, worker };
}

test('mail that a fallback has deferred before it went away comes back once its own connector works', async () => {
  const { producer, own, other, is } = await deferredByFallback('close');
  is.away = true;
  other.dropConnections();
  own.is.away = false;
  const rows = await settled(producer, messages, 15_000);
  expect(new Set(rows.map(({ connector }) => connector))).toEqual(new Set(['primary']));
  expect(account(rows, [own.server, other])).toEqual(allOnce(5));
});

test('mail comes back from a connector that is no fallback any more, and the failover ends with the last one', async () => {
  const { prefix, producer, own, other, connectors, worker } = await deferredByFallback(undefined);
  own.is.away = false;
  const { port } = connectors.primary;
  await worker.worker.apply(senderConfig({ ...connectors, primary: { port } }));
  const rows = await settled(producer, messages, 15_000);
  expect(new Set(rows.map(({ connector }) => connector))).toEqual(new Set(['primary']));
  expect(account(rows, [own.server, other])).toEqual(allOnce(5));
  await until(() => worker.of('fallback-ended').length === 1, { what: 'the failover to end' });
  expect(await testConnection().exists(shardsOf(prefix, shardCount()).keysOf('primary').fallback('primary'))).toBe(0);
});

test('mail goes from a connector that is no fallback any more to the one that is now', async () => {
  const { producer, own, other, third, connectors, worker } = await deferredByFallback(undefined);
  const { port } = connectors.primary;
  await worker.worker.apply(
    senderConfig({
      ...connectors,
      primary: { port, connector: { fallback: after(0, 'third') } },
    }),
  );
  const rows = await settled(producer, messages, 15_000);
  expect(new Set(rows.map(({ connector }) => connector))).toEqual(new Set(['third']));
  expect(account(rows, [own.server, other, third])).toEqual(allOnce(5));
});
