/** A job's way through its lane by our own scripts: BullMQ's layout stays true, so that each can take what the other has added. */
import { DelayedError, Queue, Worker } from 'bullmq';
import { describe, expect, onTestFinished, test } from 'vitest';
import { maxStalls } from '../../../src/queue/jobs.ts';
import type { TakenJob } from '../../../src/queue/bullmq/taken-job.ts';
import type { Completion, LaneWorker } from '../../../src/queue/lanes/lane-worker.ts';
import type { NewRow, Settlement } from '../../../src/queue/ledger/ledger.ts';
import { openQueues } from '../../../src/queue/open.ts';
import { keysOf } from '../../../src/queue/redis/keys.ts';
import { until } from '../../../testkit/until.ts';
import { redisUrl, testConnection, testPrefix } from '../../support/redis.ts';

const options = { lockMs: 30_000, stalledMs: 30_000 };

const rowOf = (id: string): NewRow => ({
  id,
  connector: 'x',
  rule: 'none',
  messageId: `<${id}@example.com>`,
  recipients: [{ address: 'a@example.net', outcome: 'pending', code: null, reply: null }],
  acceptedAt: 1,
  deadline: 10_000_000_000_000,
});

const sent: Settlement = {
  state: 'sent',
  recipients: [{ address: 'a@example.net', outcome: 'accepted', code: '250', reply: 'ok' }],
  entry: { at: 2, event: 'sent', connector: 'x' },
  retryAt: null,
  reason: null,
  retentionMs: 60_000,
  deadLetter: null,
  countAttempt: true,
  reached: 1,
  connectorWorks: true,
};

function setUp(work: (job: TakenJob, token: string) => Promise<Completion | null> = async () => null) {
  const redis = testConnection();
  const prefix = testPrefix();
  const open = openQueues(redis, { prefix, worker: 'w' });
  const lane: LaneWorker = open.laneWorker('x', work, options);
  const queue = new Queue('lane-x', { connection: { url: redisUrl() }, prefix });
  onTestFinished(() => queue.close());
  const take = async (token: string): Promise<TakenJob | undefined> =>
    (await lane.take(token, { first: true, announce: false })).job;
  const add = (id: string, opts: object = {}) =>
    queue.add('message', { id }, { jobId: id, removeOnComplete: true, ...opts });
  const finishing = (id: string, token: string, notes: unknown[]): Completion => ({
    addOn: open.ledger.settleAddOn(rowOf(id), token, sent),
    committed: async (answer) => void notes.push(answer),
    async detached() {
      notes.push('detached');
      return true;
    },
  });
  const begin = (id: string, token: string) =>
    open.ledger.fence(rowOf(id), {
      lockKey: open.lockKey('x', id),
      token,
      now: 1,
      worker: 'w',
      overOpen: false,
      attempts: 0,
    });
  return { redis, prefix, keys: keysOf(prefix), open, lane, queue, take, add, finishing, begin };
}

const none = (): null => null;

