/** Moves between lanes: what may move, and what a crash amid a move between shards leaves behind. */
import { describe, expect, test } from 'vitest';
import { copiesOf, countable, settled, sink } from '../../support/accounting.ts';
import { configOf, startWorker, testOperator, testProducer } from '../../support/postlane.ts';
import { sweep } from '../../support/sweep.ts';
import { redisUrl, shardCount, testConnection, testPrefix } from '../../support/redis.ts';
import { keysOf, laneName, transit } from '../../../src/queue/redis/keys.ts';
import { shardsOf } from '../../../src/queue/redis/shards.ts';
import { createSmtpTransport } from '../../../src/transport/smtp/smtp.ts';
import { smtpSettings } from '../../../testkit/smtp/settings.ts';
import { until } from '../../../testkit/until.ts';

const entry = { at: 1, event: 'fallback', connector: 'b', detail: 'a test' };
const out = { kind: 'out', from: 'a', to: 'b', rule: 'fallback' } as const;

/** A message that waits in the lane `a`, whose mail goes by others. */
async function waiting(prefix: string, redis?: { url: string; shards: number }, dot?: () => Promise<undefined>) {
  const options = redis === undefined ? {} : { redis };
  const server = await sink(dot === undefined ? {} : { script: { '.': dot } });
  const operator = await testOperator(prefix, redisUrl(), redis);
  await operator.lanes.holdFor('a', 600_000, 'fault');
  // The test is the one that looks after fallbacks: the worker does nothing of that.
  expect(await operator.lanes.fallback.lead('test', 600_000)).toBe(true);
  await testConnection().hset(
    shardsOf(prefix, redis?.shards ?? shardCount())
      .keysOf('a')
      .fallback('a'),
    'since',
    1,
  );
  const connectors = { a: {}, b: {} };
  const settings = smtpSettings(server.port);
  const transports = Object.fromEntries(
    Object.keys(connectors).map((id) => [
      id,
      createSmtpTransport({ settings, hostname: 'worker.test', maxConnections: 2 }),
    ]),
  );
  const start = () => startWorker({ prefix, config: configOf(connectors), transports, ...options });
  const worker = await start();
  const producer = testProducer(prefix, options);
  await producer.send(countable('m'));
  await until(async () => (await operator.lanes.status('a')).waiting === 1, { what: 'the message to wait' });
  return { producer, operator, worker, server, restart: start };
}

describe.skipIf(shardCount() > 1)('within a shard', () => {
  test('a message that waits is moved in one step, with its row, and is sent there under its Message-ID', async () => {
    const { producer, operator, server } = await waiting(testPrefix());
    const before = await producer.status('m');
    expect(await operator.lanes.fallback.move(out, [{ jobId: 'm', entry }])).toBe(1);
    const [row] = await settled(producer, ['m']);
    expect(row).toMatchObject({ state: 'sent', connector: 'b', rule: 'fallback', attempts: 1 });
    expect(row!.history.map(({ event }) => event)).toEqual(['routed', 'fallback', 'sent']);
    expect(row!.messageId).toBe(before!.messageId);
    expect(copiesOf('m', [server])).toBe(1);
  });

  test.each([
    ['an open attempt', { open: '{"token":"t","at":1,"worker":"w"}' }],
    ['a recipient who may have a copy', { recipients: '[{"address":"x@example.net","outcome":"uncertain"}]' }],
    ['an attempt that was uncertain once', { attempts: '1', n: '2', h2: '{"at":1,"event":"uncertain"}' }],
    ['a history that would soon be longer than what is kept of it', { attempts: '1', n: '51' }],
    ['a connector that an operator chose', { rule: 'via' }],
    ['another connector that this one stands in for', { rule: 'fallback' }],
    ['another connector that is to get it back', { rule: 'unfit' }],
    ['a row of another lane', { routed: 'c' }],
    ['an end', { state: 'sent' }],
    ['a deadline that is over', { deadline: '1000' }],
  ])('a message with %s stays where it is', async (_, fields) => {
    const prefix = testPrefix();
    const { operator } = await waiting(prefix);
    await testConnection().hset(keysOf(prefix).ledger('m'), fields);
    expect(await operator.lanes.fallback.move(out, [{ jobId: 'm', entry }])).toBe(0);
    expect(await operator.lanes.fallback.peek('a', 0, 10, Date.now())).toEqual({ looked: 1, found: [] });
    expect(await operator.lanes.status('a')).toMatchObject({ waiting: 1 });
  });

  test('a message of a connector whose failover is over, or that is paused, stays where it is, and begins no failover', async () => {
    const prefix = testPrefix();
    const { operator } = await waiting(prefix);
    const { lanes } = operator;
    const { fallback } = lanes;
    await operator.lanes.pause('a');
    expect(await fallback.move(out, [{ jobId: 'm', entry }])).toBe(0);
    await operator.lanes.pause('a', { by: 'test', reason: 'test', forMs: 1 });
    const about = { to: 'b', fault: 'unreachable', reply: '', healthy: null };
    await fallback.note('a', { kind: 'ended', ...about });
    expect(await fallback.move(out, [{ jobId: 'm', entry }])).toBe(0);
    expect(await fallback.note('a', { kind: 'goes-on', ...about })).toBe(false);
    expect(await fallback.note('a', { kind: 'began', ...about })).toBe(false);
    expect(await testConnection().exists(keysOf(prefix).fallback('a'))).toBe(0);
    expect(await lanes.status('a')).toMatchObject({ waiting: 1, fallback: null });
  });

  test('what the refusals of a lane have shown of a message does not go with it, nor stay behind', async () => {
    const prefix = testPrefix();
    const { operator } = await waiting(prefix);
    const [redis, { attribution }] = [testConnection(), keysOf(prefix)];
    // As a refusal that was believed late leaves it.
    await redis.hset(attribution('a'), { 'm:m': '{"late":true}', 'm:other': '{}' });
    expect(await operator.lanes.fallback.move(out, [{ jobId: 'm', entry }])).toBe(1);
    expect(await redis.hgetall(attribution('a'))).toEqual({ 'm:other': '{}' });
  });

  test('of two processes that move the same message one does, and none doubles it', async () => {
    const { producer, operator, server } = await waiting(testPrefix());
    const moves = await Promise.all([1, 2].map(() => operator.lanes.fallback.move(out, [{ jobId: 'm', entry }])));
    expect(moves.toSorted((a, b) => a - b)).toEqual([0, 1]);
    await settled(producer, ['m']);
    expect(copiesOf('m', [server])).toBe(1);
  });
});

