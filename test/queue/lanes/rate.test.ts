/** The pace of a lane as a calculation: what is promised of the server's side, from what Redis enforces on ours. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { toleranceMs, rateLimitOf } from '../../../src/queue/lanes/rate.ts';

const rates = fc.integer({ min: 1, max: 200_000 });

/** Most messages that can reach the server in any 60 s, if the way there takes up to `jitterMs` longer for some than for others. */
function mostInAMinute(messagesPerMinute: number, jitterMs: number): number {
  const { max, durationMs, intervalMs } = rateLimitOf(messagesPerMinute);
  const spanMs = 60_000 + jitterMs;
  // Fixed windows that begin anywhere: all of one at its end, and all of the next at its beginning.
  if (intervalMs === null) return max * (Math.floor(spanMs / durationMs) + 1);
  return Math.floor((spanMs + toleranceMs) / intervalMs) + 1;
}

describe('a pace', () => {
  test('never lets more than the limit reach the server in any minute, though some take 0.4 seconds longer', () => {
    fc.assert(
      fc.property(rates, (rate) => {
        // Windows of a second are for rates at which 0.4 seconds mean nothing.
        expect(mostInAMinute(rate, rateLimitOf(rate).intervalMs === null ? 0 : 400)).toBeLessThanOrEqual(rate);
      }),
    );
  });

  test('uses at least 99 % of the limit, and 98 % in windows', () => {
    fc.assert(
      fc.property(rates, (rate) => {
        const { max, durationMs, intervalMs } = rateLimitOf(rate);
        const used = intervalMs === null ? (max * 60_000) / durationMs : 60_000 / intervalMs;
        expect(used).toBeGreaterThanOrEqual((intervalMs === null ? 0.98 : 0.99) * rate);
      }),
    );
  });

  test.each([
    [30, { max: 1, durationMs: 2_017, intervalMs: expect.closeTo(2_017) }],
    [300, { max: 1, durationMs: 202, intervalMs: expect.closeTo(201.7) }],
    [1_200, { max: 1, durationMs: 51, intervalMs: expect.closeTo(50.425) }],
    [122_000, { max: 2_000, durationMs: 1_000, intervalMs: null }],
  ])('of %i a minute is one per interval, and windows only where that is too fine', (rate, pace) => {
    expect(rateLimitOf(rate)).toEqual(pace);
  });
});
