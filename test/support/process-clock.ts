/** A clock that runs only while this process does: an upper bound on its time does not depend on how busy the machine is. */
import { onTestFinished } from 'vitest';

const tickMs = 5;

/**
 * → ms since the start, counted by a timer of this process. Missed ticks are not made up: while the machine gives this
 * process no time, the clock stands still. It never runs faster than the wall clock.
 */
export function startProcessClock(): () => number {
  let ticks = 0;
  const timer = setInterval(() => (ticks += 1), tickMs);
  onTestFinished(() => clearInterval(timer));
  return () => ticks * tickMs;
}