describe('a lane', () => {
  test.each([
    ['wait', {}],
    ['prioritized', { priority: 10 }],
  ])('gives what BullMQ has added to %s to a worker of ours, in its order', async (_list, opts) => {
    const { add, take } = setUp();
    for (const id of ['b', 'a', 'c']) await add(id, opts);
    expect([(await take('1'))?.id, (await take('2'))?.id, (await take('3'))?.id]).toEqual(['b', 'a', 'c']);
    expect(await take('4')).toBeUndefined();
  });

  test('gives high before normal before low, and what was delayed once its time has come', async () => {
    const { add, take, queue } = setUp();
    await add('low', { priority: 20 });
    await add('normal', { priority: 10 });
    await add('high');
    await add('due', { delay: 1, priority: 10 });
    await add('later', { delay: 60_000 });
    await until(async () => (await queue.getDelayed())[0]!.timestamp + 5 < Date.now(), { what: 'the delay' });
    const order = [];
    for (const token of ['1', '2', '3', '4', '5']) order.push((await take(token))?.id);
    expect(order).toEqual(['high', 'normal', 'due', 'low', undefined]);
    expect(await queue.getDelayedCount()).toBe(1);
  });

  test('shows BullMQ what a worker of ours has taken: active, under its lock, started once', async () => {
    const { add, take, queue, redis, keys } = setUp();
    await add('one');
    await take('the-token');
    expect(await queue.getJobState('one')).toBe('active');
    const job = await queue.getJob('one');
    expect([job?.attemptsStarted, typeof job?.processedOn]).toEqual([1, 'number']);
    expect(await redis.get(`${keys.queue('lane-x', 'one')}:lock`)).toBe('the-token');
    expect(await redis.pttl(`${keys.queue('lane-x', 'one')}:lock`)).toBeGreaterThan(20_000);
  });

  test('gives what a worker of ours has handed back to a worker of BullMQ’s', async () => {
    const { add, take, prefix } = setUp();
    for (const id of ['one', 'two']) await add(id, { priority: 10 });
    await (await take('t'))!.moveToWait('t');
    const seen: unknown[] = [];
    const native = new Worker('lane-x', async (job) => seen.push(job.id, job.data), {
      connection: { url: redisUrl(), maxRetriesPerRequest: null },
      prefix,
    });
    onTestFinished(() => native.close());
    await until(() => seen.length === 4, { what: 'both jobs' });
    expect(seen).toEqual(['one', { id: 'one' }, 'two', { id: 'two' }]);
  });

  test('lets nothing be taken while it is paused, full, or over its rate, by whomever that was set', async () => {
    const { add, take, queue, open, redis, keys } = setUp();
    for (const id of ['a', 'b', 'c', 'd']) await add(id);
    await queue.pause();
    expect(await take('1')).toBeUndefined();
    await queue.resume();
    await queue.setGlobalConcurrency(1);
    expect((await take('2'))?.id).toBe('a');
    expect(await take('3')).toBeUndefined();
    await queue.setGlobalConcurrency(10);
    await queue.setGlobalRateLimit(1, 60_000);
    expect((await take('4'))?.id).toBe('b');
    expect(await redis.get(keys.queue('lane-x', 'limiter'))).toBe('1');
    expect(await take('5')).toBeUndefined();
    await queue.removeGlobalRateLimit();
    await open.lanes.setLimits('x', { concurrency: 10, messagesPerMinute: null });
    await redis.del(keys.queue('lane-x', 'limiter'));
    expect((await take('6'))?.id).toBe('c');
    await open.lanes.holdFor('x', 60_000, 'slow-down');
    expect(await take('7')).toBeUndefined();
  });

  test('of which a job was taken is due again at once if there is more, and not at all if there is none', async () => {
    const { add, lane, open } = setUp();
    const how = { first: true, announce: false };
    for (const id of ['a', 'b']) await add(id);
    await open.lanes.refresh('x', 'sooner', false);
    await open.lanes.claim(10, 60_000);
    expect((await lane.take('1', how)).dueInMs).toBe(0);
    expect((await open.lanes.claim(10, 60_000)).connectors).toEqual(['x']);
    expect((await lane.take('2', how)).dueInMs).toBe(-1);
    expect((await lane.take('3', how)).dueInMs).toBe(-1);
    expect(await open.lanes.queuedAt('x')).toBeNull();
  });

  test('hands out no content of a job that is unsound, and counts how often a sound one was started', async () => {
    const { add, take, redis, keys, queue } = setUp();
    await queue.add('another name', {}, { jobId: 'odd' });
    await redis.lpush(keys.queue('lane-x', 'wait'), 'nothing');
    await redis.set(keys.queue('lane-x', 'text'), 'no hash');
    await redis.lpush(keys.queue('lane-x', 'wait'), 'text');
    await add('worn');
    await redis.hset(keys.queue('lane-x', 'worn'), 'stc', maxStalls + 1);
    await add('good');
    const found = [];
    for (const token of ['1', '2', '3', '4', '5']) {
      const job = (await take(token))!;
      found.push([job.id, job.name, job.data]);
    }
    expect(found).toEqual([
      ['odd', '.unsound', 'name'],
      ['nothing', '.unsound', 'no-data'],
      ['text', '.unsound', 'type'],
      ['worn', '.unsound', 'stalled'],
      ['good', 'message', { id: 'good' }],
    ]);
  });
});