const inShards = (shards: number) => ({ url: redisUrl(), shards });

test('a crash after the first step of a move between shards leaves the message in its own lane', async () => {
  const { producer, operator, server } = await waiting(testPrefix(), inShards(3));
  expect(await operator.lanes.fallback.setOut(out, { jobId: 'm', entry })).toBe('2');
  expect(await operator.lanes.status('a')).toMatchObject({ waiting: 0 });
  // Maintenance routes it again.
  await until(async () => (await operator.lanes.status('a')).waiting === 1, { what: 'the message to be back' });
  await operator.lanes.resume('a');
  const [row] = await settled(producer, ['m']);
  expect(row).toMatchObject({ state: 'sent', connector: 'a' });
  expect(copiesOf('m', [server])).toBe(1);
});

test('what a crash leaves of a move that was done is let go, also while the message is being sent: it is not routed again', async () => {
  const prefix = testPrefix();
  const gate = Promise.withResolvers<undefined>();
  const { producer, operator, server, worker } = await waiting(prefix, inShards(3), () => gate.promise);
  const redis = testConnection();
  const keys = shardsOf(prefix, 3).keysOf('a');
  const left = keys.laneJob(transit, 'm');
  await operator.lanes.fallback.setOut(out, { jobId: 'm', entry });
  await redis.copy(left, `${left}:kept`);
  await until(async () => (await operator.lanes.status('a')).waiting === 1, { what: 'the message to be in a lane' });
  await operator.lanes.resume('a');
  await until(async () => (await producer.status('m'))?.state === 'sending', { what: 'its attempt' });
  await redis.rename(`${left}:kept`, left);
  await redis.lpush(keys.queue(laneName(transit), 'wait'), 'm');
  await until(async () => (await redis.exists(left)) === 0, { what: 'what is left to go' });
  gate.resolve(undefined);
  const [row] = await settled(producer, ['m']);
  expect(row!.history.map(({ event }) => event)).toEqual(['routed', 'fallback', 'routed', 'sent']);
  expect(copiesOf('m', [server])).toBe(1);
  expect(worker.of('lane-orphaned')).toEqual([]);
});

test('a process that ends a move late does not end the next one of the same message', async () => {
  const prefix = testPrefix();
  const { operator, worker } = await waiting(prefix, inShards(3));
  const { fallback } = operator.lanes;
  const first = await fallback.setOut(out, { jobId: 'm', entry });
  await until(async () => (await operator.lanes.status('a')).waiting === 1, { what: 'the message to be back' });
  await worker.worker.stop();
  expect(await fallback.setOut(out, { jobId: 'm', entry })).not.toBeNull();
  await fallback.arrived('a', 'm', first!);
  expect(await testConnection().exists(shardsOf(prefix, 3).keysOf('a').laneJob(transit, 'm'))).toBe(1);
});

test('a message between two shards is lost neither to doctor --fix nor to the sweep of deadlines, and is sent once', async () => {
  const prefix = testPrefix();
  const { producer, operator, server, worker, restart } = await waiting(prefix, inShards(3));
  await worker.worker.stop();
  expect(await operator.lanes.fallback.setOut(out, { jobId: 'm', entry })).toBe('2');
  const options = { fix: true, now: Date.now, senders: ['a', 'b'], lifetimeMs: 3_600_000, retentionMs: 86_400_000 };
  const found: string[] = [];
  for await (const { kind } of operator.diagnose({ ...options, lookAgainMs: 5 })) found.push(kind);
  expect(found).toEqual(['lane-unconfigured']);
  await sweep(prefix, 3);
  expect(await producer.status('m')).toMatchObject({ state: 'queued' });
  await operator.lanes.resume('a');
  await restart();
  expect(await settled(producer, ['m'])).toMatchObject([{ state: 'sent', connector: 'a' }]);
  expect(copiesOf('m', [server])).toBe(1);
});

test.each([1, 3])(
  'a message that changes its lane while the sweep of deadlines looks for it is not lost, and is sent once (shards: %i)',
  async (shards) => {
    const prefix = testPrefix();
    const { producer, operator, server } = await waiting(prefix, inShards(shards));
    await operator.lanes.pause('b');
    const { fallback } = operator.lanes;
    const move = async (): Promise<void> => {
      if (fallback.isBeside('a', 'b')) await fallback.move(out, [{ jobId: 'm', entry }]);
      else await fallback.setOut(out, { jobId: 'm', entry });
    };
    await sweep(prefix, shards, move);
    expect(await producer.status('m')).toMatchObject({ state: 'queued' });
    await operator.lanes.resume('a');
    await operator.lanes.resume('b');
    expect(await settled(producer, ['m'])).toMatchObject([{ state: 'sent' }]);
    expect(copiesOf('m', [server])).toBe(1);
  },
);
