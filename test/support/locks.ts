/** Locks of jobs: a test that needs a lock to have ended ends it, instead of waiting with a lock too short for a busy machine. */
import type { Redis } from 'ioredis';
import { until } from '../../testkit/until.ts';

/** Ends every lock at once, as time does when it is not renewed, and makes the next round of maintenance look for stalled jobs. */
export async function endLocks(redis: Redis, prefix: string): Promise<void> {
  const keys: string[] = [`${prefix}:sweep`];
  for await (const found of redis.scanStream({ match: `${prefix.slice(0, -1)}*`, count: 1_000 })) {
    keys.push(...(found as string[]).filter((key) => /:(?:lock|stalled-check)$/.test(key)));
  }
  await redis.unlink(...keys);
}

/** Waits until the lock is renewed: its time to live counts down, and jumps up. */
export async function lockRenewed(redis: Redis, key: string): Promise<void> {
  let last = await redis.pttl(key);
  await until(
    async () => {
      const [before, left] = [last, await redis.pttl(key)];
      last = left;
      return left > before;
    },
    { what: 'the lock to be renewed' },
  );
}
