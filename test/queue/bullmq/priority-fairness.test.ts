/** Priorities inside a lane: high overtakes all others, no class starves, and within a class the order stays. */
import { describe, expect, test } from 'vitest';
import type { Queue } from 'bullmq';
import { shareConnection } from '../../../src/queue/bullmq/shared-queues.ts';
import { jobPriorities, laneJobOf } from '../../../src/queue/jobs.ts';
import { jobName, keysOf, laneName } from '../../../src/queue/redis/keys.ts';
import { createTurns, promote } from '../../../src/queue/bullmq/priority-fairness.ts';
import type { Message, Priority } from '../../../src/message/message.ts';
import type { Outcome } from '../../../src/transport/transport.ts';
import { configOf, startWorker, testOperator, testProducer } from '../../support/postlane.ts';
import { testConnection, testPrefix } from '../../support/redis.ts';
import { until } from '../../../testkit/until.ts';

const messageOf = (priority: Priority): Message => ({
  from: { address: 'x@example.com' },
  envelope: { from: 'x@example.com', to: ['a@example.net'] },
  to: [{ address: 'a@example.net' }],
  cc: [],
  bcc: [],
  replyTo: [],
  references: [],
  headers: {},
  attachments: [],
  text: 'x',
  priority,
});

/** A lane, filled as the router would. */
async function laneOf(prefix: string) {
  const redis = testConnection();
  const keys = keysOf(prefix);
  const queue: Queue = shareConnection(redis, prefix).queue(laneName('relay'));
  const key = (type: string): string => keys.queue(laneName('relay'), type);
  const fill = async (priority: Priority, names: readonly string[]): Promise<void> => {
    await queue.addBulk(
      names.map((name) => ({
        name: jobName,
        data: laneJobOf(name, messageOf(priority), {
          messageId: `<${name}@x>`,
          acceptedAt: Date.now(),
          connector: 'relay',
          rule: 'default',
          known: false,
        }),
        opts: { jobId: name, priority: jobPriorities[priority], removeOnComplete: true, removeOnFail: false },
      })),
    );
  };
  const promoteFirst = async (promoted: 'normal' | 'low'): Promise<number> =>
    Number(await promote(redis, { wait: key('wait'), prioritized: key('prioritized') }, promoted));
  return { redis, queue, key, fill, promote: promoteFirst };
}

const names = (name: string, count: number): string[] => Array.from({ length: count }, (_, i) => `${name}-${i}`);
const oneAtATime = { concurrency: 1, messagesPerMinute: null };

describe('a lane', () => {
  test('sends a password reset before a newsletter of 100,000 on the same paced connector', async () => {
    const prefix = testPrefix();
    const operator = await testOperator(prefix);
    const { redis, key, fill } = await laneOf(prefix);
    await operator.lanes.pause('relay');
    await fill('normal', ['news']);
    // The same job once more, 99,999 times: faster than by way of the intake, and the same in Redis. In bites, as others' locks run.
    for (let from = 1; from < 100_000; from += 500) {
      await redis.eval(
        `local job = redis.call('HGETALL', KEYS[2] .. 'news')
         for i = ARGV[1], math.min(99999, ARGV[1] + 499) do
           local id = string.format('news-%d', i)
           redis.call('HSET', KEYS[2] .. id, unpack(job))
           redis.call('ZADD', KEYS[1], 10 * 2 ^ 32 + redis.call('INCR', KEYS[2] .. 'pc'), id)
         end`,
        2,
        key('prioritized'),
        key(''),
        from,
      );
    }
    const limits = { concurrency: 2, messagesPerMinute: 1_200 };
    const { recorded, of } = await startWorker({ prefix, config: configOf({ relay: { limits } }) });
    await operator.lanes.resume('relay');
    const { mails } = recorded('relay');
    await until(() => mails.length >= 3, { what: 'the newsletter to be under way' });
    await testProducer(prefix).send({ id: 'reset', from: 'x@example.com', to: 'a@example.net', priority: 'high' });
    await until(() => of('routed').some(({ id }) => id === 'reset'), { what: 'the password reset to be in the lane' });
    const before = mails.length;
    await until(() => mails.some(({ id }) => id === 'reset'), { what: 'the password reset' });
    // Two were on their way, and the pace is one in 50 ms.
    expect(mails.findIndex(({ id }) => id === 'reset')).toBeLessThanOrEqual(before + 4);
    expect((await operator.lanes.status('relay')).waiting).toBeGreaterThan(99_000);
  });

  test('gives one message in ten to normal and one to low while high never ends, in order within each class', async () => {
    const prefix = testPrefix();
    const operator = await testOperator(prefix);
    const { fill } = await laneOf(prefix);
    await operator.lanes.pause('relay');
    await fill('low', names('low', 30));
    await fill('normal', names('normal', 30));
    await fill('high', names('high', 200));
    const { recorded } = await startWorker({ prefix, config: configOf({ relay: { limits: oneAtATime } }) });
    await operator.lanes.resume('relay');
    const { mails } = recorded('relay');
    await until(() => mails.length === 260, { what: 'all to be sent' });
    const order = mails.map(({ id }) => id);
    const share = (name: string, first: number): number =>
      order.slice(0, first).filter((id) => id.startsWith(name)).length;
    for (const first of [50, 100, 200]) {
      expect([first, share('low', first)]).toEqual([first, expect.toBeOneOf([first / 10, first / 10 - 1])]);
      expect([first, share('normal', first)]).toEqual([first, expect.toBeOneOf([first / 10, first / 10 + 1])]);
    }
    for (const name of ['low', 'normal', 'high']) {
      const numbers = order.filter((id) => id.startsWith(name)).map((id) => Number(id.split('-')[1]));
      expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
    }
    expect(await operator.lanes.status('relay')).toMatchObject({ waiting: 0, active: 0, delayed: 0, failed: 0 });
  });

  test('gives low its turn beside normal alone, too', async () => {
    const prefix = testPrefix();
    const operator = await testOperator(prefix);
    const { fill } = await laneOf(prefix);
    await operator.lanes.pause('relay');
    await fill('low', names('low', 10));
    await fill('normal', names('normal', 90));
    const { recorded } = await startWorker({ prefix, config: configOf({ relay: { limits: oneAtATime } }) });
    await operator.lanes.resume('relay');
    await until(() => recorded('relay').mails.length === 100, { what: 'all to be sent' });
    const first = recorded('relay')
      .mails.slice(0, 60)
      .filter(({ id }) => id.startsWith('low'));
    expect(first.length).toBeGreaterThanOrEqual(5);
    expect(first.length).toBeLessThanOrEqual(6);
  });
});

