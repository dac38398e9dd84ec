/** The soak's dice: chances by a seed, one sequence per thing they are thrown for, so that the same seed means the same trouble. */
import { createHash } from 'node:crypto';

export interface Chance {
  /** 0 ≤ n < 1; the next of the sequence of `about`. */
  next(about: string): number;
  /** True with this probability. */
  is(about: string, probability: number): boolean;
  /** A whole number from `from` to `to`, both included. */
  between(about: string, from: number, to: number): number;
  pick<T>(about: string, from: readonly [T, ...T[]]): T;
}

/**
 * Processes and sockets race, so no two runs are alike in time. What befalls a recipient or a server is the same all the
 * same: it depends on the seed, the name and how often it was asked before, not on who came first.
 */
export function createChance(seed: number): Chance {
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
