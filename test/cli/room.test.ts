/** What an operator sees of the memory of Redis: in `doctor` always, in `status` and `connectors` when new mail is refused. */
import { expect, test } from 'vitest';
import { project } from '../support/cli.ts';
import { ownRedis } from '../support/own-redis.ts';
import { configOf, startWorker, testProducer } from '../support/postlane.ts';
import { shardCount } from '../support/redis.ts';
import { until } from '../../testkit/until.ts';

const prefix = '{room}';

const configFor = (reserve: string): string =>
  [
    `redis: { prefix: "${prefix}", shards: ${shardCount()}, reserve: ${reserve} }`,
    'hostname: mail.example.com',
    'systemDefaultGateway: relay',
    'connectors:',
    '  relay: { direction: outgoing, smtp: { host: 127.0.0.1, port: 2525, security: none } }',
    '',
  ].join('\n');

test('doctor ends with the memory that is used, kept and free, and advises to set maxmemory where there is none', async () => {
  const { url, admin } = await ownRedis();
  const env = { REDIS_URL: url };
  const here = project(configFor('30%'));
  expect((await here.call(['doctor'], { env })).stderr).toMatch(/no inconsistency\.\nRedis has no maxmemory: set one/);
  await admin.config('SET', 'maxmemory', '100mb');
  const { code, stdout, stderr } = await here.call(['doctor'], { env });
  expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
  expect(stderr).toMatch(
    /Redis uses \d\.\d of 100\.0 MiB; 30\.0 MiB are kept for messages that wait \(redis\.reserve: 30%\), 6\d\.\d MiB are free for new ones\.$/m,
  );
});

test('status and connectors say when new mail is refused, send ends with 1 and redis-full, and the worker says it once', async () => {
  const { url, admin } = await ownRedis();
  const env = { REDIS_URL: url };
  const here = project(configFor('0%'));
  const { of } = await startWorker({ prefix, redis: { url }, config: configOf({ relay: {} }) });
  await testProducer(prefix, { url }).send({ id: 'a', from: 'a@example.com', to: 'b@example.net', text: 'x' });
  expect((await here.call(['status', 'a'], { env })).stderr).toBe('');
  await admin.config('SET', 'maxmemory', '1000');
  const refused = /no room for new ones: `send` is refused with redis-full\.$/m;
  expect((await here.call(['status', 'a'], { env })).stderr).toMatch(refused);
  expect((await here.call(['connectors'], { env })).stderr).toMatch(refused);
  const about = ['send', '--from', 'a@example.com', '--to', 'b@example.net', '--text', 'x'];
  const sent = await here.call([...about, '--json'], { env });
  expect(sent).toMatchObject({ code: 1, stdout: '' });
  expect(JSON.parse(sent.stderr)).toMatchObject({
    error: { code: 'redis-full', issues: [{ field: 'redis.reserve' }] },
  });
  await until(() => of('redis-full').length > 0, { what: 'the worker to say so' });
  expect(of('redis-room')).toEqual([]);
  await admin.config('SET', 'maxmemory', '100mb');
  await until(() => of('redis-room').length > 0, { what: 'the worker to say that there is room' });
  expect(of('redis-full')).toHaveLength(1);
  expect(of('redis-full')[0]).toMatchObject({ maxBytes: 1_000 });
});