describe('a job that is promoted', () => {
  test('is the first of its class, is still counted, and goes back to its class when the lane is held', async () => {
    const { queue, fill, promote, key, redis } = await laneOf(testPrefix());
    await fill('low', ['low-0', 'low-1']);
    await fill('normal', ['normal-0', 'normal-1']);
    // Nothing is before normal, so it needs no turn of its own; low does.
    expect(await promote('normal')).toBe(0);
    expect(await promote('low')).toBe(1);
    await fill('high', ['high-0']);
    expect(await promote('normal')).toBe(1);
    expect(await redis.lrange(key('wait'), 0, -1)).toEqual(['high-0', 'low-0', 'normal-0']);
    expect(await queue.getJobCounts('wait', 'prioritized')).toEqual({ wait: 3, prioritized: 2 });
    expect(await (await queue.getJob('low-0'))?.getState()).toBe('waiting');
    await (await queue.getJob('normal-0'))?.remove();
    expect(await redis.lrange(key('wait'), 0, -1)).toEqual(['high-0', 'low-0']);
    expect(await promote('low')).toBe(1);
    // No low is left, and normal is there only behind high.
    expect(await promote('low')).toBe(0);
    expect(await redis.zrange(key('prioritized'), '0', '-1')).toEqual(['normal-1']);
  });

  test('no job is promoted if no class is kept waiting', async () => {
    const { fill, promote } = await laneOf(testPrefix());
    expect([await promote('normal'), await promote('low')]).toEqual([0, 0]);
    await fill('high', ['high-0']);
    expect([await promote('normal'), await promote('low')]).toEqual([0, 0]);
  });

  const reply = { code: 'ECONNREFUSED', enhancedCode: null, text: 'nobody there' };
  const refusal: Outcome = { kind: 'connector-fault', fault: 'unreachable', reply };

  test('is returned before the others of its class when its lane is held', async () => {
    const prefix = testPrefix();
    const { redis, key, fill, promote } = await laneOf(prefix);
    await fill('low', ['low-0', 'low-1']);
    await fill('high', ['high-0']);
    await promote('low');
    const { of } = await startWorker({
      prefix,
      config: configOf({ relay: { limits: oneAtATime } }),
      scripts: { relay: [refusal] },
    });
    await until(() => of('connector-fault').length === 1, { what: 'the lane to be held' });
    expect(of('connector-fault')[0]).toMatchObject({ id: 'low-0' });
    await until(async () => (await redis.zrange(key('prioritized'), '0', '-1')).length === 2, {
      what: 'it to be back',
    });
    expect(await redis.zrange(key('prioritized'), '0', '-1')).toEqual(['low-0', 'low-1']);
    expect(await redis.lrange(key('wait'), 0, -1)).toEqual(['high-0']);
  });
});

describe('turns', () => {
  /** Which classes are asked for over some jobs. */
  async function asked(jobs: number, found: (lifted: string) => boolean, msPerJob: number): Promise<string[]> {
    const lifted: string[] = [];
    let now = 0;
    const turns = createTurns(
      async (each) => {
        lifted.push(each);
        return found(each);
      },
      () => now,
    );
    for (let i = 0; i < jobs; i += 1) {
      turns.began();
      await Promise.resolve();
      await Promise.resolve();
      now += msPerJob;
    }
    return lifted;
  }

  test('come once in ten jobs for each class', async () => {
    expect(await asked(30, () => true, 1)).toEqual(['normal', 'low', 'normal', 'low', 'normal', 'low']);
  });

  test('cost a busy lane of one class two questions a second, and a slow one no more than its turns', async () => {
    expect(await asked(1_000, () => false, 1)).toEqual(['normal', 'low']);
    expect(await asked(3_000, () => false, 1)).toHaveLength(6);
    expect(await asked(20, () => false, 2_000)).toHaveLength(4);
    expect((await asked(1_000, (lifted) => lifted === 'low', 1)).filter((each) => each === 'low')).toHaveLength(100);
  });

  test('that fail are turns lost, and nothing else', async () => {
    let failures = 0;
    const fail = (): Promise<boolean> => {
      failures += 1;
      return Promise.reject(new Error('away'));
    };
    const turns = createTurns(fail, () => 0);
    for (let i = 0; i < 20; i += 1) turns.began();
    await Promise.resolve();
    // Nobody has caught anything, and each turn is tried anew.
    expect(failures).toBe(4);
  });
});
