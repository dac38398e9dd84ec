/** What a fallback has of others and cannot send comes back to its own connector. */
import { expect, test } from 'vitest';
import { account, allOnce, countableMany, settled, sink } from '../../support/accounting.ts';
import { after, startSender, switched } from '../../support/fallback.ts';
import { testProducer, testRetry } from '../../support/postlane.ts';
import { testPrefix } from '../../support/redis.ts';
import { until } from '../../../testkit/until.ts';

test('mail that a fallback has deferred before it went away comes back once its own connector works', async () => {
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  const own = await switched();
  let away = false;
  const other = await sink({
    script: {
      CONNECT: () => (away ? 'close' : undefined),
      RCPT: '451 4.3.0 local error',
    },
  });
  await startSender(prefix, {
    primary: { port: own.server.port, connector: { fallback: after(0, 'standby') } },
    standby: { port: other.port, connector: { retry: { ...testRetry, firstDelayMs: 1_500, maxDelayMs: 1_500 } } },
  });
  const messages = countableMany(5);
  await producer.sendMany(messages);
  const states = async () => Promise.all(messages.map(async ({ id }) => producer.status(id!)));
  await until(async () => (await states()).every((row) => row?.state === 'deferred' && row.connector === 'standby'), {
    what: 'the fallback to defer all',
  });
  away = true;
  other.dropConnections();
  own.is.away = false;
  const rows = await settled(producer, messages, 15_000);
  expect(new Set(rows.map(({ connector }) => connector))).toEqual(new Set(['primary']));
  expect(account(rows, [own.server, other])).toEqual(allOnce(5));
});
