/** Lets only so many through at once per key, in the order they came; for limits that a server counts per mailbox. */

export interface Gate {
  /** Resolves to the function that leaves again (call it once), or to null if the signal came first. */
  enter(key: string, signal: AbortSignal): Promise<(() => void) | null>;
}

interface Queue {
  inside: number;
  readonly waiting: Set<() => void>;
}

export function createGate(limit: number): Gate {
  const queues = new Map<string, Queue>();
  const leave = (key: string, queue: Queue): void => {
    const [next] = queue.waiting;
    if (next !== undefined) {
      queue.waiting.delete(next);
      return next();
    }
    queue.inside -= 1;
    if (queue.inside === 0) queues.delete(key);
  };
  return {
    enter(key, signal) {
      if (signal.aborted) return Promise.resolve(null);
      const queue = queues.get(key) ?? { inside: 0, waiting: new Set() };
      queues.set(key, queue);
      const leaveOnce = (): (() => void) => {
        let left = false;
        return () => {
          if (!left) leave(key, queue);
          left = true;
        };
      };
      if (queue.inside < limit) {
        queue.inside += 1;
        return Promise.resolve(leaveOnce());
      }
      return new Promise((resolve) => {
        const turn = (): void => {
          signal.removeEventListener('abort', onAbort);
          resolve(leaveOnce());
        };
        const onAbort = (): void => {
          if (queue.waiting.delete(turn)) resolve(null);
        };
        queue.waiting.add(turn);
        signal.addEventListener('abort', onAbort, { once: true });
      });
    },
  };
}
