/** What a newer release has stored waits for it: it is no dead letter, holds up no other message, and is not changed. */
import { Queue } from 'bullmq';
import { describe, expect, onTestFinished, test } from 'vitest';
import { noteForm, readForm } from '../../src/queue/ledger/stored-form.ts';
import { intakeName, jobName, keysOf } from '../../src/queue/redis/keys.ts';
import { until } from '../../testkit/until.ts';
import { configOf, startWorker, testOperator, testProducer } from '../support/postlane.ts';
import { isSealed, redisUrl, shardCount, testConnection, testPrefix } from '../support/redis.ts';

const config = configOf({ relay: {} });
const message = (id: string) => ({ id, from: 'a@example.com', to: 'b@example.net', subject: id });

function installation() {
  const prefix = testPrefix();
  const redis = testConnection();
  onTestFinished(() => redis.disconnect());
  return { prefix, redis, keys: keysOf(prefix), producer: testProducer(prefix) };
}

async function enqueue(prefix: string, id: string, data: unknown): Promise<void> {
  const intake = new Queue(intakeName, { connection: { url: redisUrl() }, prefix });
  await intake.add(jobName, data, { jobId: id });
  await intake.close();
}

describe('a job of a newer version', () => {
  test('waits in the intake, is logged, and holds up no other message', async () => {
    const { prefix, producer } = installation();
    await enqueue(prefix, 'newer', { v: 3, message: { sealed: 'abc' } });
    await producer.send(message('plain'));
    const { of, recorded } = await startWorker({ prefix, config });
    await until(() => recorded('relay').mails.length === 1 && of('format-newer').length > 0, {
      what: 'both to be looked at',
    });
    expect(of('format-newer')).toEqual([{ event: 'format-newer', id: 'newer', version: 3 }]);
    const operator = await testOperator(prefix);
    expect(await operator.intakeCounts()).toEqual({ waiting: 0, delayed: 1, active: 0 });
    expect(await operator.deadLetters.count()).toBe(0);
    const found = [];
    const options = {
      fix: true,
      now: Date.now,
      senders: ['relay'],
      lifetimeMs: 1_000,
      retentionMs: 1_000,
      lookAgainMs: 10,
    };
    for await (const { kind, id, fixed } of operator.diagnose(options)) found.push([kind, id, fixed]);
    expect(found).toEqual([['format-newer', 'newer', false]]);
    expect((await producer.status('newer'))?.history.map(({ event }) => event)).toEqual(['accepted']);
  });

  test.skipIf(shardCount() > 1)(
    'waits in its lane beyond its deadline, which is for the newer release to settle',
    async () => {
      const { prefix, redis, keys, producer } = installation();
      const first = await startWorker({ prefix, config, name: 'first' });
      const operator = await testOperator(prefix);
      await operator.lanes.pause('relay');
      for (const id of ['newer', 'plain']) {
        await producer.send({ ...message(id), expiresAt: new Date(Date.now() + 3_600_000) });
        await until(async () => (await redis.exists(keys.ledger(id))) === 1, { what: `${id} in its lane` });
      }
      await redis.hset(keys.laneJob('relay', 'newer'), 'data', '{"v":3,"anything":"else"}');
      for (const id of ['newer', 'plain']) {
        await redis.hset(keys.ledger(id), 'deadline', '1000');
        await redis.zadd(keys.unsettled, 1_000, id);
      }
      await until(async () => (await producer.status('plain'))?.state === 'dead', { what: 'the other one to expire' });
      await operator.lanes.resume('relay');
      await until(() => first.of('format-newer').length > 0, { what: 'the newer one to be looked at' });
      expect((await producer.status('newer'))?.state).toBe('queued');
      expect(await redis.hget(keys.laneJob('relay', 'newer'), 'data')).toBe('{"v":3,"anything":"else"}');
      expect(first.recorded('relay').mails).toEqual([]);
    },
  );

  test.for([0, -1, 1.5, '2', 1e9, null, true, [2], { v: 2 }])(
    'is one by a whole number of a sane size only: %j is invalid',
    async (v) => {
      const { prefix, producer } = installation();
      await enqueue(prefix, 'odd', { v, message: {} });
      await startWorker({ prefix, config });
      await until(async () => (await producer.status('odd'))?.state === 'dead', { what: 'the dead letter' });
      expect((await producer.status('odd'))?.reason).toBe('invalid-message');
    },
  );
});

