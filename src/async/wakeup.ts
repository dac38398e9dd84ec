/** An auto-reset event: wakes one sleeper, and is remembered if it is signalled while nothing sleeps. */

export interface Wakeup {
  signal(): void;
  /** Resolves when signalled, after `ms` at the latest. */
  wait(ms: number): Promise<void>;
}

export function createWakeup(): Wakeup {
  let signalled = false;
  let wake: (() => void) | null = null;
  return {
    signal() {
      signalled = true;
      wake?.();
    },
    async wait(ms) {
      if (!signalled) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, ms);
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      }
      wake = null;
      signalled = false;
    },
  };
}
