/** The arithmetic of the benchmarks: a wrong median would make every figure in the documentation wrong. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  judge,
  median,
  mostInAnyWindow,
  percentile,
  ratioOfMedians,
  spreadOf,
} from '../../../tools/bench/statistics.ts';

const numbers = fc.array(fc.integer({ min: -1_000, max: 1_000 }), { minLength: 1, maxLength: 50 });

describe('median', () => {
  test.each([
    [[5], 5],
    [[9, 1, 5], 5],
    [[4, 1, 3, 2], 2.5],
    [[10, 9, 100], 10],
  ])('the median of %j is %d', (values, expected) => {
    expect(median(values)).toBe(expected);
  });

  test('the median has at most half of the values below it and at most half above it, whatever their order', () => {
    fc.assert(
      fc.property(numbers, (values) => {
        const middle = median(values);
        const below = values.filter((value) => value < middle).length;
        const above = values.filter((value) => value > middle).length;
        expect(Math.max(below, above)).toBeLessThanOrEqual(values.length / 2);
      }),
    );
  });

  test('the median of no values is NaN', () => {
    expect(median([])).toBeNaN();
  });

  test('the median leaves its argument unchanged', () => {
    const values = [3, 1, 2];
    median(values);
    expect(values).toEqual([3, 1, 2]);
  });
});

test('the spread is the median with the least and the most value', () => {
  expect(spreadOf([30, 10, 20])).toEqual({ median: 20, least: 10, most: 30 });
});

test('a ratio is that of the medians, so one outlier moves it little', () => {
  expect(ratioOfMedians([10, 12, 1_000], [6, 6, 1])).toBe(2);
});

describe('percentile', () => {
  const hundred = Array.from({ length: 100 }, (_, index) => 100 - index);

  test.each([
    [1, 1],
    [50, 50],
    [99, 99],
    [100, 100],
  ])('the %dth percentile of the numbers from 1 to 100 is %d', (percent, expected) => {
    expect(percentile(hundred, percent)).toBe(expected);
  });

  test('a percentile is the least value that this share of the values does not exceed', () => {
    fc.assert(
      fc.property(numbers, fc.integer({ min: 1, max: 100 }), (values, percent) => {
        const found = percentile(values, percent);
        const upTo = (limit: number): number => values.filter((value) => value <= limit).length / values.length;
        expect(values).toContain(found);
        expect(upTo(found)).toBeGreaterThanOrEqual(percent / 100);
        expect(upTo(found - 1)).toBeLessThan(percent / 100);
      }),
    );
  });
});

describe('a verdict', () => {
  test.each([
    [1, { kind: 'at least', value: 1 }, 'pass'],
    [0.99, { kind: 'at least', value: 1 }, 'miss'],
    [1.5, { kind: 'at most', value: 1.5 }, 'pass'],
    [1.51, { kind: 'at most', value: 1.5 }, 'miss'],
    [Number.NaN, { kind: 'at least', value: 1 }, 'miss'],
    [Number.NaN, { kind: 'at most', value: 1 }, 'miss'],
    [7, null, 'shown'],
  ] as const)('the verdict on %d with the target %j is %s', (measured, target, verdict) => {
    expect(judge(measured, target)).toBe(verdict);
  });
});

describe('the most in any window', () => {
  test('the most events in a window exclude an event exactly one window later', () => {
    expect(mostInAnyWindow([0, 100, 200, 300], 100)).toBe(1);
    expect(mostInAnyWindow([0, 99, 200], 100)).toBe(2);
  });

  test('the most events in a window are found wherever the window begins', () => {
    const times = fc
      .array(fc.integer({ min: 0, max: 500 }), { maxLength: 40 })
      .map((list) => list.toSorted((a, b) => a - b));
    fc.assert(
      fc.property(times, fc.integer({ min: 1, max: 200 }), (sorted, length) => {
        const counts = sorted.map((from) => sorted.filter((time) => time >= from && time < from + length).length);
        expect(mostInAnyWindow(sorted, length)).toBe(Math.max(0, ...counts));
      }),
    );
  });
});
