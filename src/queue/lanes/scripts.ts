/** The Lua of the `ready` set: which lanes may have something to do, and from when. */
import { rowLua } from '../ledger/scripts.ts';
import { luaNow, script } from '../lua/script.ts';
import { luaInForce, luaLower } from '../lua/adaptive-concurrency.ts';

/**
 * KEYS[1] ready. ARGV: how many, visibility ms, lanes to pass over. → [ms until the next lane is due or -1, lanes that are due
 * and were not claimed, ids…]. Oldest first, so round robin.
 */
export const claimScript = script(`${luaNow}
local skip = {}
for i = 3, #ARGV do skip[ARGV[i]] = true end
local ids = {}
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1] + #ARGV - 2)
for _, id in ipairs(due) do
  if not skip[id] and #ids < tonumber(ARGV[1]) then
    redis.call('ZADD', KEYS[1], 'XX', now + ARGV[2], id)
    ids[#ids + 1] = id
  end
end
local wait = -1
local first = redis.call('ZRANGE', KEYS[1], 0, #ARGV - 2, 'WITHSCORES')
for i = 1, #first, 2 do
  if not skip[first[i]] then wait = math.max(0, math.ceil(tonumber(first[i + 1]) - now)); break end
end
local left = 0
if wait == 0 then left = redis.call('ZCOUNT', KEYS[1], '-inf', now) end
return { wait, left, unpack(ids) }
`);

/** KEYS: ready. ARGV: id, wake channel. → where the lane is in line. Only a lane that is in the set, so that none is revived. */
export const passScript = script(`${luaNow}
if redis.call('ZADD', KEYS[1], 'XX', 'CH', now, ARGV[1]) == 1 then redis.call('PUBLISH', ARGV[2], ARGV[1]) end
return now
`);

/** When a lane may have something to do, from its own keys. `k` is the place of the first: wait, prioritized, delayed, active, meta, limiter. */
const dueAt = `
local function dueAt(k)
  local meta = redis.call('HMGET', KEYS[k + 4], 'paused', 'concurrency', 'max')
  if meta[1] then return -1 end
  local due = -1
  if redis.call('LLEN', KEYS[k]) > 0 or redis.call('ZCARD', KEYS[k + 1]) > 0 then
    due = now
  else
    -- BullMQ keeps a delayed job's time in the upper bits of its score.
    local delayed = redis.call('ZRANGE', KEYS[k + 2], 0, 0, 'WITHSCORES')
    if not delayed[2] then return -1 end
    due = math.floor(tonumber(delayed[2]) / 4096)
  end
  -- The limiter of BullMQ: as many as 'max' were taken in this window, which ends with the key.
  if meta[3] and tonumber(redis.call('GET', KEYS[k + 5]) or '0') >= tonumber(meta[3]) then
    due = math.max(due, now + math.max(0, redis.call('PTTL', KEYS[k + 5])))
  end
  -- A full lane is woken by whoever finishes; the far time is for one whose worker died.
  if meta[2] and redis.call('LLEN', KEYS[k + 3]) >= tonumber(meta[2]) then due = math.max(due, now + 30000) end
  return due
end
-- Moves a lane forward only: one that is in line keeps its place. Wakes idle processes if it has become due.
local function sooner(ready, id, due, channel)
  if due < 0 then return end
  local changed = redis.call('ZADD', ready, 'LT', 'CH', due, id)
  if changed == 1 and due <= now and channel ~= '' then redis.call('PUBLISH', channel, id) end
end
`;

/** The keys of a lane that `dueAt` reads, in its order. */
export const laneKeyTypes = ['wait', 'prioritized', 'delayed', 'active', 'meta', 'limiter'] as const;

/**
 * Works out when a lane may have something to do, and writes that into the ready set. KEYS: ready, lanes, the lane's.
 * ARGV: id, mode, wake channel or ''. Mode 'sooner' only moves the lane forward. Mode 'exact' is for after a fetch that
 * found nothing: it also moves back or removes. → ms until due, or -1.
 */
export const refreshScript = script(`${luaNow}${dueAt}
local due = dueAt(3)
redis.call('SADD', KEYS[2], ARGV[1])
if ARGV[2] == 'sooner' then sooner(KEYS[1], ARGV[1], due, ARGV[3])
elseif due < 0 then redis.call('ZREM', KEYS[1], ARGV[1])
-- The floor keeps a lane from spinning whose due job BullMQ does not promote yet, as the worker's clock is slow.
else redis.call('ZADD', KEYS[1], math.max(due, now + 50), ARGV[1]) end
if due < 0 then return -1 end
return math.max(0, math.ceil(due - now))
`);

/**
 * Rides with the adding of a message's job to its lane: looks whether the id is taken, writes the row, makes the lane ready.
 * KEYS: row, unsettled, ready, lanes, the lane's. ARGV: message id, deadline, history entry, connector id, wake channel,
 * whether it may be a released message (1/0), then the row's fields. → 'ok', or state, routed, via and deadline of a row that stands.
 */
export const enterLua = `${luaNow}${rowLua}${dueAt}
local row = redis.call('HMGET', KEYS[1], 'state', 'routed', 'recipients', 'via', 'deadline')
if row[1] and not (ARGV[6] == '1' and row[1] == 'queued' and row[2] == '') then
  return { { row[1], row[2] or '-', row[4] or '', row[5] or '' } }
end
local added = bullmq()
if type(added) == 'number' and added < 0 then return { 'refused', added } end
-- A lane that is in line already stays where it is; it is also known then.
local place = redis.call('ZSCORE', KEYS[3], ARGV[4])
if not place or tonumber(place) > now then
  redis.call('SADD', KEYS[4], ARGV[4])
  sooner(KEYS[3], ARGV[4], dueAt(5), ARGV[5])
end
writeRow(row, 7)
return { 'ok', added }
`;

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
