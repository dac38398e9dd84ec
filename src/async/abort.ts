/** Waiting for work that a signal may end first. */

/**
 * The result of `work`, or that of `instead` (which may throw) if the signal comes first. The work itself is not ended; its
 * later result is dropped.
 */
export function abortable<T>(work: Promise<T>, signal: AbortSignal, instead: () => T): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      try {
        resolve(instead());
      } catch (thrown) {
        reject(thrown);
      }
    };
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

/** Runs `begin`, and calls `onAbort` if the signal comes before its promise settles. It is up to `onAbort` to end the work. */
export async function interruptible<T>(signal: AbortSignal, onAbort: () => void, begin: () => Promise<T>): Promise<T> {
  signal.addEventListener('abort', onAbort);
  try {
    const running = begin();
    if (signal.aborted) onAbort();
    return await running;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
