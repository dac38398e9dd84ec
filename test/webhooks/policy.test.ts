/** What follows from an answer, and the schedule of the documentation. */
import { expect, test } from 'vitest';
import { attempts, judge, retryDelaysMs } from '../../src/webhooks/policy.ts';
import type { Answer } from '../../src/webhooks/sender.ts';

const answered = (status: number, retryAfterMs: number | null = null): Answer => ({
  kind: 'answered',
  status,
  retryAfterMs,
});
const none = (): number => 0;

test('2xx alone is delivered', () => {
  for (const status of [200, 201, 202, 204, 299]) expect(judge(answered(status), 1, none).kind).toBe('delivered');
  for (const status of [0, 100, 101, 199, 300, 301, 304, 307, 400, 401, 404, 500, 503]) {
    expect(judge(answered(status), 1, none).kind).toBe('retry');
  }
  expect(judge({ kind: 'failed', why: 'timeout', detail: '' }, 1, none).kind).toBe('retry');
});

test('ten attempts within three days, each later by at most a tenth; then it is a dead letter', () => {
  const delays = Array.from({ length: attempts - 1 }, (_, i) => judge(answered(500), i + 1, none));
  expect(delays.map((verdict) => verdict.kind === 'retry' && verdict.delayMs)).toEqual(retryDelaysMs);
  expect(judge(answered(500), 1, () => 0.999)).toMatchObject({ delayMs: 5_500 });
  expect(judge(answered(500), attempts, none)).toEqual({ kind: 'dead', reason: 'HTTP 500' });
  const days = retryDelaysMs.reduce((sum, each) => sum + each, 0) / 86_400_000;
  expect(days).toBeGreaterThan(3);
  expect(days).toBeLessThan(3.2);
});

test('410 switches the endpoint off, at any attempt', () => {
  for (const attempt of [1, attempts]) expect(judge(answered(410), attempt, none)).toEqual({ kind: 'gone' });
});

test('Retry-After is heeded where a receiver has too much to do: for this event, and for an hour at most for all', () => {
  expect(judge(answered(429, 60_000), 1, none)).toMatchObject({ delayMs: 60_000, pauseMs: 60_000 });
  expect(judge(answered(503, 7_200_000), 1, none)).toMatchObject({ delayMs: 7_200_000, pauseMs: 3_600_000 });
  expect(judge(answered(429, 60_000), 4, none)).toMatchObject({ delayMs: 7_200_000, pauseMs: 60_000 });
  expect(judge(answered(429), 1, none)).toMatchObject({ delayMs: 5_000, pauseMs: null });
  expect(judge(answered(400, 60_000), 1, none)).toMatchObject({ delayMs: 5_000, pauseMs: null });
});
