/** What fails at one connector does not end the failover of the others. */
import { expect, test } from 'vitest';
import { account, allOnce, countableMany, settled, sink } from '../../support/accounting.ts';
import { after, startSender, switched } from '../../support/fallback.ts';
import { testProducer } from '../../support/postlane.ts';
import { shardCount, testConnection, testPrefix } from '../../support/redis.ts';
import { shardsOf } from '../../../src/queue/redis/shards.ts';
import { until } from '../../../testkit/until.ts';

test('an error at one connector is reported with its code, and the mail of another goes by its fallback meanwhile', async () => {
  const prefix = testPrefix();
  const redis = testConnection();
  const producer = testProducer(prefix);
  const servers = [await switched(), await switched()];
  const other = await sink();
  const { keysOf } = shardsOf(prefix, shardCount());
  const key = keysOf('standby-of-first').connectorWait('standby-of-first');
  // As a foreign hand may leave it.
  await redis.hset(key, 'x', 1);
  const worker = await startSender(
    prefix,
    {
      first: {
        port: servers[0]!.server.port,
        connector: { addresses: ['first@example.com'], fallback: after(0, 'standby-of-first') },
      },
      second: {
        port: servers[1]!.server.port,
        connector: { addresses: ['second@example.com'], fallback: after(0, 'standby') },
      },
      'standby-of-first': {
        port: other.port,
        connector: { fallbackFor: ['first@example.com'], addresses: ['x@example.com'] },
      },
      standby: { port: other.port, connector: { addresses: ['y@example.com'], fallbackFor: ['second@example.com'] } },
    },
    { default: 'standby' },
  );
  const of = (name: string) => countableMany(10, name).map((message) => ({ ...message, from: `${name}@example.com` }));
  await producer.sendMany([...of('first'), ...of('second')]);
  expect(account(await settled(producer, of('second')), [other])).toEqual(allOnce(10));
  await until(() => worker.of('error').some(({ detail }) => detail.includes('WRONGTYPE')), { what: 'the report' });
  await redis.del(key);
  expect(account(await settled(producer, of('first')), [other])).toEqual(allOnce(10));
});
