/** Repeats a write that Redis refuses for the time being: what a server has answered is known to this process alone. */
import { setTimeout as pause } from 'node:timers/promises';
import { asError } from '../errors.ts';

/**
 * Refusals that end without a change to the write, or after an operator has acted: no memory, no disk, a replica after a failover,
 * a dataset that is still loading (redis.io/docs/latest/develop/reference/clients and each error's own text). A lost connection is
 * not among them: its commands wait for the next connection. Redis 6 wraps the error of a script: "ERR Error running script …:
 * -OOM command …".
 */
const temporary = /(?:^|-)(OOM|MISCONF|READONLY|LOADING|BUSY|NOREPLICAS|MASTERDOWN|CLUSTERDOWN|TRYAGAIN) /;

/** Repeats after pauses of 100 ms to 2 s; `refused` is called for the first refusal. Rejects with any other error. */
export async function retryWhileRefused<T>(write: () => Promise<T>, refused: (error: Error) => void): Promise<T> {
  for (let pauseMs = 100, reported = false; ; pauseMs = Math.min(pauseMs * 2, 2_000)) {
    try {
      return await write();
    } catch (thrown) {
      const error = asError(thrown);
      if (!temporary.test(error.message)) throw error;
      if (!reported) refused(error);
      reported = true;
    }
    await pause(pauseMs);
  }
}
