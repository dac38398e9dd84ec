/** New messages in the intake by our own script: BullMQ finds there what its own `add` would have put, and each message has its own answer. */
import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { describe, expect, onTestFinished, test } from 'vitest';
import { jobPriorities } from '../../../src/queue/jobs.ts';
import { maxArrivals, type Arrival } from '../../../src/queue/lanes/arrivals.ts';
import { openQueues } from '../../../src/queue/open.ts';
import { keysOf } from '../../../src/queue/redis/keys.ts';
import { until } from '../../../testkit/until.ts';
import { ownRedis } from '../../support/own-redis.ts';
import { redisUrl, testConnection, testPrefix } from '../../support/redis.ts';

const data = { v: 1, message: { from: 'a@example.com', to: 'b@example.net', text: 'ü' } };

function arrivalOf(id: string, about: Partial<Arrival> = {}): Arrival {
  return {
    id,
    data: JSON.stringify(data),
    priority: jobPriorities.normal,
    broughtId: false,
    carrier: '',
    dueAt: 0,
    print: null,
    ...about,
  };
}

function setUp() {
  const redis = testConnection();
  const prefix = testPrefix();
  const { arrive } = openQueues(redis, { prefix, failFast: true, newMail: true });
  const queue = new Queue('outbound', { connection: { url: redisUrl() }, prefix });
  onTestFinished(() => queue.close());
  return { redis, prefix, keys: keysOf(prefix), arrive, queue };
}

/** A worker of BullMQ's own, and the ids of the jobs that it has taken. */
async function bullmqWorker(prefix: string) {
  const seen: string[] = [];
  const native = new Worker('outbound', async (job) => void seen.push(job.id ?? ''), {
    connection: { url: redisUrl(), maxRetriesPerRequest: null },
    prefix,
  });
  onTestFinished(() => native.close(true));
  await native.waitUntilReady();
  return { native, seen };
}

