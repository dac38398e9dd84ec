/** The arithmetic of the benchmarks: medians, ratios of medians, spreads, percentiles, and whether a figure meets its target. */

export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

export interface Target {
  readonly kind: 'at least' | 'at most';
  readonly value: number;
}

export type Verdict = 'pass' | 'miss' | 'shown';

/** The middle one; of an even number the mean of the two in the middle. NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length % 2 === 1) return sorted[middle]!;
  return sorted.length === 0 ? Number.NaN : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** The least value that `percent` of all values do not exceed (nearest rank): always one that was measured. NaN of none. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const rank = Math.max(1, Math.ceil((percent / 100) * sorted.length));
  return sorted[rank - 1] ?? Number.NaN;
}

export function spreadOf(values: readonly number[]): Spread {
  return { median: median(values), least: Math.min(...values), most: Math.max(...values) };
}

/** A ratio of medians, and not a median of ratios: one disturbed repetition then spoils one value of one side. */
export function ratioOfMedians(ours: readonly number[], theirs: readonly number[]): number {
  return median(ours) / median(theirs);
}

/** A figure that could not be measured misses every target; without a target it is only shown. */
export function judge(measured: number, target: Target | null): Verdict {
  if (target === null) return 'shown';
  const met = target.kind === 'at least' ? measured >= target.value : measured <= target.value;
  return met ? 'pass' : 'miss';
}

/** The most events in any window of that length, which is open at its end. Both in the unit of `times`, which are sorted. */
export function mostInAnyWindow(times: readonly number[], length: number): number {
  let first = 0;
  let most = 0;
  for (const [index, time] of times.entries()) {
    while (time - times[first]! >= length) first += 1;
    most = Math.max(most, index - first + 1);
  }
  return most;
}
