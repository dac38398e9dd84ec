/**
 * The pace of a lane: from messages per minute to BullMQ's rate limit, and the correction that keeps a lane on its schedule.
 *
 * What is promised is counted at the server: never more than the limit in any 60 seconds, and at least 97 % of it while
 * messages wait. BullMQ counts when a message is taken, so two things stand between:
 *
 * 1. Between the taking and MAIL FROM passes time, and not always the same. Messages that were taken evenly may arrive bunched.
 *    Sessions are opened before a message is taken, so that time is some milliseconds; but a busy process may add more. So one
 *    message is taken per interval, each 1.25 % longer than the limit asks: in 60 s that is 750 ms of slack for what varies.
 *    N+1 messages are N intervals apart, so they are within 60 s at the server only if the first took 750 ms longer than the
 *    last (less `catchUpMs`, see 2).
 * 2. Somebody has to come and take the message when the interval is over, and comes a little late: by a few ms mostly, by 50
 *    where a lane was looked at too early. BullMQ's interval begins when a message is taken, so all that is lost; at 1,200 a
 *    minute (50 ms) it would be half. So whoever has taken one late makes the next interval shorter by as much, up to
 *    `catchUpMs` in all: lateness is no loss, and no more than `catchUpMs` worth of messages can ever follow at once.
 *
 * 98.75 % are left, of which stops and kills may cost some. BullMQ's window is fixed, so many per window instead of one per
 * interval would let twice as many pass around its edge: that is done only beyond 1,000 a second, where an interval of whole
 * milliseconds is too coarse; 61 windows of a second touch any 60 s, so each has a 61st of the limit.
 */
import type { RedisClient } from '../redis/connection.ts';
import { laneName, type Keys } from '../redis/keys.ts';
import { run, script } from '../lua/script.ts';

/** By how much an interval is longer than the limit asks. */
const slack = 1.0125;
/** How much lateness is made good, in ms. */
export const catchUpMs = 250;

export interface Pace {
  /** BullMQ's: so many are taken in a window that begins with the first. */
  readonly max: number;
  readonly durationMs: number;
  /** From one message to the next, not rounded; null where the windows are all. */
  readonly intervalMs: number | null;
}

export function paceOf(messagesPerMinute: number): Pace {
  const intervalMs = (60_000 / messagesPerMinute) * slack;
  if (intervalMs >= 1) return { max: 1, durationMs: Math.ceil(intervalMs), intervalMs };
  return { max: Math.floor(messagesPerMinute / 61), durationMs: 1_000, intervalMs: null };
}

/**
 * After a message was taken. KEYS: limiter, the lane's schedule, ready. ARGV: BullMQ's duration, interval and longest
 * correction in µs, connector id. The schedule is the time from which the next one might be taken, in µs.
 */
const takenScript = script(`
-- Not one of ours: the lane pauses, or its limit has just been changed.
if redis.call('GET', KEYS[1]) ~= '1' then return end
local left = redis.call('PTTL', KEYS[1])
if left < 0 then return end
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local duration, interval, most = tonumber(ARGV[1]) * 1000, tonumber(ARGV[2]), tonumber(ARGV[3])
local taken = now - math.max(0, duration - left * 1000)
local planned = tonumber(redis.call('GET', KEYS[2]) or taken)
-- A pause that was ended by hand leaves a plan ahead of its time, and at most one interval of it is owed.
planned = math.max(math.min(planned, taken + interval), taken - most)
local next = planned + interval
redis.call('SET', KEYS[2], string.format('%.0f', next), 'PX', math.ceil(interval / 1000) + 60000)
local wait = math.ceil((next - now) / 1000)
if wait >= left then return end
if wait > 0 then redis.call('PEXPIRE', KEYS[1], wait) else redis.call('DEL', KEYS[1]) end
redis.call('ZADD', KEYS[3], 'XX', 'LT', math.ceil(next / 1000), ARGV[4])
`);

/** Keeps a lane on its schedule; to be called for each message that was taken of it. */
export function createPacer(
  redis: RedisClient,
  keys: Keys,
): (connectorId: string, messagesPerMinute: number) => Promise<void> {
  return async (connectorId, messagesPerMinute) => {
    const { durationMs, intervalMs } = paceOf(messagesPerMinute);
    if (intervalMs === null) return;
    const paceKeys = [keys.queue(laneName(connectorId), 'limiter'), keys.pace(connectorId), keys.ready];
    const args = [durationMs, Math.round(intervalMs * 1_000), catchUpMs * 1_000, connectorId];
    await run(redis, takenScript, paceKeys, args);
  };
}
