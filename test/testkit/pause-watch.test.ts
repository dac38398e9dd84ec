/** The watch on pauses, which shares its Redis with the traffic of other tests. */
import { expect, onTestFinished, test } from 'vitest';
import { fullLimiter } from '../../src/queue/bullmq/layout.ts';
import { until } from '../../testkit/until.ts';
import { watchPauses, type PauseWatch } from '../support/pause-watch.ts';
import { testConnection, testPrefix } from '../support/redis.ts';

test('a watch that begins amid the commands of others sees each later pause', async () => {
  const prefix = testPrefix();
  const others = [testConnection(), testConnection(), testConnection()];
  const end = new AbortController();
  const traffic = others.map(async (redis) => {
    while (!end.signal.aborted) await redis.multi().set(`${prefix}:other`, '1').get(`${prefix}:other`).exec();
  });
  const watches: PauseWatch[] = [];
  onTestFinished(() => end.abort());
  // Redis reports a command together with its OK more often than not.
  for (let i = 0; i < 20; i += 1) watches.push(await watchPauses(prefix));
  await others[0]!.set(`${prefix}:lane-a:limiter`, fullLimiter, 'PX', 60_000);
  await until(() => watches.every(({ pauses }) => pauses.some(({ lane }) => lane === 'lane-a')), {
    what: 'every watch to see the pause',
  });
  expect(watches.map(({ pauses }) => pauses.length)).toEqual(watches.map(() => 1));
  end.abort();
  await Promise.all(traffic);
});
