/** How long an attempt without a result is verified: by time, whatever the retry schedule. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { nextVerification } from '../../../src/worker/attempt/verification-schedule.ts';

const second = 1_000;
const minute = 60 * second;

/** The times of all looks, in ms after the attempt, the first of them after one pause of the retry schedule. */
function looks(retryMs: number, copyWithinMs: number, deadline = Infinity, verifyForMs = 30 * minute): number[] {
  const at = [retryMs];
  for (let now = retryMs; at.length < 1_000;) {
    const next = nextVerification({ now, attemptedAt: 0, retryMs, copyWithinMs, verifyForMs, deadline });
    if (next === null) break;
    at.push(next);
    now = next;
  }
  return at;
}

test.each([10, second, 5 * second, 2 * minute])(
  'with a retry every %d ms, one look comes when a copy must have appeared, and the last after half an hour',
  (retryMs) => {
    const all = looks(retryMs, 2 * minute);
    expect(all).toContain(2 * minute);
    expect(all.at(-1)).toBe(30 * minute);
    expect(all.length).toBeLessThan(40);
  },
);

test('copies that may appear late are waited for longer', () => {
  const all = looks(second, 10 * minute);
  expect(all).toContain(10 * minute);
  expect(all.at(-1)).toBe(100 * minute);
});

test('no look comes at or after the deadline', () => {
  expect(Math.max(...looks(second, 2 * minute, 5 * minute))).toBeLessThan(5 * minute);
});

test('whatever the times, looks go forward, end, and are few', () => {
  const ms = fc.integer({ min: 1, max: 60 * minute });
  const wrong = fc.check(
    fc.property(ms, ms, ms, (retryMs, copyWithinMs, verifyForMs) => {
      const all = looks(retryMs, copyWithinMs, Infinity, verifyForMs);
      const endsAt = Math.max(verifyForMs, 10 * copyWithinMs, retryMs);
      return all.every((at, index) => at > (all[index - 1] ?? 0) && at <= endsAt) && all.length < 200;
    }),
  );
  expect(wrong.counterexample).toBeNull();
});
