/** The intake by our own scripts: BullMQ's layout stays true, and a job is moved into its lane as it is. */
import { Queue, QueueEvents, Worker } from 'bullmq';
import { describe, expect, onTestFinished, test } from 'vitest';
import { jobPriorities } from '../../../src/queue/jobs.ts';
import type { Intake, IntakeProcessor } from '../../../src/queue/lanes/intake.ts';
import type { NewRow } from '../../../src/queue/ledger/ledger.ts';
import { openQueues } from '../../../src/queue/open.ts';
import { keysOf } from '../../../src/queue/redis/keys.ts';
import { until } from '../../../testkit/until.ts';
import { redisUrl, testConnection, testPrefix } from '../../support/redis.ts';

const options = { lockMs: 30_000, stalledMs: 30_000 };

const rowOf = (id: string): NewRow => ({
  id,
  connector: 'x',
  rule: 'address',
  messageId: `<${id}@example.com>`,
  recipients: [],
  acceptedAt: 5,
  deadline: 10_000_000_000_000,
});
const routing = (id: string) => ({
  messageId: `<${id}@example.com>`,
  acceptedAt: 5,
  connector: 'x',
  rule: 'address',
  known: false,
});

function setUp() {
  const redis = testConnection();
  const prefix = testPrefix();
  const keys = keysOf(prefix);
  const open = openQueues(redis, { prefix, worker: 'w' });
  const queue = (name: string): Queue => {
    const made = new Queue(name, { connection: { url: redisUrl() }, prefix });
    onTestFinished(() => made.close());
    return made;
  };
  const errors: Error[] = [];
  const make = (route: IntakeProcessor): Intake => {
    const intake = open.intakeWorker(route, { ...options, failed: (error) => errors.push(error) });
    onTestFinished(() => intake.close());
    return intake;
  };
  const start = (route: IntakeProcessor): void => make(route).start();
  const move = (job: { id: string }, token: string, id = job.id, priority = 0) =>
    open.lanes.move({ jobId: job.id, token }, routing(id), priority, rowOf(id), true);
  return { redis, prefix, keys, open, queue, intake: queue('outbound'), make, start, move, errors };
}

const data = { v: 1, message: { from: 'a@example.com', to: 'b@example.net', text: 'x' } };

