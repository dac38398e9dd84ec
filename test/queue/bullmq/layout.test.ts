/** Holds each row of BullMQ's layout against the installed BullMQ, on a real Redis. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { Queue, QueueKeys, Worker } from 'bullmq';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  delayedScoreFactor,
  fullLimiter,
  jobFields,
  lockName,
  metaFields,
  priorityScoreFactor,
  queueKeys,
  type QueueKey,
} from '../../../src/queue/bullmq/layout.ts';
import { redisUrl, testConnection, testPrefix } from '../../support/redis.ts';
import { filesUnder, textOf } from '../../support/source.ts';
import { until } from '../../../testkit/until.ts';

const bullmq = dirname(createRequire(import.meta.url).resolve('bullmq')).replace(/dist\/.*$/, 'dist/esm');

async function queueWith(prefix: string) {
  const redis = testConnection();
  const queue = new Queue('q', { prefix, connection: { url: redisUrl() } });
  onTestFinished(() => queue.close());
  await queue.waitUntilReady();
  const key = (name: QueueKey): string => new QueueKeys(prefix).toKey('q', name);
  return { redis, queue, key };
}

/** A worker that holds each job until it is told how the job ends. */
function holdingWorker(prefix: string, limiter?: { max: number; duration: number }) {
  let end: (outcome: 'done' | 'failed') => void = () => undefined;
  const outcome = new Promise<'done' | 'failed'>((resolve) => (end = resolve));
  const options = { prefix, connection: { url: redisUrl() }, ...(limiter === undefined ? {} : { limiter }) };
  const worker = new Worker(
    'q',
    async () => {
      if ((await outcome) === 'failed') throw new Error('refused');
    },
    options,
  );
  onTestFinished(async () => {
    end('done');
    await worker.close();
  });
  return { end, worker };
}

