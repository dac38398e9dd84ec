/** The Lua of the `ready` set: which lanes may have something to do, and from when. */
import { luaNow, script } from './script.ts';
import { luaInForce, luaLower } from './throttle.ts';

/** KEYS[1] ready. ARGV: how many, visibility ms. → [ms until the next lane is due or -1, ids…]. Oldest first, so round robin. */
export const claimScript = script(`${luaNow}
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])
for _, id in ipairs(ids) do redis.call('ZADD', KEYS[1], 'XX', now + ARGV[2], id) end
local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
local wait = -1
if first[2] then wait = math.max(0, math.ceil(tonumber(first[2]) - now)) end
return { wait, unpack(ids) }
`);

/**
 * Works out from the lane's own keys when it may have something to do, and writes that into the ready set.
 * KEYS: ready, lanes, wait, prioritized, delayed, active, meta, limiter.
 * ARGV: id, mode, wake channel or ''. Mode 'sooner' only moves the lane forward: a lane that is in line keeps its place.
 * Mode 'exact' is for after a fetch that found nothing: it also moves back or removes. → ms until due, or -1.
 */
export const refreshScript = script(`${luaNow}
local meta = redis.call('HMGET', KEYS[7], 'paused', 'concurrency', 'max')
local due = -1
if not meta[1] then
  if redis.call('LLEN', KEYS[3]) + redis.call('ZCARD', KEYS[4]) > 0 then
    due = now
  else
    -- BullMQ keeps a delayed job's time in the upper bits of its score.
    local delayed = redis.call('ZRANGE', KEYS[5], 0, 0, 'WITHSCORES')
    if delayed[2] then due = math.floor(tonumber(delayed[2]) / 4096) end
  end
  if due >= 0 then
    -- The limiter of BullMQ: as many as 'max' were taken in this window, which ends with the key.
    if meta[3] and tonumber(redis.call('GET', KEYS[8]) or '0') >= tonumber(meta[3]) then
      due = math.max(due, now + math.max(0, redis.call('PTTL', KEYS[8])))
    end
    -- A full lane is woken by whoever finishes; the far time is for one whose worker died.
    if meta[2] and redis.call('LLEN', KEYS[6]) >= tonumber(meta[2]) then due = math.max(due, now + 30000) end
  end
end
redis.call('SADD', KEYS[2], ARGV[1])
local changed = 0
if ARGV[2] == 'exact' then
  if due < 0 then redis.call('ZREM', KEYS[1], ARGV[1])
  -- The floor keeps a lane from spinning whose due job BullMQ does not promote yet, as the worker's clock is slow.
  else redis.call('ZADD', KEYS[1], math.max(due, now + 50), ARGV[1]) end
elseif due >= 0 then
  changed = redis.call('ZADD', KEYS[1], 'LT', 'CH', due, ARGV[1])
end
if changed == 1 and due <= now and ARGV[3] ~= '' then redis.call('PUBLISH', ARGV[3], ARGV[1]) end
if due < 0 then return -1 end
return math.max(0, math.ceil(due - now))
`);

/**
 * The limits that BullMQ enforces. A connector with faults is probed by one message at a time, so its lane's concurrency is
 * 1 until one succeeds; while its server throttles it is what that seems to bear. → the concurrency in force.
 * KEYS: meta, the connector's faults, limiter, why it waits. ARGV: concurrency, max, duration.
 */
export const limitsScript = script(`${luaInForce}
local concurrency = inForce(KEYS[2], tonumber(ARGV[1]))
redis.call('HSET', KEYS[1], 'concurrency', concurrency, 'max', ARGV[2], 'duration', ARGV[3])
-- A faster pace begins with the next message, not after the interval of the slower one. Other waits keep their time.
if redis.call('PTTL', KEYS[3]) > tonumber(ARGV[3]) and redis.call('EXISTS', KEYS[4]) == 0 then
  redis.call('PEXPIRE', KEYS[3], ARGV[3])
end
return concurrency
`);

/**
 * Counts a fault of a connector and says how long to pause. KEYS: the connector's faults, the lane's meta, active, wait,
 * prioritized. ARGV: first pause, longest pause, told pause or '', fault, reply, configured concurrency, longest hold. While a
 * pause runs, further faults (of sends that had begun) do not lengthen it. From here on the lane is probed by one message at a
 * time. → pause, faults, how many the server seems to bear.
 */
export const faultScript = script(`${luaNow}${luaLower}
local row = redis.call('HMGET', KEYS[1], 'until', 'faults')
local till = tonumber(row[1] or '0')
local pause
if till > now then
  pause = till - now
  if ARGV[3] ~= '' and tonumber(ARGV[3]) > pause then pause = tonumber(ARGV[3]) end
else
  local faults = redis.call('HINCRBY', KEYS[1], 'faults', 1)
  if ARGV[3] ~= '' then pause = tonumber(ARGV[3])
  else pause = math.min(tonumber(ARGV[2]), tonumber(ARGV[1]) * 2 ^ math.min(faults - 1, 20)) end
  redis.call('HSETNX', KEYS[1], 'since', now)
end
pause = math.ceil(pause)
local level = tonumber(ARGV[6])
if ARGV[4] == 'throttled' then
  -- With a backlog the lane was full, although some of them may have ended before this one.
  local tried = redis.call('LLEN', KEYS[3])
  local full = tonumber(redis.call('HGET', KEYS[2], 'concurrency') or ARGV[6])
  if tried > full or redis.call('LLEN', KEYS[4]) + redis.call('ZCARD', KEYS[5]) > 0 then tried = full end
  level = lower(KEYS[1], level, tried, pause, tonumber(ARGV[7]))
end
redis.call('HSET', KEYS[2], 'concurrency', 1)
redis.call('HSET', KEYS[1], 'until', now + pause, 'fault', ARGV[4], 'reply', ARGV[5])
return { pause, tonumber(redis.call('HGET', KEYS[1], 'faults') or '1'), level }
`);
