/** Insists on a write that Redis refuses for the time being: what a server has answered is known to this process alone. */
import { setTimeout as pause } from 'node:timers/promises';
import { asError } from '../../errors.ts';

/**
 * Refusals that end by themselves, or by an operator's hand: no memory, no disk, a replica after a failover, still loading
 * (redis.io/docs/latest/develop/reference/clients and each error's own text). A connection that is lost is not among them:
 * its commands wait for the next one anyway. Redis 6 wraps the error of a script: «ERR Error running script …: -OOM command …».
 */
const passing = /(?:^|-)(OOM|MISCONF|READONLY|LOADING|BUSY|NOREPLICAS|MASTERDOWN|CLUSTERDOWN|TRYAGAIN) /;

/** Tries until it is not refused any more, with pauses of 100 ms to 2 s; `refused` is told once. Rejects with any other error. */
export async function insist<T>(write: () => Promise<T>, refused: (error: Error) => void): Promise<T> {
  for (let pauseMs = 100, told = false; ; pauseMs = Math.min(pauseMs * 2, 2_000)) {
    try {
      return await write();
    } catch (thrown) {
      const error = asError(thrown);
      if (!passing.test(error.message)) throw error;
      if (!told) refused(error);
      told = true;
    }
    await pause(pauseMs);
  }
}
