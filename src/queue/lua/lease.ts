/** A task that one process has at a time, for as long as it says so: the key of its lease holds the token of the process. */
import type { RedisClient } from '../redis/connection.ts';
import { run, script } from './script.ts';

/** Takes or keeps a lease. → 1 if this process has it. @lua */
export const leaseScript = script(
  { keys: ['lease'], args: ['token', 'ms'], allowOom: true },
  /* lua */ `
local holder = redis.call('GET', lease)
if holder and holder ~= token then return 0 end
redis.call('SET', lease, token, 'PX', ms)
return 1
`,
);

/** Gives it up, if it is its own. @lua */
export const endLeaseScript = script(
  { keys: ['lease'], args: ['token'], allowOom: true },
  /* lua */ `
if redis.call('GET', lease) == token then redis.call('DEL', lease) end
`,
);

/** Whether this process has the lease for the next `ms`. */
export async function hasLease(redis: RedisClient, lease: string, token: string, ms: number): Promise<boolean> {
  return (await run(redis, leaseScript, { keys: { lease }, args: { token, ms } })) === 1;
}

export async function endLease(redis: RedisClient, lease: string, token: string): Promise<void> {
  await run(redis, endLeaseScript, { keys: { lease }, args: { token } });
}