describe('a job of the intake', () => {
  test.each([
    ['without a priority', {}, 'high', 'waiting'],
    ['with a priority', { priority: jobPriorities.normal }, 'normal', 'prioritized'],
    ['that was delayed', { delay: 50 }, 'low', 'prioritized'],
  ] as const)(
    '%s is moved into its lane as it is, and BullMQ shows it there',
    async (_title, opts, priority, state) => {
      const { intake, queue, start, move, redis, keys, errors } = setUp();
      await intake.add('message', data, { jobId: 'm', ...opts });
      const moved: unknown[] = [];
      start(async (job, token) => {
        expect([job.plain, job.data]).toEqual([true, data]);
        moved.push(await move(job, token, job.id, jobPriorities[priority]));
        return 'left';
      });
      await until(() => moved.length === 1, { what: 'the move' });
      expect([moved, errors]).toEqual([[{ kind: 'new' }], []]);
      const lane = queue('lane-x');
      const job = await lane.getJob('m');
      expect(await job?.getState()).toBe(state);
      expect([job?.data, job?.timestamp, job?.priority, job?.delay]).toEqual([data, 5, jobPriorities[priority], 0]);
      expect(JSON.parse((await redis.hget(keys.laneJob('x', 'm'), 'routing')) ?? '')).toEqual(routing('m'));
      expect(await redis.hget(keys.ledger('m'), 'state')).toBe('queued');
      expect(await intake.getJobCounts('wait', 'active', 'delayed', 'prioritized', 'completed')).toEqual({
        wait: 0,
        active: 0,
        delayed: 0,
        prioritized: 0,
        completed: 0,
      });
      expect((await redis.keys(`${keys.queue('outbound', 'm')}*`)).filter((key) => !key.endsWith(':meta'))).toEqual([]);
      expect(await redis.zscore(keys.ready, 'x')).not.toBeNull();
    },
  );

  test('that BullMQ numbered is moved under the id of its message', async () => {
    const { intake, start, move, redis, keys } = setUp();
    await intake.add('message', data);
    const moved: unknown[] = [];
    start(async (job, token) => {
      moved.push(job.id, await move(job, token, 'auto-1-5'));
      return 'left';
    });
    await until(() => moved.length > 0, { what: 'the move' });
    expect(moved).toEqual(['1', { kind: 'new' }]);
    expect(await redis.exists(keys.laneJob('x', 'auto-1-5'), keys.queue('outbound', '1'))).toBe(1);
  });

  test('that was moved is taken by a worker of BullMQ’s', async () => {
    const { intake, start, move, prefix } = setUp();
    const seen: unknown[] = [];
    const native = new Worker('lane-x', async (job) => seen.push(job.id, job.data), {
      connection: { url: redisUrl(), maxRetriesPerRequest: null },
      prefix,
    });
    onTestFinished(() => native.close());
    await native.waitUntilReady();
    start(async (job, token) => {
      await move(job, token, job.id, 10);
      return 'left';
    });
    await intake.add('message', data, { jobId: 'm' });
    await until(() => seen.length === 2, { what: 'the native worker' });
    expect(seen).toEqual(['m', data]);
  });

  test('to which more belongs than its hash is not plain, and ends with all that BullMQ keeps beside it', async () => {
    const { intake, start, keys, redis, errors } = setUp();
    await intake.add('message', data, { jobId: 'deduplicated', deduplication: { id: 'once' } });
    const logged = await intake.add('message', data, { jobId: 'logged' });
    await logged.log('a line');
    await intake.add('message', data, { jobId: 'plain' });
    const plain: Record<string, boolean> = {};
    start(async (job) => {
      plain[job.id] = job.plain;
      return 'end';
    });
    await until(
      async () =>
        (await redis.exists(...['deduplicated', 'logged', 'plain'].map((id) => keys.queue('outbound', id)))) === 0,
      {
        what: 'all of them to end',
      },
    );
    expect(plain).toEqual({ deduplicated: false, logged: false, plain: true });
    expect(await redis.keys(`${keys.queue('outbound', 'de:')}*`)).toEqual([]);
    expect(await redis.keys(`${keys.queue('outbound', 'logged')}*`)).toEqual([]);
    expect(errors).toEqual([]);
  });

  test('whose dead letter is replayed before it has ended is routed once more: it is the only job of the message', async () => {
    const { intake, start, redis, keys, errors } = setUp();
    await intake.add('message', data, { jobId: 'm' });
    let runs = 0;
    start(async () => {
      runs += 1;
      // What a replay writes, and what routing it then comes to.
      const row = runs === 1 ? { state: 'queued', routed: '' } : { state: 'dead', routed: '-' };
      await redis.hset(keys.ledger('m'), row);
      return 'end';
    });
    await until(async () => (await redis.exists(keys.queue('outbound', 'm'))) === 0, { what: 'its end' });
    expect([runs, errors]).toEqual([2, []]);
  });

  test.each([
    ['whose lock is another’s is left to its owner', 'lost'],
    ['whose lane has a key of that name, and no row, is kept, and the key too', 'kept'],
    ['whose id has a row stays, and the row says how it stands', 'in-use'],
  ])('%s', async (_title, kind) => {
    const { intake, start, move, redis, keys } = setUp();
    await intake.add('message', data, { jobId: 'm' });
    const answers: { kind: string }[] = [];
    start(async (job, token) => {
      if (kind === 'lost') await redis.set(`${keys.queue('outbound', 'm')}:lock`, 'another');
      if (kind === 'kept') await redis.hset(keys.laneJob('x', 'm'), 'data', 'older');
      if (kind === 'in-use') await redis.hset(keys.ledger('m'), 'state', 'cancelled', 'routed', '-');
      answers.push(await move(job, token));
      return 'left';
    });
    await until(() => answers.length === 1, { what: 'the answer' });
    expect(answers[0]!.kind).toBe(kind);
    expect(await redis.hget(keys.queue('outbound', 'm'), 'name')).toBe('message');
    expect(await redis.hget(keys.laneJob('x', 'm'), 'data')).toBe(kind === 'kept' ? 'older' : null);
    expect(await redis.exists(keys.ledger('m'))).toBe(kind === 'in-use' ? 1 : 0);
    expect(await intake.getJobState('m')).toBe('active');
  });
});

