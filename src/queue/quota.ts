/**
 * How many recipients a connector may still serve today, shared by all workers. Counted in hours of Redis' clock: an hour's
 * count leaves the window only when all of it is older than a day, so no 24 hours ever hold more than the limit.
 */
import type { Redis } from 'ioredis';
import type { Keys } from './names.ts';
import { luaNow, run, script } from './script.ts';

/** KEYS[1] hash hour → recipients. ARGV: how many, limit. → [ms to wait or 0, hour of the booking]. */
const takeScript = script(`${luaNow}
local hour = math.floor(now / 3600000)
local counts = {}
local sum = 0
local flat = redis.call('HGETALL', KEYS[1])
for i = 1, #flat, 2 do
  local at = tonumber(flat[i])
  if at < hour - 24 then redis.call('HDEL', KEYS[1], flat[i])
  else
    sum = sum + tonumber(flat[i + 1])
    counts[#counts + 1] = { at, tonumber(flat[i + 1]) }
  end
end
local over = sum + tonumber(ARGV[1]) - tonumber(ARGV[2])
if over <= 0 then
  redis.call('HINCRBY', KEYS[1], hour, ARGV[1])
  redis.call('PEXPIRE', KEYS[1], 26 * 3600000)
  return { 0, hour }
end
table.sort(counts, function(a, b) return a[1] < b[1] end)
local till = hour + 25
for _, count in ipairs(counts) do
  over = over - count[2]
  if over <= 0 then till = count[1] + 25; break end
end
return { till * 3600000 - now, hour }
`);

/** A booking that may be given back in part. */
interface Booking {
  readonly hour: number;
  readonly count: number;
}

export interface Quota {
  /** Books `count` recipients of a connector within `limit` a day; or says how long to wait, in ms. */
  take(connectorId: string, count: number, limit: number): Promise<{ waitMs: number } | { booking: Booking }>;
  /** Gives back those who were not reached. */
  giveBack(connectorId: string, booking: Booking, count: number): Promise<void>;
}

export function createQuota(redis: Redis, keys: Keys): Quota {
  return {
    async take(connectorId, count, limit) {
      // A message to more people than a day allows goes out alone, rather than never.
      const args = [Math.min(count, limit), limit];
      const [waitMs, hour] = (await run(redis, takeScript, [keys.quota(connectorId)], args)) as unknown[];
      if (Number(waitMs) > 0) return { waitMs: Number(waitMs) };
      return { booking: { hour: Number(hour), count: Math.min(count, limit) } };
    },
    async giveBack(connectorId, { hour, count: booked }, count) {
      if (count > 0) await redis.hincrby(keys.quota(connectorId), String(hour), -Math.min(count, booked));
    },
  };
}