test('takes that are asked for together give no more in one turn than is good for others, and all get their job', async () => {
  const { queue, lane, redis } = setUp();
  const large = 'x'.repeat(100 * 1024);
  for (let i = 0; i < 8; i += 1) await queue.add('message', { large }, { jobId: `m${i}` });
  const answers: number[] = [];
  const evalsha = redis.evalsha.bind(redis) as (...args: unknown[]) => Promise<unknown>;
  Reflect.set(redis, 'evalsha', async (...args: unknown[]) => {
    const answer = await evalsha(...args);
    answers.push(JSON.stringify(answer).length);
    return answer;
  });
  const taken = await Promise.all(
    Array.from({ length: 8 }, (_, i) => lane.take(`t${i}`, { first: true, announce: false })),
  );
  expect(new Set(taken.map(({ job }) => job?.id)).size).toBe(8);
  expect(Math.max(...answers)).toBeLessThan(400 * 1024);
});

describe('a take that reaches Redis twice', () => {
  test('gives the same job', async () => {
    const { add, lane, redis } = setUp();
    for (const id of ['a', 'b']) await add(id);
    const calls: unknown[][] = [];
    const evalsha = redis.evalsha.bind(redis) as (...args: unknown[]) => Promise<unknown>;
    Reflect.set(redis, 'evalsha', (...args: unknown[]) => {
      calls.push(args);
      return evalsha(...args);
    });
    const first = await lane.take('t', { first: true, announce: false });
    const again = (await evalsha(...calls.at(-1)!)) as unknown[][];
    expect([first.job?.id, again[1]?.[1]]).toEqual(['a', 'a']);
    expect((await lane.take('t2', { first: true, announce: false })).job?.id).toBe('b');
  });

  test('gives no job whose lock has been lost meanwhile', async () => {
    const { add, lane, redis, keys } = setUp();
    await add('a');
    let call: unknown[] = [];
    const evalsha = redis.evalsha.bind(redis) as (...args: unknown[]) => Promise<unknown>;
    Reflect.set(redis, 'evalsha', (...args: unknown[]) => evalsha(...(call = args)));
    await lane.take('t', { first: true, announce: false });
    await redis.set(`${keys.queue('lane-x', 'a')}:lock`, 'another');
    expect(await evalsha(...call)).toEqual([1, [0]]);
  });
});

