/** Counts the requests that one app has on its way to one mailbox: Exchange Online lets four of them in. */

export interface Concurrency {
  /** False if the request is one too many; it counts until `leave` all the same. */
  enter(key: string): boolean;
  leave(key: string): void;
  /** Most requests that were on their way at once, refused ones included. */
  highWater(key: string): number;
}

export function createConcurrency(limit: number): Concurrency {
  const running = new Map<string, number>();
  const most = new Map<string, number>();
  return {
    enter(key) {
      const now = (running.get(key) ?? 0) + 1;
      running.set(key, now);
      most.set(key, Math.max(most.get(key) ?? 0, now));
      return now <= limit;
    },
    leave(key) {
      running.set(key, (running.get(key) ?? 1) - 1);
    },
    highWater: (key) => most.get(key) ?? 0,
  };
}
