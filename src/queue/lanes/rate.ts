/**
 * The rate of a lane: from messages per minute to BullMQ's rate limit, and the correction that keeps a lane on its schedule.
 * The correction is the generic cell rate algorithm (GCRA) by virtual scheduling: a theoretical arrival time, and a tolerance.
 *
 * What is promised is counted at the server: never more than the limit in any 60 seconds, and at least 99 % of it while
 * messages wait. BullMQ counts when a message is taken, so two things stand between:
 *
 * 1. Between the taking and MAIL FROM passes time, and not always the same. Messages that were taken evenly may arrive bunched.
 *    Sessions are opened before a message is taken, so that time is some milliseconds; but a busy process may add more. So one
 *    message is taken per interval, each 0.85 % longer than the limit asks: in 60 s that is 510 ms of slack for what varies.
 *    N+1 messages are N intervals apart, so they are within 60 s at the server only if the first took 510 ms longer than the
 *    last (less `toleranceMs`, see 2).
 * 2. A process takes the message when the interval is over, and comes a little late: by a few ms mostly, by 50
 *    where a lane was looked at too early. BullMQ's interval begins when a message is taken, so all that is lost; at 1,200 a
 *    minute (50 ms) it would be half. So a process that takes one late makes the next interval shorter by as much, up to
 *    `toleranceMs` in all: lateness is no loss, and no more than `toleranceMs` worth of messages can ever follow at once.
 *
 * 99.16 % are left, of which stops and kills may cost some. BullMQ's window is fixed, so many per window instead of one per
 * interval would let twice as many pass around its edge: that is done only beyond 1,000 a second, where an interval of whole
 * milliseconds is too coarse; 61 windows of a second touch any 60 s, so each has a 61st of the limit.
 */
import type { RedisClient } from '../redis/connection.ts';
import { laneName } from '../redis/keys.ts';
import type { Shards } from '../redis/shards.ts';
import { metaFields, luaSetRate, unreachableMax } from '../bullmq/layout.ts';
import { luaLearnedRate, luaWithLearned } from '../lua/learned-rate.ts';
import { luaNow, run, script } from '../lua/script.ts';

/** By how much an interval is longer than the limit asks. */
const slack = 1.0085;
/** How much lateness is made good, in ms. */
export const toleranceMs = 100;

export interface RateLimit {
  /** BullMQ's: so many are taken in a window that begins with the first. */
  readonly max: number;
  readonly durationMs: number;
  /** From one message to the next, not rounded; null where the windows are all. */
  readonly intervalMs: number | null;
}

export function rateLimitOf(messagesPerMinute: number): RateLimit {
  const intervalMs = (60_000 / messagesPerMinute) * slack;
  if (intervalMs >= 1) return { max: 1, durationMs: Math.ceil(intervalMs), intervalMs };
  return { max: Math.floor(messagesPerMinute / 61), durationMs: 1_000, intervalMs: null };
}

/**
 * After a message was taken: moves the limiter so that the lane stays on its schedule. `plan` is the theoretical arrival time of
 * the next message in µs of Redis' clock (GCRA's TAT, ITU-T I.371). A learned rate grows with each message, and ends here.
 * `intervalUs`: of the configured rate, 0 where that has none. → 1 if the rate in force is a learned one.
 *
 * @lua
 */
export const takenScript = script(
  {
    keys: ['limiter', 'plan', 'ready', 'meta', 'refusals', 'stats'],
    args: ['max', 'durationMs', 'intervalUs', 'toleranceUs', 'connector'],
    allowOom: true,
  },
  /* lua */ `${luaNow}${luaSetRate}${luaLearnedRate}${luaWithLearned}
local rate = learnedRate(refusals, stats)
local most, window, learned = withLearned(rate, max, durationMs)
local duration, interval = window * 1000, tonumber(intervalUs)
if learned then
  duration = tonumber(redis.call('HGET', meta, '${metaFields.duration}') or window) * 1000
  interval = 1000000 / rate
end
if window * 1000 ~= duration then setRate(meta, most, window) end
if not learned and redis.call('HDEL', refusals, 'rate', 'bounded', 'again') > 0 then setRate(meta, most, window) end
local answer = learned and 1 or 0
if interval == 0 then return answer end
-- Not one of ours: the lane pauses, or its limit has just been changed.
if redis.call('GET', limiter) ~= '1' then return answer end
local left = redis.call('PTTL', limiter)
if left < 0 then return answer end
now = clock[1] * 1000000 + clock[2]
local tolerance = tonumber(toleranceUs)
local taken = now - math.max(0, duration - left * 1000)
local planned = tonumber(redis.call('GET', plan) or taken)
-- A pause that was ended by hand leaves a plan ahead of its time, and at most one interval of it is owed.
planned = math.max(math.min(planned, taken + interval), taken - tolerance)
local next = planned + interval
redis.call('SET', plan, string.format('%.0f', next), 'PX', math.ceil(interval / 1000) + 60000)
local wait = math.ceil((next - now) / 1000)
if wait >= left then return answer end
if wait > 0 then redis.call('PEXPIRE', limiter, wait) else redis.call('DEL', limiter) end
redis.call('ZADD', ready, 'XX', 'LT', math.ceil(next / 1000), connector)
return answer
`,
);

/** As BullMQ has it. A lane without a rate has one that nothing reaches: BullMQ's `rateLimit(ms)` needs one (getRateLimitTTL.lua). */
export function bullmqRateOf(messagesPerMinute: number | null): { readonly max: number; readonly durationMs: number } {
  return messagesPerMinute === null ? { max: unreachableMax, durationMs: 1_000 } : rateLimitOf(messagesPerMinute);
}

/** Keeps a lane on its schedule; to be called for each message that was taken from it. */
export type Pacer = (connectorId: string, messagesPerMinute: number | null) => Promise<void>;

/** `slowed`: lanes with a learned rate, as far as this process knows. The others find out when they set limits. */
export function createPacer(redis: RedisClient, shards: Shards, slowed: Set<string>): Pacer {
  return async (connectorId, messagesPerMinute) => {
    const intervalMs = messagesPerMinute === null ? null : rateLimitOf(messagesPerMinute).intervalMs;
    if (intervalMs === null && !slowed.has(connectorId)) return;
    const { max, durationMs } = bullmqRateOf(messagesPerMinute);
    const keys = shards.keysOf(connectorId);
    const lane = laneName(connectorId);
    const isSlowed = await run(redis, takenScript, {
      keys: {
        limiter: keys.queue(lane, 'limiter'),
        plan: keys.plan(connectorId),
        ready: keys.ready,
        meta: keys.queue(lane, 'meta'),
        refusals: keys.refusals(connectorId),
        stats: keys.connectorStats(connectorId),
      },
      args: {
        max,
        durationMs,
        intervalUs: Math.round((intervalMs ?? 0) * 1_000),
        toleranceUs: toleranceMs * 1_000,
        connector: connectorId,
      },
    });
    if (isSlowed === 1) slowed.add(connectorId);
    else slowed.delete(connectorId);
  };
}
