/** What a lane waits for, and until when: the reason is written beside BullMQ's limiter, with the same end. */
import type { QuotaKind } from './quota.ts';
import { luaNow, script } from '../lua/script.ts';

/** Why somebody made a lane wait for a time. */
export type HoldReason = Extract<WaitReason, 'fault' | 'slow-down' | QuotaKind>;

/**
 * Closed list. `nothing`: it has messages and may send. `work`: no message is there. `retry`: all that is there waits for the time
 * of its next attempt. `pause`: an operator holds it. `fault`, `slow-down`: as the connector's fault, or the server, asked for.
 * `rate`, `concurrency`, `recipients-per-day`, `bytes`: that limit.
 */
export const waitReasons = [
  'nothing',
  'work',
  'retry',
  'pause',
  'fault',
  'slow-down',
  'rate',
  'concurrency',
  'recipients-per-day',
  'bytes',
] as const;
export type WaitReason = (typeof waitReasons)[number];

/** KEYS: limiter, reason. ARGV: pause ms, reason, BullMQ's count of a full limiter. A shorter pause does not end a longer one. */
export const holdScript = script(`
if redis.call('EXISTS', KEYS[2]) == 1 and redis.call('PTTL', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[1])
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[1])
return 1
`);

/**
 * Forgets why the lane waits if it is one of the reasons of ARGV. KEYS[1] reason. The limiter is then one of the pace alone, and
 * the next setting of limits shortens it to an interval: at no moment is the lane faster than its pace.
 */
export const unholdScript = script(`
local why = redis.call('GET', KEYS[1])
for _, reason in ipairs(ARGV) do
  if reason == why then return redis.call('DEL', KEYS[1]) end
end
return 0
`);

/** KEYS: wait, prioritized, delayed, active, meta, limiter, reason. → [reason, ms until its end or -1, concurrency in force or -1]. */
export const waitScript = script(`${luaNow}
local meta = redis.call('HMGET', KEYS[5], 'paused', 'concurrency', 'max')
local concurrency = tonumber(meta[2] or '-1')
if meta[1] then return { 'pause', -1, concurrency } end
if redis.call('LLEN', KEYS[1]) + redis.call('ZCARD', KEYS[2]) == 0 then
  local delayed = redis.call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')
  if not delayed[2] then return { 'work', -1, concurrency } end
  -- BullMQ keeps a delayed job's time in the upper bits of its score.
  return { 'retry', math.max(0, math.floor(tonumber(delayed[2]) / 4096) - now), concurrency }
end
if meta[3] and tonumber(redis.call('GET', KEYS[6]) or '0') >= tonumber(meta[3]) then
  return { redis.call('GET', KEYS[7]) or 'rate', math.max(0, redis.call('PTTL', KEYS[6])), concurrency }
end
if meta[2] and redis.call('LLEN', KEYS[4]) >= concurrency then return { 'concurrency', -1, concurrency } end
return { 'nothing', -1, concurrency }
`);