describe('an installation whose form only a newer release knows', () => {
  const raise = async ({ redis, keys }: Pick<ReturnType<typeof installation>, 'redis' | 'keys'>): Promise<void> => {
    await redis.hset(keys.format, { version: '3', reads: '3' });
  };

  test('gets no mail from a worker that starts, until the form is known again', async () => {
    const here = installation();
    await raise(here);
    await here.producer.send(message('one'));
    const lowered = async (): Promise<void> => void (await here.redis.hset(here.keys.format, 'reads', '1'));
    const starting = startWorker({ prefix: here.prefix, config });
    // The worker has looked once it has asked for the key; the message is where it was.
    await until(async () => (await readForm(here.redis, here.keys)).kind === 'waits', { what: 'the raised form' });
    expect((await here.producer.status('one'))?.history.map(({ event }) => event)).toEqual(['accepted']);
    await lowered();
    const { of, recorded } = await starting;
    await until(() => recorded('relay').mails.length === 1, { what: 'the message' });
    expect(of('format-newer').length).toBeLessThanOrEqual(1);
  });

  test('gets no more mail from a worker that runs; it goes on when the form is known again', async () => {
    const here = installation();
    const { of, recorded } = await startWorker({ prefix: here.prefix, config });
    await here.producer.send(message('before'));
    await until(() => recorded('relay').mails.length === 1, { what: 'the first message' });
    await raise(here);
    await until(() => of('format-newer').length === 1, { what: 'the worker to notice' });
    expect(of('format-newer')).toEqual([{ event: 'format-newer', id: null, version: 3 }]);
    await here.producer.send(message('while'));
    await here.redis.hset(here.keys.format, 'reads', '1');
    await until(() => recorded('relay').mails.length === 2, { what: 'the second message' });
    expect(of('format-known')).toHaveLength(1);
    expect((await here.producer.status('while'))?.history.filter(({ event }) => event === 'routed')).toHaveLength(1);
  });

  test('is not touched by an operator', async () => {
    const here = installation();
    await raise(here);
    await expect(testOperator(here.prefix)).rejects.toMatchObject({ code: 'format-newer' });
  });
});

test.skipIf(shardCount() > 1)(
  'fields that a newer release has added to a row are kept when an older one writes it',
  async () => {
    const { prefix, redis, keys, producer } = installation();
    const { recorded } = await startWorker({ prefix, config, scripts: { relay: ['deferred'] } });
    await producer.send(message('one'));
    await until(async () => (await producer.status('one'))?.state === 'deferred', { what: 'the first attempt' });
    await redis.hset(keys.ledger('one'), 'future', 'kept');
    await until(async () => (await producer.status('one'))?.state === 'sent', { what: 'the second attempt' });
    expect(recorded('relay').mails).toHaveLength(2);
    expect(await redis.hget(keys.ledger('one'), 'future')).toBe('kept');
  },
);

test('a row of a newer version is said to be one, and is not taken for another', async () => {
  const { redis, keys, producer } = installation();
  await redis.hset(keys.ledger('newer'), { v: '2', state: 'sealed' });
  await expect(producer.status('newer')).rejects.toMatchObject({ code: 'format-newer', id: 'newer' });
});

describe.skipIf(shardCount() > 1)('an installation that workers of form 1 know', () => {
  const older = async ({ redis, keys }: Pick<ReturnType<typeof installation>, 'redis' | 'keys'>): Promise<void> => {
    await redis.hset(keys.format, { version: '1', reads: '1' });
  };

  test.skipIf(isSealed())(
    'is told of the new form at once, and for 30 s gets nothing that they would not read',
    async () => {
      const here = installation();
      await older(here);
      await here.producer.send(message('early'));
      const { recorded } = await startWorker({ prefix: here.prefix, config });
      const operator = await testOperator(here.prefix);
      await operator.lanes.pause('relay');
      await here.producer.send(message('paused'));
      await until(async () => (await here.redis.exists(here.keys.laneJob('relay', 'paused'))) === 1, {
        what: 'the message in its lane',
      });
      expect(await here.redis.hmget(here.keys.format, 'version', 'reads')).toEqual(['2', '2']);
      const job = await here.redis.hgetall(here.keys.laneJob('relay', 'paused'));
      expect(job['routing']).toBeUndefined();
      expect(JSON.parse(job['data'] ?? '')).toMatchObject({ v: 1, connector: 'relay', messageId: expect.any(String) });
      await operator.lanes.resume('relay');
      await until(() => recorded('relay').mails.length === 2, { what: 'both messages' });
    },
  );

  test('gets the new form once they have had the time to stop', async () => {
    const here = installation();
    await older(here);
    await noteForm(here.redis, here.keys);
    await here.redis.hset(here.keys.format, 'raised', Date.now() - 31_000);
    await startWorker({ prefix: here.prefix, config });
    const operator = await testOperator(here.prefix);
    await operator.lanes.pause('relay');
    await here.producer.send(message('late'));
    await until(async () => (await here.redis.exists(here.keys.laneJob('relay', 'late'))) === 1, {
      what: 'the message in its lane',
    });
    expect(await here.redis.hexists(here.keys.laneJob('relay', 'late'), 'routing')).toBe(1);
  });

  test('is as old as the oldest worker that may be there: one that finds no form is the first', async () => {
    const here = installation();
    expect(await noteForm(here.redis, here.keys)).toBe(0);
    expect(await noteForm(here.redis, here.keys)).toBe(0);
    await older(here);
    expect(await noteForm(here.redis, here.keys)).toBe(30_000);
    expect(await noteForm(here.redis, here.keys)).toBeGreaterThan(20_000);
  });
});