describe('a job whose worker can send it at once', () => {
  const direct = { token: 'w:1', lockMs: 30_000, at: 7, worker: 'w' };

  /** Moves one message by the step that is its fence, after what `before` has made of the lane. */
  async function enter(
    before: (lane: Queue, tools: ReturnType<typeof setUp>) => Promise<unknown> = async () => undefined,
  ) {
    const tools = setUp();
    const { intake, queue, start, open, redis, keys, errors } = tools;
    const lane = queue('lane-x');
    await before(lane, tools);
    await intake.add('message', data, { jobId: 'm', priority: jobPriorities.normal });
    const answers: string[] = [];
    const go = async (job: { id: string }, token: string): Promise<string> =>
      (await open.lanes.move({ jobId: job.id, token }, routing('m'), 10, rowOf('m'), true, direct)).kind;
    let again: () => Promise<string> = async () => 'never';
    start(async (job, token) => {
      again = () => go(job, token);
      answers.push(await go(job, token));
      return 'left';
    });
    await until(() => answers.length > 0, { what: 'the answer' });
    expect(errors).toEqual([]);
    const row = await redis.hgetall(keys.ledger('m'));
    return { ...tools, lane, answer: answers[0], again: () => again(), row };
  }

  test('is active in its lane under the worker’s token, with its attempt open, and in the intake no more', async () => {
    const { answer, row, lane, intake, redis, keys } = await enter();
    expect(answer).toBe('going');
    expect(row).toMatchObject({ state: 'sending', attempts: '1', connector: 'x', routed: 'x', n: '1', updatedAt: '7' });
    expect(JSON.parse(row['open'] ?? '')).toEqual({ token: 'w:1', at: 7, worker: 'w' });
    expect(Number(row['begun'])).toBeGreaterThan(1_700_000_000_000);
    expect(await redis.zscore(keys.unsettled, 'm')).toBe('10000000000000');
    expect(await redis.sismember(keys.lanes, 'x')).toBe(1);
    const job = await lane.getJob('m');
    expect([await job?.getState(), job?.data, job?.attemptsStarted]).toEqual(['active', data, 1]);
    expect(await redis.get(`${keys.laneJob('x', 'm')}:lock`)).toBe('w:1');
    expect(await intake.getJobCounts('wait', 'active', 'delayed', 'prioritized')).toEqual({
      wait: 0,
      active: 0,
      delayed: 0,
      prioritized: 0,
    });
    expect((await redis.keys(`${keys.queue('outbound', 'm')}*`)).filter((key) => !key.endsWith(':meta'))).toEqual([]);
  });

  test('that is sent to Redis twice is let go twice, but not once its lock is another’s', async () => {
    const { again, redis, keys } = await enter();
    expect(await again()).toBe('going');
    expect(await redis.lrange(keys.queue('lane-x', 'active'), 0, -1)).toEqual(['m']);
    await redis.set(`${keys.laneJob('x', 'm')}:lock`, 'another');
    expect(await again()).toBe('lost');
  });

  test('that dies is found abandoned in its lane, as any job of it, and its attempt is known', async () => {
    const { open, redis, keys, row } = await enter();
    await redis.del(`${keys.laneJob('x', 'm')}:lock`);
    const lane = open.laneWorker('x', async () => null, { lockMs: 30_000, stalledMs: 1 });
    const found = async () => {
      await lane.recoverStalled();
      return (await lane.take('another', { first: true, announce: false })).job;
    };
    const job = await until(async () => (await found()) ?? false, { what: 'the abandoned job' });
    expect(job).toMatchObject({ id: 'm', attemptsStarted: 2, stalledCounter: 1, data: { ...data, ...routing('m') } });
    expect(row['open']).toContain('w:1');
  });

  test('does not wait for one whose time has not come', async () => {
    const later = (lane: Queue): Promise<unknown> => lane.add('message', data, { jobId: 'later', delay: 60_000 });
    expect((await enter(later)).answer).toBe('going');
  });

  test.each<[string, (lane: Queue, tools: ReturnType<typeof setUp>) => Promise<unknown>]>([
    ['a message waits', (lane) => lane.add('message', data, { jobId: 'first' })],
    ['a message of a lower priority waits', (lane) => lane.add('message', data, { jobId: 'first', priority: 20 })],
    [
      'the time of a delayed message has come',
      async (lane, { redis, keys }) => {
        await lane.add('message', data, { jobId: 'first', delay: 60_000 });
        await redis.zadd(keys.queue('lane-x', 'delayed'), (Date.now() - 1_000) * 0x1000, 'first');
      },
    ],
    ['the lane is paused', (lane) => lane.pause()],
    [
      'the lane is full',
      async (lane, { redis, keys }) => {
        await lane.setGlobalConcurrency(1);
        await redis.lpush(keys.queue('lane-x', 'active'), 'other');
      },
    ],
    ['the lane is paced', (lane) => lane.setGlobalRateLimit(10, 1_000)],
    ['the lane is held', (_lane, { open }) => open.lanes.holdFor('x', 60_000, 'slow-down')],
    [
      'the connector has faults, or its server throttles',
      (_lane, { redis, keys }) => redis.hset(keys.connector('x'), 'level', '2.000'),
    ],
    ['refusals of the lane are open', (_lane, { redis, keys }) => redis.hset(keys.attribution('x'), 'ok', '1')],
  ])('waits in its lane if %s', async (_title, before) => {
    const { answer, row, redis, keys } = await enter(before);
    expect(answer).toBe('new');
    expect([row['state'], row['open'], row['attempts']]).toEqual(['queued', undefined, undefined]);
    expect(await redis.zscore(keys.queue('lane-x', 'prioritized'), 'm')).not.toBeNull();
    expect(await redis.exists(`${keys.laneJob('x', 'm')}:lock`)).toBe(0);
  });
});

