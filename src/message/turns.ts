/**
 * Turns: work on a large mail gives the event loop its turn after every quarter of a megabyte.
 *
 * Counted in bytes and not in time, so that the same mail is always cut at the same places. A small mail never waits.
 */
import { setImmediate } from 'node:timers/promises';

export interface Turns {
  /** Says that so many bytes have been worked on. → what to wait for before the work goes on; null if it is not its turn yet. */
  spend(bytes: number): Promise<unknown> | null;
}

/** Worked on at a time: 1 to 5 ms of the slowest work there is. */
export const sliceBytes = 256 * 1024;

/** `next` resolves when everything else that was ready has run. */
export function createTurns(next: () => Promise<unknown> = () => setImmediate()): Turns {
  let spent = 0;
  return {
    spend(bytes) {
      spent += bytes;
      if (spent < sliceBytes) return null;
      spent = 0;
      return next();
    },
  };
}

/** Does `work` on one slice after the other. */
export async function inSlices(
  start: number,
  end: number,
  turns: Turns,
  work: (start: number, end: number) => void,
): Promise<void> {
  for (let from = start; from < end; from += sliceBytes) {
    const to = Math.min(from + sliceBytes, end);
    work(from, to);
    const turn = turns.spend(to - from);
    if (turn !== null) await turn;
  }
}
