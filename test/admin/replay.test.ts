/** Replays of dead letters whose content is not a message: they change nothing, whatever the content is. */
import { Queue } from 'bullmq';
import { expect, test } from 'vitest';
import { openQueues } from '../../src/queue/open.ts';
import { intakeName, jobName, keysOf } from '../../src/queue/redis/keys.ts';
import { until } from '../../testkit/until.ts';
import { configOf, startWorker, testOperator, testProducer } from '../support/postlane.ts';
import { redisUrl, testConnection, testPrefix } from '../support/redis.ts';

test.for([
  ['nested 6,000 deep', `${'['.repeat(6_000)}${']'.repeat(6_000)}`],
  ['objects nested 6,000 deep', `${'{"v":'.repeat(6_000)}1${'}'.repeat(6_000)}`],
  ['not JSON', '{"v":1,'],
])('attack: a dead letter whose content is %s stays as it is, and its row too', async ([, data = '']) => {
  const prefix = testPrefix();
  const redis = testConnection();
  const intake = new Queue(intakeName, { connection: { url: redisUrl() }, prefix });
  await intake.add(jobName, {}, { jobId: 'deep', delay: 3_600_000 });
  await redis.hset(keysOf(prefix).intakeJob('deep'), 'data', data);
  await intake.promoteJobs();
  const { worker } = await startWorker({ prefix, config: configOf({ relay: {} }) });
  const producer = testProducer(prefix);
  await until(async () => (await producer.status('deep'))?.state === 'dead', { what: 'the dead letter' });
  const operator = await testOperator(prefix);
  const how = { via: null, now: Date.now(), lifetimeMs: 3_600_000 };
  expect([await operator.replay('deep', how), await operator.replay('deep', how)]).toEqual([
    'unreadable',
    'unreadable',
  ]);
  expect([(await producer.status('deep'))?.state, await operator.deadLetters.count()]).toEqual(['dead', 1]);
  await worker.stop();
  await intake.close();
  redis.disconnect();
});

test('attack: what another program has left under the key of a replayed message does not swallow it', async () => {
  const prefix = testPrefix();
  const redis = testConnection();
  const { worker, recorded } = await startWorker({
    prefix,
    config: configOf({ relay: {} }),
    scripts: { relay: ['rejected'] },
  });
  const producer = testProducer(prefix);
  await producer.send({ id: 'one', from: 'a@example.com', to: 'b@example.net', subject: 'one' });
  await until(async () => (await producer.status('one'))?.state === 'dead', { what: 'the dead letter' });
  await redis.hset(keysOf(prefix).intakeJob('one'), 'data', 'rubbish');
  const operator = await testOperator(prefix);
  expect(await operator.replay('one', { via: null, now: Date.now(), lifetimeMs: 3_600_000 })).toBe('replayed');
  await until(async () => (await producer.status('one'))?.state === 'sent', { what: 'the replayed message' });
  expect(recorded('relay').mails).toHaveLength(2);
  await worker.stop();
  redis.disconnect();
});

test('a replay that is interrupted after the row was released is completed by the next one', async () => {
  const prefix = testPrefix();
  const { worker, recorded } = await startWorker({
    prefix,
    config: configOf({ relay: {} }),
    scripts: { relay: ['rejected'] },
  });
  const producer = testProducer(prefix);
  await producer.send({ id: 'one', from: 'a@example.com', to: 'b@example.net', subject: 'one' });
  await until(async () => (await producer.status('one'))?.state === 'dead', { what: 'the dead letter' });
  const operator = await testOperator(prefix);
  const redis = testConnection();
  const { ledger } = openQueues(redis, { prefix });
  const now = Date.now();
  const entry = { at: now, event: 'replayed' } as const;
  const deadline = now + 3_600_000;
  expect(await ledger.release('one', { from: ['dead'], entry, deadline, via: null })).toBe(true);
  expect(await operator.replay('one', { via: null, now: now + 1, lifetimeMs: 3_600_000 })).toBe('replayed');
  await until(async () => (await producer.status('one'))?.state === 'sent', { what: 'the replayed message' });
  expect(recorded('relay').mails).toHaveLength(2);
  expect(await operator.deadLetters.count()).toBe(0);
  await worker.stop();
  redis.disconnect();
});

test('a replay that goes on late leaves the new letter of a message that has died again', async () => {
  const prefix = testPrefix();
  const { worker } = await startWorker({
    prefix,
    config: configOf({ relay: {} }),
    scripts: { relay: ['rejected', 'rejected'] },
  });
  const producer = testProducer(prefix);
  await producer.send({ id: 'one', from: 'a@example.com', to: 'b@example.net', subject: 'one' });
  await until(async () => (await producer.status('one'))?.state === 'dead', { what: 'the dead letter' });
  const operator = await testOperator(prefix);
  const read = await operator.deadLetters.get('one');
  expect(await operator.replay('one', { via: null, now: Date.now(), lifetimeMs: 3_600_000 })).toBe('replayed');
  await until(async () => (await producer.status('one'))?.state === 'dead', { what: 'the second dead letter' });
  expect(await operator.deadLetters.drop('one', read!)).toBe(false);
  expect(await operator.deadLetters.get('one')).toMatchObject({ reason: 'rejected', attempts: 2 });
  expect(await operator.drop('one')).toBe(true);
  expect([await operator.deadLetters.count(), await operator.drop('one')]).toEqual([0, false]);
  await worker.stop();
});

test.for(['', 'abc', '1e3', 'Infinity', '-1', '0x10'])(
  'attack: a dead letter whose numbers are %j can be dropped',
  async (number) => {
    const prefix = testPrefix();
    const redis = testConnection();
    const keys = keysOf(prefix);
    await redis.hset(keys.deadLetter('odd'), {
      reason: 'rejected',
      at: number,
      attempts: number,
      data: '{}',
      form: 'json',
    });
    await redis.zadd(keys.dead, 1, 'odd');
    const operator = await testOperator(prefix);
    expect(await operator.drop('odd')).toBe(true);
    expect(await redis.exists(keys.deadLetter('odd'), keys.dead)).toBe(0);
    redis.disconnect();
  },
);
