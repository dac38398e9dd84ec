/** Replays of dead letters whose content is not a message: they change nothing, whatever the content is. */
import { Queue } from 'bullmq';
import { expect, test } from 'vitest';
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
