/**
 * Limits are what the server sees: connections open at once, and messages in any stretch of time, counted there while
 * workers are killed and started again.
 *
 * `LIMITS_DEMO_SECONDS=300 vitest run test/fault/limits-at-the-server.test.ts` kills one every ten seconds for so long.
 */
import { describe, expect, test } from 'vitest';
import { setTimeout as pause } from 'node:timers/promises';
import { catchUpMs, paceOf } from '../../src/queue/pace.ts';
import { balance, countableMany, settled, sink } from '../support/books.ts';
import { testProducer } from '../support/postlane.ts';
import { testPrefix } from '../support/redis.ts';
import { until } from '../support/until.ts';
import { startWorkerProcess, type WorkerProcess } from '../support/worker-process.ts';

const demoSeconds = Number(process.env['LIMITS_DEMO_SECONDS'] ?? 0);
const concurrency = 3;
const processes = 4;

/** What is promised: in any 60 s no more than the limit. Less time is held to the same calculation. */
const jitterMs = 499;

/** Messages above what the pace allows, over all stretches of time between two arrivals; 0 or less is as promised. */
function mostAbove(arrivedAt: readonly number[], messagesPerMinute: number): number {
  const { intervalMs } = paceOf(messagesPerMinute);
  let worst = -Infinity;
  for (const [i, from] of arrivedAt.entries()) {
    for (let j = i; j < arrivedAt.length; j += 1) {
      const allowed = Math.floor((arrivedAt[j]! - from + catchUpMs + jitterMs) / intervalMs!) + 1;
      worst = Math.max(worst, j - i + 1 - allowed);
    }
  }
  return worst;
}

/** Most arrivals in any minute. */
function mostInAMinute(arrivedAt: readonly number[]): number {
  return Math.max(...arrivedAt.map((from) => arrivedAt.filter((at) => at >= from && at < from + 60_000).length));
}

/** Which part of the limit was used between the first and the last arrival: intervals, not arrivals, or one would be too many. */
function useOf(arrivedAt: readonly number[], messagesPerMinute: number): number {
  const spanMs = arrivedAt.at(-1)! - arrivedAt[0]!;
  return (arrivedAt.length - 1) / ((spanMs / 60_000) * messagesPerMinute);
}

async function stage(messagesPerMinute: number | null, count: number) {
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  const arrivedAt: number[] = [];
  const server = await sink({
    script: {
      MAIL: () => {
        arrivedAt.push(performance.now());
        return undefined;
      },
    },
  });
  const connectors = {
    relay: { port: server.port, concurrency, ...(messagesPerMinute === null ? {} : { messagesPerMinute }) },
  };
  const start = (): Promise<WorkerProcess> => startWorkerProcess({ prefix, connectors });
  const workers = await Promise.all(Array.from({ length: processes }, start));
  const messages = countableMany(count);
  await producer.sendMany(messages);
  const ids = messages.map(({ id }) => id!);
  return { producer, server, arrivedAt, workers, start, ids };
}

describe('at the server, with four workers', () => {
  test.each([300, 1_200])('messages a minute are never above %i, and use at least 97 percent of that', async (rate) => {
    const { arrivedAt, server } = await stage(rate, 400);
    await until(() => arrivedAt.length > 10, { what: 'the first messages' });
    const first = arrivedAt.length;
    const seconds = 8;
    await until(() => arrivedAt.length >= first + (rate / 60) * seconds, { what: 'the messages', timeoutMs: 30_000 });
    expect(mostAbove(arrivedAt, rate)).toBeLessThanOrEqual(0);
    expect(useOf(arrivedAt.slice(first), rate)).toBeGreaterThanOrEqual(0.97);
    expect(server.received.highWater).toBeLessThanOrEqual(concurrency);
  });

  test('a full lane opens few sessions, and never more than the limit', async () => {
    const { producer, server, ids } = await stage(null, 1_000);
    await settled(producer, ids);
    expect(server.received.highWater).toBe(concurrency);
    // 100 messages end a session.
    expect(server.received.connections).toBeLessThanOrEqual(40);
  });

  test(
    'no limit is passed while one after the other is killed, and nothing is lost',
    async () => {
      const rate = 300;
      const seconds = demoSeconds || 18;
      const everyMs = demoSeconds > 0 ? 10_000 : 4_000;
      const { producer, server, arrivedAt, workers, start, ids } = await stage(
        rate,
        Math.ceil((seconds * rate) / 60 / 1.5),
      );
      const endsAt = performance.now() + seconds * 1_000;
      for (let turn = 0; performance.now() < endsAt; turn += 1) {
        await pause(everyMs);
        const victim = workers[turn % processes]!;
        await victim.kill9();
        workers[turn % processes] = await start();
      }
      const rows = await settled(producer, ids, 60_000 + seconds * 1_000);
      expect(balance(rows, [server])).toMatchObject({ lost: [], blindlyTwice: [] });
      if (demoSeconds > 0) {
        const inAMinute = mostInAMinute(arrivedAt);
        console.log({ inAMinute, connections: server.received.highWater, use: useOf(arrivedAt, rate), seconds });
      }
      expect(mostInAMinute(arrivedAt)).toBeLessThanOrEqual(rate);
      expect(mostAbove(arrivedAt, rate)).toBeLessThanOrEqual(0);
      expect(server.received.highWater).toBeLessThanOrEqual(concurrency);
    },
    120_000 + demoSeconds * 2_000,
  );
});