describe('a message that arrives', () => {
  test.each(['high', 'normal', 'low'] as const)('with the priority %s is what `add` of BullMQ makes', async (name) => {
    const { redis, keys, arrive, queue } = setUp();
    const priority = jobPriorities[name];
    expect(await arrive(arrivalOf('ours', { priority }))).toBe('new');
    await queue.add('message', data, { jobId: 'theirs', priority, removeOnComplete: true });
    const [ours, theirs] = await Promise.all(
      ['ours', 'theirs'].map(async (id) => {
        const { timestamp, opts, ...fields } = await redis.hgetall(keys.queue('outbound', id));
        expect(Math.abs(Date.now() - Number(timestamp))).toBeLessThan(60_000);
        const { jobId: _id, delay: _none, ...options } = JSON.parse(opts ?? '') as Record<string, unknown>;
        return { ...fields, options, state: await queue.getJobState(id) };
      }),
    );
    expect(ours).toEqual(theirs);
    expect(ours).toMatchObject({ state: name === 'high' ? 'waiting' : 'prioritized' });
  });

  test('with a trace context is what `add` of BullMQ makes with it, also among others without one', async () => {
    const { redis, keys, arrive, queue } = setUp();
    const carrier = JSON.stringify({ traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' });
    await Promise.all([arrive(arrivalOf('plain')), arrive(arrivalOf('ours', { carrier }))]);
    await queue.add('message', data, { jobId: 'theirs', telemetry: { metadata: carrier }, removeOnComplete: true });
    const tmOf = async (id: string): Promise<unknown> =>
      (JSON.parse((await redis.hget(keys.queue('outbound', id), 'opts')) ?? '') as { tm?: unknown }).tm;
    expect(await Promise.all(['ours', 'theirs', 'plain'].map(tmOf))).toEqual([carrier, carrier, undefined]);
    expect((await queue.getJob('ours'))?.opts.telemetry).toEqual({ metadata: carrier });
  });

  test('with a delay is what `add` of BullMQ makes, several for one time in their order', async () => {
    const { redis, keys, arrive, queue } = setUp();
    const delay = 3_600_000;
    const dueAt = Date.now() + delay;
    expect(await Promise.all(['a', 'b', 'c'].map((id) => arrive(arrivalOf(id, { dueAt }))))).toEqual(
      Array.from({ length: 3 }, () => 'new'),
    );
    await queue.add('message', data, {
      jobId: 'theirs',
      priority: jobPriorities.normal,
      delay,
      removeOnComplete: true,
    });
    const [ours, theirs] = await Promise.all(
      ['a', 'theirs'].map(async (id) => {
        const { timestamp, opts, delay: left, ...fields } = await redis.hgetall(keys.queue('outbound', id));
        const score = Number(await redis.zscore(keys.queue('outbound', 'delayed'), id));
        expect(Math.floor(score / 0x1000)).toBe(Number(timestamp) + Number(left));
        const { jobId: _id, delay: given, ...options } = JSON.parse(opts ?? '') as Record<string, unknown>;
        expect(given).toBe(Number(left));
        return { ...fields, options, state: await queue.getJobState(id) };
      }),
    );
    expect(ours).toEqual(theirs);
    expect(ours).toMatchObject({ state: 'delayed' });
    expect(await redis.zrange(keys.queue('outbound', 'delayed'), '0', '2')).toEqual(['a', 'b', 'c']);
    expect(Number(await redis.zscore(keys.queue('outbound', 'marker'), '1'))).toBe(dueAt);
    expect(await arrive(arrivalOf('a', { dueAt }))).toBe('duplicate');
    expect(await arrive(arrivalOf('a', { broughtId: true }))).toBe('duplicate');
  });

  test('with a delay wakes a worker of BullMQ’s when its time comes', async () => {
    const { prefix, arrive } = setUp();
    const { seen } = await bullmqWorker(prefix);
    expect(await arrive(arrivalOf('m', { dueAt: Date.now() + 300 }))).toBe('new');
    await until(() => seen.length === 1, { what: 'the marker to wake it', timeoutMs: 4_000 });
  });

  test('leaves its print if it is stored, for its time, and none where it is not', async () => {
    const { redis, keys, arrive } = setUp();
    const broughtId = true;
    const print = (value: string) => ({ broughtId, print: { value, forMs: 60_000 } });
    const { high } = jobPriorities;
    await redis.set(keys.queue('outbound', 'wait'), 'a key of a stranger');
    await redis.set(keys.queue('outbound', 'delayed'), 'a key of a stranger');
    const answers = await Promise.allSettled([
      arrive(arrivalOf('a', print('first'))),
      arrive(arrivalOf('a', print('second'))),
      arrive(arrivalOf('plain')),
      arrive(arrivalOf('b', { ...print('lost'), priority: high })),
      arrive(arrivalOf('c', { ...print('lost'), dueAt: Date.now() + 60_000 })),
    ]);
    expect(answers.map((each) => (each.status === 'fulfilled' ? each.value : 'refused'))).toEqual([
      'new',
      'duplicate',
      'new',
      'refused',
      'refused',
    ]);
    const [kept, ...others] = await redis.mget(...['a', 'plain', 'b', 'c'].map((id) => keys.print(id)));
    expect(kept).toBe(`first ${await redis.hget(keys.queue('outbound', 'a'), 'timestamp')}`);
    expect(others).toEqual([null, null, null]);
    expect(await redis.pttl(keys.print('a'))).toBeGreaterThan(1_000);
    expect(await redis.exists(keys.queue('outbound', 'b'), keys.queue('outbound', 'c'))).toBe(0);
  });

  test('under one id twice at once, where the first is refused, is refused twice', async () => {
    const { redis, keys, arrive } = setUp();
    await redis.set(keys.queue('outbound', 'prioritized'), 'a key of a stranger');
    const answers = await Promise.allSettled(['a', 'a', 'b'].map((id) => arrive(arrivalOf(id, { broughtId: true }))));
    expect(answers.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
  });

  test('leaves no print where a right of the user is missing in the middle', async () => {
    const server = await ownRedis();
    const prefix = '{p}';
    const rules = ['on', 'nopass', '~{p}:*', '+@all', '-zadd'];
    await server.admin.acl('SETUSER', 'limited', ...rules);
    const redis = new Redis(server.url.replace('redis://', 'redis://limited:x@'), { maxRetriesPerRequest: null });
    onTestFinished(() => redis.disconnect());
    const { arrive } = openQueues(redis, { prefix, failFast: true, newMail: true });
    const print = (value: string) => ({ broughtId: true, print: { value, forMs: 60_000 } });
    const { high } = jobPriorities;
    const answers = await Promise.allSettled([
      arrive(arrivalOf('first', { ...print('1'), priority: high })),
      arrive(arrivalOf('ranked', print('2'))),
      arrive(arrivalOf('later', { ...print('3'), dueAt: Date.now() + 60_000 })),
    ]);
    expect(answers.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
    const keys = keysOf(prefix);
    expect(await server.admin.exists(keys.queue('outbound', 'ranked'), keys.queue('outbound', 'later'))).toBe(0);
    expect(await server.admin.exists(keys.print('ranked'), keys.print('later'))).toBe(0);
    // Stored before the error: it has its print, and its caller comes again.
    expect(await server.admin.exists(keys.queue('outbound', 'first'), keys.print('first'))).toBe(2);
  });

  test('is taken by a worker of BullMQ’s that waits for it, those of a priority in their order', async () => {
    const { prefix, arrive } = setUp();
    const { native, seen } = await bullmqWorker(prefix);
    await native.pause();
    const of = (name: keyof typeof jobPriorities) =>
      Array.from({ length: 3 }, (_, i) => arrivalOf(`${name}-${9 - i}`, { priority: jobPriorities[name] }));
    const all = [...of('low'), ...of('high'), ...of('normal')];
    expect(await Promise.all(all.map((each) => arrive(each)))).toEqual(all.map(() => 'new'));
    void native.resume();
    await until(() => seen.length === 9, { what: 'all to be taken' });
    expect(seen).toEqual([...of('high'), ...of('normal'), ...of('low')].map(({ id }) => id));
    await arrive(arrivalOf('later'));
    await until(() => seen.length === 10, { what: 'the marker to wake it', timeoutMs: 4_000 });
  });

  test('under an id that is in use is a duplicate, and stores nothing; others beside it are stored', async () => {
    const { redis, keys, arrive, queue } = setUp();
    await redis.hset(keys.ledger('settled'), 'state', 'sent');
    await redis.set(keys.location('elsewhere'), '1');
    await queue.add('message', data, { jobId: 'waiting' });
    const broughtId = true;
    const ids = ['settled', 'elsewhere', 'waiting', 'new', 'new', 'wait'];
    const answers = await Promise.all(ids.map((id) => arrive(arrivalOf(id, { broughtId }))));
    expect(answers).toEqual(['duplicate', 'duplicate', 'duplicate', 'new', 'duplicate', 'new']);
    const jobs = await queue.getJobs(['wait', 'prioritized']);
    expect(new Set(jobs.map(({ id }) => id))).toEqual(new Set(['.wait', 'new', 'waiting']));
  });

  test('where a stranger’s key stands in the place of a list is refused whole; others beside it are stored', async () => {
    const { redis, keys, arrive } = setUp();
    await redis.hset(keys.queue('outbound', 'prioritized'), 'data', 'a job of that id');
    const { high, normal } = jobPriorities;
    const answers = await Promise.allSettled([
      arrive(arrivalOf('a', { priority: high })),
      arrive(arrivalOf('b', { priority: normal })),
      arrive(arrivalOf('c', { priority: high })),
    ]);
    expect(answers.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(answers[1]).toMatchObject({ reason: { message: expect.stringContaining('WRONGTYPE') } });
    expect(await redis.exists(keys.queue('outbound', 'b'))).toBe(0);
    expect(await redis.lrange(keys.queue('outbound', 'wait'), 0, -1)).toEqual(['c', 'a']);
  });

  test.each([
    ['marker', 'a stranger’s key in the place of the marker'],
    ['meta', 'a stranger’s key in the place of the settings'],
  ])('is stored beside %s as %s', async (type) => {
    const { redis, keys, arrive, queue } = setUp();
    await redis.set(keys.queue('outbound', type), 'x');
    expect(await arrive(arrivalOf('m'))).toBe('new');
    expect(await queue.getJobState('m')).toBe('prioritized');
  });

  test('wakes nobody while the intake is paused', async () => {
    const { redis, keys, arrive, queue } = setUp();
    await queue.pause();
    await arrive(arrivalOf('m'));
    expect(await redis.exists(keys.queue('outbound', 'marker'))).toBe(0);
    await queue.resume();
    await arrive(arrivalOf('n'));
    expect(await redis.exists(keys.queue('outbound', 'marker'))).toBe(1);
  });
});

describe('messages that arrive within one turn of the event loop', () => {
  async function scriptsOf(arrivals: readonly Arrival[]): Promise<number> {
    const server = await ownRedis();
    const { arrive } = openQueues(server.admin, { prefix: '{many}', failFast: true, newMail: true });
    // The source of the script is sent once.
    await arrive(arrivalOf('first'));
    const calls = async (): Promise<number> =>
      Number(/^cmdstat_evalsha:calls=(\d+)/m.exec(await server.admin.info('commandstats'))?.[1] ?? 0);
    const before = await calls();
    await Promise.all(arrivals.map((each) => arrive(each)));
    return (await calls()) - before;
  }

  test(`go to Redis in scripts of at most ${maxArrivals}`, async () => {
    const arrivals = Array.from({ length: 2 * maxArrivals + 1 }, (_, i) => arrivalOf(`m${i}`));
    expect(await scriptsOf(arrivals)).toBe(3);
  });

  test('share a script only up to 256 KiB', async () => {
    const large = JSON.stringify({ v: 1, message: { text: 'x'.repeat(100 * 1_024) } });
    const arrivals = Array.from({ length: 4 }, (_, i) => arrivalOf(`m${i}`, { data: large }));
    expect(await scriptsOf(arrivals)).toBe(2);
  });
});
