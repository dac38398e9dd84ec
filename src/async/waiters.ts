/** A first-in, first-out line of waiters, each of which a signal may take out again. */

export interface Waiters<T> {
  readonly length: number;
  /** Resolves to what the waiter is given, or to null if the signal comes first. */
  wait(signal: AbortSignal): Promise<T | null>;
  /** Gives a value to the first waiter; false if there is none. */
  give(value: T): boolean;
}

export function createWaiters<T>(): Waiters<T> {
  // A set keeps its order and forgets any member at once: a line of thousands may be aborted together.
  const line = new Set<(value: T) => void>();
  return {
    get length() {
      return line.size;
    },
    wait(signal) {
      if (signal.aborted) return Promise.resolve(null);
      return new Promise((resolve) => {
        const take = (value: T): void => {
          signal.removeEventListener('abort', onAbort);
          resolve(value);
        };
        const onAbort = (): void => {
          line.delete(take);
          resolve(null);
        };
        line.add(take);
        signal.addEventListener('abort', onAbort, { once: true });
      });
    },
    give(value) {
      const [first] = line;
      if (first === undefined) return false;
      line.delete(first);
      first(value);
      return true;
    },
  };
}
