/** What messages whose key is in no worker cost the others: looks are counted by how often jobs were taken. */
import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { keysOf } from '../../src/queue/redis/keys.ts';
import { createKeyring } from '../../src/sealing/keyring.ts';
import { createKeyAlarm } from '../../src/worker/key-alarm.ts';
import type { WorkerEvent } from '../../src/worker/events.ts';
import { until } from '../../testkit/until.ts';
import { configOf, startWorker, testOperator, testProducer } from '../support/postlane.ts';
import { shardCount, testConnection, testPrefix } from '../support/redis.ts';

const [k1, k2] = [1, 2].map(() => randomBytes(32).toString('base64')) as [string, string];
const first = { active: 'k1', keys: { k1 } };
const second = { active: 'k2', keys: { k2 } };
const printOfFirst = createKeyring(first).sealing!.print;
const both = { active: 'k2', keys: { k1, k2 } };
const many = (count: number, name: string) =>
  Array.from({ length: count }, (_, i) => ({
    id: `${name}${i}`,
    from: 'a@example.com',
    to: 'b@example.net',
    text: 'x',
  }));

/** How often the jobs of these messages were taken, all together; `queue`: `outbound`, or `lane-…`. */
async function looks(prefix: string, queue: string, ids: readonly string[]): Promise<number> {
  const pipeline = testConnection().pipeline();
  for (const id of ids) pipeline.hget(`${prefix}:${queue}:${id}`, 'ats');
  return ((await pipeline.exec()) ?? []).reduce((sum, [, starts]) => sum + Number(starts ?? 0), 0);
}

test.skipIf(shardCount() > 1)(
  'in a lane with a rate, 300 of them are told by a few looks, and mail behind them goes at that rate',
  async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix, { encryption: first });
    const operator = await testOperator(prefix, undefined, undefined, { encryption: first });
    await operator.lanes.pause('relay');
    // One in 400 ms: 300 looks would take two minutes.
    const config = configOf({ relay: { limits: { concurrency: 5, messagesPerMinute: 150 } } });
    const { worker, recorded } = await startWorker({ prefix, config: { ...config, encryption: first } });
    const locked = many(300, 'locked');
    await producer.sendMany(locked);
    await until(async () => (await operator.lanes.status('relay')).waiting === 300, { what: 'all in the lane' });
    await worker.apply({ ...config, encryption: second });
    // It has said that it has the first key; that is over as if it had stopped a minute ago.
    const redis = testConnection();
    await redis.del(keysOf(prefix).keyHere(printOfFirst));
    await testProducer(prefix, { encryption: second }).sendMany(many(5, 'open'));
    await until(async () => (await operator.lanes.status('relay')).waiting === 305, { what: 'the others behind them' });
    const resumedAt = performance.now();
    await operator.lanes.resume('relay');
    await until(() => recorded('relay').mails.length === 5, { what: 'the others', timeoutMs: 60_000 });
    expect(performance.now() - resumedAt).toBeLessThan(30_000);
    const ids = locked.map(({ id }) => id);
    expect(await looks(prefix, 'lane-relay', ids)).toBeLessThan(10);
    expect((await operator.lanes.status('relay')).waitingFor).toBe('key');
  },
);

test('in the intake, 3,000 of them cost less than a hundred looks, delay nobody, and all go once the key is there', async () => {
  const prefix = testPrefix();
  const producer = testProducer(prefix, { encryption: first });
  const locked = many(3_000, 'locked');
  expect((await producer.sendMany(locked)).filter(({ ok }) => !ok)).toEqual([]);
  const config = configOf({ relay: { limits: { concurrency: 20, messagesPerMinute: null } } });
  const { worker, recorded, of } = await startWorker({ prefix, config: { ...config, encryption: second } });
  await testProducer(prefix, { encryption: second }).sendMany(many(50, 'open'));
  const operator = await testOperator(prefix, undefined, undefined, { encryption: second });
  const counts = (): ReturnType<typeof operator.intakeCounts> => operator.intakeCounts();
  await until(async () => (await counts()).delayed === 3_000, { what: 'all to be put off' });
  await until(() => recorded('relay').mails.length === 50, { what: 'the others' });
  const ids = locked.map(({ id }) => id);
  // Some are taken together with the first.
  expect(await looks(prefix, 'outbound', ids)).toBeLessThan(100);
  expect(of('key-missing')).toHaveLength(1);
  expect(await operator.deadLetters.count()).toBe(0);
  // They wait for minutes by now; a time that has come is the same.
  await worker.apply({ ...config, encryption: both });
  const redis = testConnection();
  await redis.zadd(`${prefix}:outbound:delayed`, ...ids.flatMap((id) => [String(Date.now() * 4_096), id]));
  await until(() => recorded('relay').mails.length === 3_050, { what: 'all', timeoutMs: 120_000 });
});

test('what one worker can open is not put off by one that has not the key, but for what it has taken itself', async () => {
  const prefix = testPrefix();
  const config = configOf({ relay: {} });
  // Under another name: a key is known by its print.
  const renamed = { active: 'k2', keys: { old: first.keys.k1, ...second.keys } };
  await startWorker({ prefix, name: 'has', config: { ...config, encryption: renamed } });
  const redis = testConnection();
  await until(async () => (await redis.keys(`${prefix}*:key:${printOfFirst}`)).length > 0, {
    what: 'its word that it has the key',
  });
  const operator = await testOperator(prefix);
  await operator.lanes.pause('relay');
  const lacks = await startWorker({ prefix, name: 'lacks', config: { ...config, encryption: second } });
  const producer = testProducer(prefix, { encryption: first });
  await producer.sendMany(many(60, 'm'));
  await until(
    async () => (await operator.lanes.status('relay')).waiting + (await operator.intakeCounts()).delayed === 60,
    {
      what: 'all to be routed, or put off one by one',
    },
  );
  for (const { messages } of lacks.of('key-missing')) expect(messages).toBe(1);
});

test('the more of them wait, the more seldom they are looked at: at most eight times as seldom', () => {
  let now = 0;
  const events: WorkerEvent[] = [];
  const alarm = createKeyAlarm(
    (event) => events.push(event),
    async () => undefined,
    () => now,
    30_000,
  );
  const missing = (others: number): void => alarm.missing({ id: 'm', key: 'k1', connector: null, others });
  missing(0);
  expect(alarm.waitMs('k1')).toBe(30_000);
  missing(5_000);
  expect(alarm.waitMs('k1')).toBe(180_000);
  missing(100_000);
  expect(alarm.waitMs('k1')).toBe(240_000);
  expect(alarm.waitMs('k2')).toBe(30_000);
  // Two waits later, with one left.
  now += 240_001;
  missing(0);
  expect(alarm.waitMs('k1')).toBe(240_000);
  now += 240_001;
  missing(0);
  expect(alarm.waitMs('k1')).toBe(30_000);
  expect(events.map((event) => ('messages' in event ? event.messages : 0))).toEqual([1, 105_003, 1]);
});