describe('the intake', () => {
  test('gives jobs in BullMQ’s order, and what an old client put there to wake workers is none', async () => {
    const { intake, start, redis, keys } = setUp();
    await intake.add('message', data, { jobId: 'low', priority: 20 });
    await intake.add('message', data, { jobId: 'normal', priority: 10 });
    for (const id of ['b', 'a']) await intake.add('message', data, { jobId: id });
    await redis.rpush(keys.queue('outbound', 'wait'), '0:1234');
    const order: string[] = [];
    start(async (job) => {
      order.push(job.id);
      return 'end';
    });
    await until(() => order.length === 4, { what: 'all jobs' });
    expect(order).toEqual(['b', 'a', 'normal', 'low']);
    await until(async () => (await redis.exists(keys.queue('outbound', 'active'))) === 0, { what: 'their end' });
  });

  test('gives nothing while it is paused, in this process or for all, and goes on afterwards', async () => {
    const { intake, make } = setUp();
    const seen: string[] = [];
    const running = make(async (job) => {
      seen.push(job.id);
      return 'end';
    });
    running.pause();
    running.start();
    await intake.pause();
    await intake.add('message', data, { jobId: 'a' });
    running.resume();
    await intake.add('message', data, { jobId: 'b' });
    expect([seen, await intake.getWaitingCount()]).toEqual([[], 2]);
    await intake.resume();
    await until(() => seen.length === 2, { what: 'both jobs' });
  });

  test('keeps the limits that BullMQ has for it', async () => {
    const { intake, start, redis, keys } = setUp();
    await intake.setGlobalConcurrency(2);
    await intake.setGlobalRateLimit(3, 60_000);
    for (let i = 0; i < 6; i += 1) await intake.add('message', data, { jobId: `m${i}` });
    const held: (() => void)[] = [];
    start(async () => {
      await new Promise<void>((resolve) => held.push(resolve));
      return 'end';
    });
    await until(() => held.length === 2, { what: 'two at once' });
    expect(await intake.getJobCounts('wait', 'active')).toEqual({ wait: 4, active: 2 });
    for (const end of held) end();
    await intake.add('message', data, { jobId: 'wake' });
    await until(() => held.length === 3, { what: 'the third of the window' });
    held[2]!();
    await until(async () => (await intake.getActiveCount()) === 0, { what: 'its end' });
    expect(await redis.get(keys.queue('outbound', 'limiter'))).toBe('3');
    expect(await intake.getWaitingCount()).toBe(4);
  });

  test('gives a large job whole, beside a small one, and so does its lane', async () => {
    const { intake, start, move, open, redis, keys } = setUp();
    const large = { ...data, message: { ...data.message, text: 'ü'.repeat(60_000) } };
    for (const [id, each] of [
      ['small', data],
      ['large', large],
    ] as const)
      await intake.add('message', each, { jobId: id });
    const seen: Record<string, unknown> = {};
    const moved: string[] = [];
    start(async (job, token) => {
      seen[job.id] = job.data;
      moved.push((await move(job, token)).kind);
      return 'left';
    });
    await until(() => moved.length === 2, { what: 'both' });
    expect([seen, moved]).toEqual([{ small: data, large }, ['new', 'new']]);
    const lane = open.laneWorker('x', async () => null, options);
    const taken = [];
    for (const token of ['t:1', 't:2']) taken.push(await lane.take(token, { first: true, announce: false }));
    const byId = Object.fromEntries(taken.map(({ job }) => [job?.id, job?.data]));
    expect(byId).toEqual({ small: { ...data, ...routing('small') }, large: { ...large, ...routing('large') } });
    expect(await redis.get(`${keys.laneJob('x', 'large')}:lock`)).toMatch(/^t:/);
  });

  test('gives a process no more at once than a number and a size', async () => {
    const { intake, start } = setUp();
    const large = { ...data, text: 'x'.repeat(100 * 1024) };
    for (let i = 0; i < 50; i += 1) await intake.add('message', i < 10 ? large : data, { jobId: `m${i}` });
    const seen: string[] = [];
    const gate = Promise.withResolvers<'left'>();
    start((job) => {
      seen.push(job.id);
      return gate.promise;
    });
    await until(() => seen.length >= 25, { what: 'the first batches' });
    await until(async () => (await intake.getActiveCount()) === seen.length, { what: 'no batch to be under way' });
    // Batches of 3, 3, 3 (of 100 KiB each, 256 KiB together), and 8: beyond 24 none is begun.
    expect(seen.length).toBeLessThanOrEqual(32);
    gate.resolve('left');
  });

  test('gives a job of which a worker may have died alone, and nothing more before it is done with', async () => {
    const { intake, start, redis, keys } = setUp();
    for (let i = 0; i < 6; i += 1) await intake.add('message', data, { jobId: `m${i}`, priority: 10 });
    for (const id of ['m2', 'm3']) await redis.hset(keys.queue('outbound', id), 'stc', 1);
    const batches: string[][] = [];
    const tokens = new Set<string>();
    start(async (job, token) => {
      if (tokens.has(token)) batches.at(-1)!.push(job.id);
      else batches.push([job.id]);
      tokens.add(token);
      return 'end';
    });
    await until(() => batches.flat().length === 6, { what: 'all jobs' });
    expect(batches).toEqual([['m0', 'm1'], ['m2'], ['m3'], ['m4', 'm5']]);
  });

  test('that finds a worker dead gives its jobs to another', async () => {
    const { intake, start, redis, keys } = setUp();
    await intake.add('message', data, { jobId: 'm' });
    await redis.rpop(keys.queue('outbound', 'wait'));
    await redis.lpush(keys.queue('outbound', 'active'), 'm');
    await redis.sadd(keys.queue('outbound', 'stalled'), 'm');
    const seen: [string, number][] = [];
    start(async (job) => {
      seen.push([job.id, job.stalledCounter]);
      return 'end';
    });
    await until(() => seen.length === 1, { what: 'the abandoned job' });
    expect(seen).toEqual([['m', 1]]);
  });
});

test('no events are written on a message’s way, which none reads', async () => {
  const { intake, start, move, redis, keys, prefix } = setUp();
  const events = new QueueEvents('outbound', { connection: { url: redisUrl(), maxRetriesPerRequest: null }, prefix });
  onTestFinished(() => events.close());
  start(async (job, token) => {
    await move(job, token);
    return 'left';
  });
  await intake.add('message', data, { jobId: 'm' });
  await until(async () => (await redis.exists(keys.laneJob('x', 'm'))) === 1, { what: 'the move' });
  const written = await redis.xrange(keys.queue('outbound', 'events'), '-', '+');
  expect(written.map(([, fields]) => fields[1])).toEqual(['added', 'waiting']);
  expect(await redis.exists(keys.queue('lane-x', 'events'))).toBe(0);
});
