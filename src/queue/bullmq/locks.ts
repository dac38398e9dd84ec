/** The locks of the jobs that a process has: renewed together, in one script for all queues of a shard. */
import { run, script } from '../lua/script.ts';
import type { RedisClient } from '../redis/connection.ts';
import { lockName } from './layout.ts';

/**
 * Renews locks that still carry their token, and takes their jobs out of those that may be abandoned, as extendLocks-1.lua does.
 * `locks` are a job's lock and the `stalled` set of its queue in turn, `jobs` its token and its id. → indices of those that were lost. @lua
 */
export const renewScript = script(
  { keys: [], moreKeys: 'locks', args: ['lockMs'], moreArgs: 'jobs', allowOom: true },
  /* lua */ `
local lost = {}
for i = 1, #locks, 2 do
  if redis.call('GET', locks[i]) == jobs[i] then
    redis.call('PEXPIRE', locks[i], lockMs)
    redis.call('SREM', locks[i + 1], jobs[i + 1])
  else lost[#lost + 1] = (i - 1) / 2 end
end
return lost
`,
);

/** Locks of one script. */
const renewedAtOnce = 100;

interface HeldLock {
  readonly job: string;
  readonly jobId: string;
  readonly stalled: string;
  readonly token: string;
  /** Called once, if Redis says that the lock is another's. */
  readonly lost: () => void;
}

export interface Locks {
  /** From now on the lock is renewed. → what ends that. */
  hold(lock: HeldLock): () => void;
}

/** A lock is renewed once a quarter of its time has passed, so that three refusals in a row do no harm. */
export function createLocks(redis: RedisClient, lockMs: number): Locks {
  const held = new Map<HeldLock, number>();
  const everyMs = lockMs / 4;
  let timer: NodeJS.Timeout | null = null;

  const renew = async (locks: readonly HeldLock[]): Promise<void> => {
    const lost = (await run(redis, renewScript, {
      keys: {},
      moreKeys: locks.flatMap(({ job, stalled }) => [lockName(job), stalled]),
      args: { lockMs },
      moreArgs: locks.flatMap(({ token, jobId }) => [token, jobId]),
    })) as number[];
    for (const i of lost) {
      const lock = locks[i];
      if (lock !== undefined && held.delete(lock)) lock.lost();
    }
  };

  const round = (): void => {
    if (held.size === 0) {
      if (timer !== null) clearInterval(timer);
      timer = null;
      return;
    }
    const now = performance.now();
    const due = [...held].flatMap(([lock, since]) => (now - since >= everyMs / 2 ? [lock] : []));
    for (const lock of due) held.set(lock, now);
    for (let i = 0; i < due.length; i += renewedAtOnce) {
      // Redis is away, or refuses: the next round asks again.
      renew(due.slice(i, i + renewedAtOnce)).catch(() => undefined);
    }
  };

  return {
    hold(lock) {
      held.set(lock, performance.now());
      timer ??= setInterval(round, everyMs).unref();
      return () => void held.delete(lock);
    },
  };
}
