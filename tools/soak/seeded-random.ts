/** Random decisions from a seed, one sequence per subject, so that the same seed means the same faults. */
import { createHash } from 'node:crypto';

export interface SeededRandom {
  /** 0 ≤ n < 1; the next of the sequence of `about`. */
  next(about: string): number;
  /** True with this probability. */
  is(about: string, probability: number): boolean;
  /** An integer from `from` to `to`, both included. */
  between(about: string, from: number, to: number): number;
  pick<T>(about: string, from: readonly [T, ...T[]]): T;
}

/**
 * Processes and sockets race, so no two runs are alike in time. What happens to a recipient or a server is still the
 * same: it depends on the seed, the subject and how often it was asked before, not on which came first.
 */
export function createSeededRandom(seed: number): SeededRandom {
  const asked = new Map<string, number>();
  const next = (about: string): number => {
    const times = (asked.get(about) ?? 0) + 1;
    asked.set(about, times);
    return createHash('sha256').update(`${seed}:${about}:${times}`).digest().readUInt32BE(0) / 2 ** 32;
  };
  return {
    next,
    is: (about, probability) => next(about) < probability,
    between: (about, from, to) => from + Math.floor(next(about) * (to - from + 1)),
    pick: (about, from) => from[Math.floor(next(about) * from.length)] ?? from[0],
  };
}
