/** What a lane waits for, and until when: the reason is written beside BullMQ's limiter, with the same end. */
import type { OwnQuotaKind } from './quota.ts';
import { luaCloseLimiter, luaDelayedUntil, luaLimitedFor, luaLimitsOf, luaWaiting } from '../bullmq/layout.ts';
import { luaLearnedRate } from '../lua/learned-rate.ts';
import { luaNow, script } from '../lua/script.ts';

/** Why a lane was made to wait for a time. */
export type HoldReason = Extract<WaitReason, 'fault' | 'slow-down' | 'group' | OwnQuotaKind>;

/**
 * Closed list. `nothing`: it has messages and may send. `work`: no message is there. `retry`: all that is there waits for the time
 * of its next attempt. `key`: the key of a message is in no worker that has looked at it. `pause`: an operator holds it. `fault`,
 * `slow-down`: as the connector's fault, or the server, asked for. `rate`, `concurrency`, `recipients-per-day`, `bytes`: that limit.
 * `group`: one of the group that the connector is in.
 */
export const waitReasons = [
  'nothing',
  'work',
  'retry',
  'key',
  'pause',
  'fault',
  'slow-down',
  'rate',
  'concurrency',
  'recipients-per-day',
  'bytes',
  'group',
] as const;
export type WaitReason = (typeof waitReasons)[number];

/**
 * `hold(limiter, waitReason, ms, reason)`: the lane waits. A shorter wait does not end a longer one. Until its end no worker takes a
 * message of the lane, and after a fault or for a server that asked for it, none that was taken passes the fence.
 */
export const luaHold = `${luaCloseLimiter}
local function hold(limiter, waitReason, ms, reason)
  if redis.call('EXISTS', waitReason) == 1 and redis.call('PTTL', limiter) >= ms then return end
  closeLimiter(limiter, ms)
  redis.call('SET', waitReason, reason, 'PX', ms)
end
`;

export const holdLaneScript = script(
  { keys: ['limiter', 'waitReason'], args: ['pauseMs', 'reason'], allowOom: true },
  /* lua */ `${luaHold}
hold(limiter, waitReason, tonumber(pauseMs), reason)
`,
);

/**
 * Forgets why the lane waits if it is one of `reasons`. The limiter is then one of the rate alone, and the next setting of limits
 * shortens it to an interval: at no moment is the lane faster than its rate.
 */
export const endHoldScript = script(
  { keys: ['waitReason'], moreArgs: 'reasons' },
  /* lua */ `
local why = redis.call('GET', waitReason)
for _, reason in ipairs(reasons) do
  if reason == why then return redis.call('DEL', waitReason) end
end
return 0
`,
);

/** A message of the lane waits for its key: noted in the hash of counts, as nothing that sends looks there. */
export const noteKeyMissingScript = script(
  { keys: ['stats'], args: ['forMs'], allowOom: true },
  /* lua */ `${luaNow}
redis.call('HSET', stats, 'keyMissingUntil', string.format('%.0f', now + forMs))
return 1
`,
);

/**
 * `whyWaits(wait, prioritized, delayed, active, meta, limiter, waitReason, stats)` → the reason, and ms until its end or -1. After `luaWaiting`,
 * `luaDelayedUntil`, `luaLimitsOf` and `luaLimitedFor`; needs `now`. `keyMissing(stats)`: whether a message waits for its key.
 */
export const luaWhyWaits = `
local function keyMissing(stats)
  return (tonumber(redis.call('HGET', stats, 'keyMissingUntil') or '') or 0) > now
end
local function whyWaits(wait, prioritized, delayed, active, meta, limiter, waitReason, stats)
  local paused, concurrency, max = limitsOf(meta)
  if paused then return 'pause', paused == math.huge and -1 or paused - now end
  if waiting(wait, prioritized) == 0 then
    if keyMissing(stats) then return 'key', -1 end
    local first = delayedUntil(delayed)
    if not first then return 'work', -1 end
    return 'retry', math.max(0, first - now)
  end
  local limited = limitedFor(limiter, max)
  if limited then return redis.call('GET', waitReason) or 'rate', limited end
  if concurrency and redis.call('LLEN', active) >= concurrency then return 'concurrency', -1 end
  return 'nothing', -1
end
`;

/** → [reason, ms until its end or -1, concurrency in force or -1, learned rate per minute or -1]. */
export const waitScript = script(
  { keys: ['wait', 'prioritized', 'delayed', 'active', 'meta', 'limiter', 'waitReason', 'refusals', 'stats'] },
  /* lua */ `${luaNow}${luaLearnedRate}${luaWaiting}${luaDelayedUntil}${luaLimitsOf}${luaLimitedFor}${luaWhyWaits}
local _, concurrency = limitsOf(meta)
local learned = learnedRate(refusals, stats)
local reason, untilMs = whyWaits(wait, prioritized, delayed, active, meta, limiter, waitReason, stats)
return { reason, untilMs, concurrency or -1, learned and math.floor(learned * 60) or -1 }
`,
);
