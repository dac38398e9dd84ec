/** A semaphore per key: so many holders at once, in the order they came; for limits that a server counts per mailbox. */
import { createWaiters, type Waiters } from './waiters.ts';

type Release = () => void;

export interface KeyedSemaphore {
  /** Resolves to the function that releases the permit (calling it again does nothing), or to null if the signal comes first. */
  acquire(key: string, signal: AbortSignal): Promise<Release | null>;
}

interface Permits {
  held: number;
  readonly waiters: Waiters<void>;
}

export function createKeyedSemaphore(limit: number): KeyedSemaphore {
  const permits = new Map<string, Permits>();
  return {
    async acquire(key, signal) {
      if (signal.aborted) return null;
      const own = permits.get(key) ?? { held: 0, waiters: createWaiters<void>() };
      permits.set(key, own);
      // A permit that is released goes to the next waiter without being counted down.
      if (own.held < limit) own.held += 1;
      else if ((await own.waiters.wait(signal)) === null) return null;
      let released = false;
      return () => {
        if (released) return;
        released = true;
        if (own.waiters.give()) return;
        own.held -= 1;
        if (own.held === 0) permits.delete(key);
      };
    },
  };
}