describe('the end of a job', () => {
  test('is one step with its result and with the take of the next one, and leaves nothing behind', async () => {
    const notes: unknown[] = [];
    const { add, take, lane, redis, keys, finishing, begin, queue } = setUp(async (job, token) => {
      await begin(job.id, token);
      return finishing(job.id, token, notes);
    });
    for (const id of ['one', 'two']) await add(id);
    const job = (await take('t1'))!;
    const next = await lane.runJob(job, 't1', () => 't2');
    expect([next?.job?.id, next?.token]).toEqual(['two', 't2']);
    expect(await redis.hget(keys.ledger('one'), 'state')).toBe('sent');
    expect(await redis.keys(`${keys.queue('lane-x', 'one')}*`)).toEqual([]);
    const last = await lane.runJob(next!.job!, 't2', () => 't3');
    expect([last?.job, last?.dueInMs]).toEqual([undefined, -1]);
    expect(notes).toEqual(['ok', 'ok']);
    expect(await queue.getJobCounts('wait', 'active', 'completed', 'failed')).toEqual({
      wait: 0,
      active: 0,
      completed: 0,
      failed: 0,
    });
  });

  test('without a result ends it all the same', async () => {
    const { add, take, lane, queue } = setUp();
    await add('one');
    expect(await lane.runJob((await take('t'))!, 't', none)).toBeNull();
    expect(await queue.getJobState('one')).toBe('unknown');
  });

  test('does not come for a job that was delayed', async () => {
    const { add, take, lane, queue } = setUp(async (job, token) => {
      await job.moveToDelayed(Date.now() + 60_000, token);
      throw new DelayedError();
    });
    await add('one');
    await lane.runJob((await take('t'))!, 't', () => 'never asked');
    expect(await queue.getJobState('one')).toBe('delayed');
  });

  test('under a lost lock still writes the result, and leaves the job to its new owner', async () => {
    const notes: unknown[] = [];
    const { add, take, lane, redis, keys, queue, finishing, begin } = setUp(async (job, token) => {
      await begin(job.id, token);
      await redis.set(`${keys.queue('lane-x', job.id)}:lock`, 'another worker');
      return finishing(job.id, token, notes);
    });
    await add('one');
    await lane.runJob((await take('t'))!, 't', none);
    expect(notes).toEqual(['ok']);
    expect(await redis.hget(keys.ledger('one'), 'state')).toBe('sent');
    expect(await queue.getJobState('one')).toBe('active');
  });

  test('waits for a result whose row is missing: nothing is written yet when the answer says so', async () => {
    const notes: unknown[] = [];
    const states: unknown[] = [];
    const { add, take, lane, queue, finishing } = setUp(async (job, token) => {
      const { addOn } = finishing(job.id, token, notes);
      return {
        addOn,
        committed: async (answer) => void states.push(answer, await queue.getJobState('one')),
        detached: async () => true,
      };
    });
    await add('one');
    await lane.runJob((await take('t'))!, 't', none);
    expect(states).toEqual(['no-row', 'active']);
    expect(await queue.getJobState('one')).toBe('unknown');
  });

  test.each([
    ['follows once the result is written otherwise', true, 'unknown'],
    ['does not come if that fails too', false, 'active'],
  ])('that Redis refuses together with the result %s', async (_title, mayEnd, state) => {
    const notes: unknown[] = [];
    const { add, take, lane, queue, redis, keys, finishing } = setUp(async (job, token) => ({
      ...finishing(job.id, token, notes),
      async detached() {
        notes.push('detached');
        return mayEnd;
      },
    }));
    await add('one');
    // A row of a type that the script cannot write.
    await redis.set(keys.ledger('one'), 'no hash');
    await lane.runJob((await take('t'))!, 't', none);
    expect(notes).toEqual(['detached']);
    expect(await queue.getJobState('one')).toBe(state);
  });

  test('of one whose processor fails in a way that no rule foresees is among the failed ones, which become dead letters', async () => {
    const { add, take, lane, queue } = setUp(async () => {
      throw new Error('failed on purpose');
    });
    for (const id of ['one', 'two']) await add(id);
    expect(await lane.runJob((await take('t'))!, 't', () => 'never asked')).toBeNull();
    expect(await queue.getJobCounts('wait', 'failed')).toEqual({ wait: 1, failed: 1 });
  });
});

test('one bad message in a turn of sixteen stops none of the others', async () => {
  const { add, redis, keys, open, lane } = setUp();
  for (let i = 0; i < 16; i += 1) await add(`m${i}`);
  const taken = await Promise.all(
    Array.from({ length: 16 }, (_, i) => lane.take(`t${i}`, { first: true, announce: false })),
  );
  expect(new Set(taken.map(({ job }) => job?.id)).size).toBe(16);
  await redis.set(keys.ledger('m7'), 'no hash');
  const fences = await Promise.allSettled(
    taken.map(({ job, token }) =>
      open.ledger.fence(rowOf(job!.id), {
        lockKey: open.lockKey('x', job!.id),
        token,
        now: 1,
        worker: 'w',
        overOpen: false,
        attempts: 0,
      }),
    ),
  );
  const bad = taken.findIndex(({ job }) => job?.id === 'm7');
  expect(fences.flatMap((each, i) => (each.status === 'rejected' ? [i] : []))).toEqual([bad]);
  expect(fences.filter((each) => each.status === 'fulfilled' && each.value === 'go')).toHaveLength(15);
});