describe("BullMQ's layout", () => {
  test.each(Object.entries(queueKeys))('names the file that writes %s', (_name, { source }) => {
    expect(readFileSync(join(bullmq, source), 'utf8')).not.toBe('');
  });

  test('has each key of the table among its own', () => {
    const theirs = new QueueKeys('p').getKeys('q');
    for (const name of Object.keys(queueKeys)) expect(theirs[name]).toBe(`p:q:${name}`);
  });

  test('keeps jobs without a priority in a list that is taken from the right', async () => {
    const { redis, queue, key } = await queueWith(testPrefix());
    await queue.add('j', {}, { jobId: 'first' });
    await queue.add('j', {}, { jobId: 'second' });
    expect(await redis.type(key('wait'))).toBe(queueKeys.wait.type);
    expect(await redis.lrange(key('wait'), 0, -1)).toEqual(['second', 'first']);
  });

  test('keeps the priority in the upper bits of the score', async () => {
    const { redis, queue, key } = await queueWith(testPrefix());
    await queue.add('j', {}, { jobId: 'a', priority: 7 });
    expect(await redis.type(key('prioritized'))).toBe(queueKeys.prioritized.type);
    expect(Math.floor(Number(await redis.zscore(key('prioritized'), 'a')) / priorityScoreFactor)).toBe(7);
  });

  test('keeps the time of a delayed job in the upper bits of the score', async () => {
    const { redis, queue, key } = await queueWith(testPrefix());
    const { timestamp } = await queue.add('j', {}, { jobId: 'a', delay: 60_000 });
    expect(await redis.type(key('delayed'))).toBe(queueKeys.delayed.type);
    const at = Math.floor(Number(await redis.zscore(key('delayed'), 'a')) / delayedScoreFactor);
    expect(Math.abs(at - (timestamp + 60_000))).toBeLessThanOrEqual(1_000);
  });

  test('keeps the ids of jobs under way in a list, and the token of their worker as a lock beside the job', async () => {
    const prefix = testPrefix();
    const { redis, queue, key } = await queueWith(prefix);
    holdingWorker(prefix);
    await queue.add('j', {}, { jobId: 'a' });
    await until(async () => (await redis.llen(key('active'))) === 1, { what: 'the job is under way' });
    expect(await redis.type(key('active'))).toBe(queueKeys.active.type);
    expect(await redis.get(new QueueKeys(prefix).toKey('q', lockName('a')))).not.toBeNull();
  });

  test('counts in the hash of a job how often it was taken, and when, beside its priority and the time of adding', async () => {
    const prefix = testPrefix();
    const { redis, queue, key } = await queueWith(prefix);
    holdingWorker(prefix);
    await queue.add('j', {}, { jobId: 'a', priority: 7, timestamp: 1_234 });
    await until(async () => (await redis.llen(key('active'))) === 1, { what: 'the job is under way' });
    const hash = await redis.hgetall(new QueueKeys(prefix).toKey('q', 'a'));
    expect(hash).toMatchObject({ [jobFields.starts]: '1', [jobFields.priority]: '7', [jobFields.addedAt]: '1234' });
    expect(Math.abs(Number(hash[jobFields.takenAt]) - Date.now())).toBeLessThan(60_000);
  });

  test('keeps jobs that failed for good by their time', async () => {
    const prefix = testPrefix();
    const { redis, queue, key } = await queueWith(prefix);
    holdingWorker(prefix).end('failed');
    await queue.add('j', {}, { jobId: 'a' });
    await until(async () => (await redis.exists(key('failed'))) === 1, { what: 'the job has failed' });
    expect(await redis.type(key('failed'))).toBe(queueKeys.failed.type);
  });

  test('reads limits and pause from fields of meta', async () => {
    const { redis, queue, key } = await queueWith(testPrefix());
    await queue.setGlobalConcurrency(3);
    await queue.setGlobalRateLimit(5, 6_000);
    await queue.pause();
    expect(await redis.hgetall(key('meta'))).toMatchObject({
      [metaFields.concurrency]: '3',
      [metaFields.max]: '5',
      [metaFields.duration]: '6000',
    });
    expect(await redis.hexists(key('meta'), metaFields.paused)).toBe(1);
    await queue.resume();
    expect(await redis.hexists(key('meta'), metaFields.paused)).toBe(0);
  });

  test('counts the jobs of a window in the limiter, which ends with the window', async () => {
    const prefix = testPrefix();
    const { redis, queue, key } = await queueWith(prefix);
    await queue.setGlobalRateLimit(5, 60_000);
    holdingWorker(prefix).end('done');
    await queue.add('j', {}, { jobId: 'a' });
    await until(async () => (await redis.get(key('limiter'))) === '1', { what: 'the job was counted' });
    expect(await redis.pttl(key('limiter'))).toBeGreaterThan(0);
  });

  test('closes the limiter with a count that no limit reaches', async () => {
    const { redis, queue, key } = await queueWith(testPrefix());
    await queue.rateLimit(60_000);
    expect(await redis.get(key('limiter'))).toBe(String(fullLimiter));
  });
});

/** What only `queue/bullmq/` may spell: keys below a queue, fields of meta, and the factors of scores. */
const inside = [
  /:(?:wait|prioritized|delayed|active|limiter|meta|stalled|marker)['"`]/,
  /\b4096\b|0x1000\b/,
  /2 \*\* 32|0x1_?0000_?0000/,
  /'HMGET'[^\n]*'(?:paused|concurrency|max|duration)'|'HSET'[^\n]*'(?:paused|concurrency|max|duration)'/,
  /:lock['"`]/,
];

test("no other room knows BullMQ's keys, fields or scores", () => {
  // Rooms that touch Redis; keys.ts holds the keys of our own.
  const rooms = ['queue', 'worker', 'admin', 'producer'].flatMap((room) => filesUnder(`src/${room}`));
  const others = rooms.filter((path) => !path.startsWith('src/queue/bullmq/') && path !== 'src/queue/redis/keys.ts');
  const code = (path: string): string => textOf(path).replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, '');
  expect(others.filter((path) => inside.some((pattern) => pattern.test(code(path))))).toEqual([]);
});

test('the check sees a key, a field, a score and a lock', () => {
  const planted = ['`${queue}:meta`', 'score / 4096', '2 ** 32', "call('HMGET', key, 'paused')", '`${id}:lock`'];
  expect(planted.filter((text) => !inside.some((pattern) => pattern.test(text)))).toEqual([]);
});
