/** The Lua of the `ready` set: which lanes may have something to do, and from when. */
import { luaDelayedUntil, luaLimitedFor, luaLimitsOf, luaSetLimits, luaWaiting } from '../bullmq/layout.ts';
import { luaWriteRow } from '../ledger/scripts.ts';
import { luaJournal, luaJournalCount, luaJournalFault } from '../journal/lua.ts';
import { lua, luaNow, script } from '../lua/script.ts';
import { luaMemo, luaOnce } from '../lua/turn.ts';
import { luaDecrease, luaInForce } from '../lua/adaptive-concurrency.ts';
import { luaLearn, luaLearnedRate, luaOwnShare, luaWithLearned } from '../lua/learned-rate.ts';
import { luaTally } from '../lua/tally.ts';
import { luaHold } from './wait-reasons.ts';

/** How long what refusals have shown of a connector is kept after the last one, in ms. */
export const keepRefusalsMs = 3_600_000;

/**
 * `inLine(connector, isSo)`: noted for the rest of a turn, and so is that it may not be any more. → whether the lane is known to be due,
 * so that a message that enters it has nothing to write. After `luaOnce`.
 */
export const luaInLine = `
local function inLine(connector, isSo)
  once.inLine = once.inLine or {}
  if isSo ~= nil then once.inLine[connector] = isSo end
  return once.inLine[connector]
end
`;

/** → [ms until the next lane is due or -1, lanes that are due and were not claimed, ids…]. Oldest first, so round robin. */
export const claimScript = script(
  { keys: ['ready'], args: ['count', 'visibilityMs'], moreArgs: 'except', allowOom: true },
  /* lua */ `${luaNow}${luaOnce}${luaInLine}
local skip = {}
for _, id in ipairs(except) do skip[id] = true end
local ids = {}
local due = redis.call('ZRANGEBYSCORE', ready, '-inf', now, 'LIMIT', 0, count + #except)
for _, id in ipairs(due) do
  if not skip[id] and #ids < tonumber(count) then
    redis.call('ZADD', ready, 'XX', now + visibilityMs, id)
    inLine(id, false)
    ids[#ids + 1] = id
  end
end
local wait = -1
local first = redis.call('ZRANGE', ready, 0, #except, 'WITHSCORES')
for i = 1, #first, 2 do
  if not skip[first[i]] then wait = math.max(0, math.ceil(tonumber(first[i + 1]) - now)); break end
end
local left = 0
if wait == 0 then left = redis.call('ZCOUNT', ready, '-inf', now) end
return { wait, left, unpack(ids) }
`,
);

/** → when the lane has been in line since. Only a lane that is in the set, so that none is revived. */
export const yieldScript = script(
  { keys: ['ready'], args: ['connector', 'channel'], allowOom: true },
  /* lua */ `${luaNow}
if redis.call('ZADD', ready, 'XX', 'CH', now, connector) == 1 then redis.call('PUBLISH', channel, connector) end
return now
`,
);

/** The keys of a lane that `dueAt` reads. */
export const dueKeys = ['wait', 'prioritized', 'delayed', 'active', 'meta', 'limiter'] as const;

/** When a lane may have something to do, from its own keys: -1 if it has nothing, or is paused without an end. `some`: a job is known to wait. Needs `now` and the keys above. */
export const luaDueAt = `${luaMemo}${luaWaiting}${luaDelayedUntil}${luaLimitsOf}${luaLimitedFor}
local function dueAt(some)
  local paused, concurrency, max = limitsOf(meta)
  if paused == math.huge then return -1 end
  local due = now
  if not some and waiting(wait, prioritized) == 0 then
    due = delayedUntil(delayed)
    if not due then return -1 end
  end
  if paused then due = math.max(due, paused) end
  if memo.isThere(limiter) then due = math.max(due, now + (limitedFor(limiter, max) or 0)) end
  -- A full lane is woken when one of its jobs ends; the far time is for one whose worker died.
  if concurrency and memo.lengthOf(active) >= concurrency then due = math.max(due, now + 30000) end
  return due
end
-- Moves a lane forward only: one that is in line keeps its place. Wakes idle processes if it has become due.
local function sooner(connector, due, channel)
  if due < 0 then return end
  local changed = redis.call('ZADD', ready, 'LT', 'CH', due, connector)
  if changed == 1 and due <= now and channel ~= '' then redis.call('PUBLISH', channel, connector) end
end
`;

/**
 * Works out when a lane may have something to do, and writes that into the ready set. An empty channel wakes no process. Mode
 * `sooner` only moves the lane forward. Mode `exact` is for after a fetch that found nothing: it also moves back or removes.
 * → ms until due, or -1.
 */
export const refreshScript = script(
  { keys: ['ready', 'lanes', ...dueKeys], args: ['connector', 'mode', 'channel'], seldom: ['limiter'], allowOom: true },
  /* lua */ `${luaNow}${luaOnce}${luaInLine}${luaDueAt}
inLine(connector, false)
local due = dueAt()
redis.call('SADD', lanes, connector)
if mode == 'sooner' then sooner(connector, due, channel)
elseif due < 0 then redis.call('ZREM', ready, connector)
-- The floor keeps a lane from spinning whose due job BullMQ does not promote yet, as the worker's clock is slow.
else redis.call('ZADD', ready, math.max(due, now + 50), connector) end
if due < 0 then return -1 end
return math.max(0, math.ceil(due - now))
`,
);

/**
 * Runs with the adding of a message's job to its lane: looks whether the id is in use, writes the row, makes the lane ready.
 * `requeued` says whether it may be a message that waits to be routed again (1/0).
 * → 'ok', or state, routed, via and deadline of a row that stands.
 */
export const enterLua = lua(
  {
    keys: ['rowKey', 'unsettled', 'ready', 'lanes', ...dueKeys],
    args: ['id', 'deadline', 'entry', 'connector', 'channel', 'requeued', 'journal'],
    moreArgs: 'fields',
  },
  /* lua */ `${luaNow}${luaWriteRow}${luaDueAt}
local row = redis.call('HMGET', rowKey, 'state', 'routed', 'recipients', 'via', 'deadline')
if row[1] and not (requeued == '1' and row[1] == 'queued' and row[2] == '') then
  return { { row[1], row[2] or '-', row[4] or '', row[5] or '' } }
end
local added = bullmq()
if type(added) == 'number' and added < 0 then return { 'refused', added } end
-- A lane that is in line already stays where it is; it is also known then.
local place = redis.call('ZSCORE', ready, connector)
if not place or tonumber(place) > now then
  redis.call('SADD', lanes, connector)
  sooner(connector, dueAt(), channel)
end
writeRow(row[1], row[3])
return { 'ok', added }
`,
);

/**
 * The limits that BullMQ enforces. A connector with faults is probed by one message at a time, so its lane's concurrency is
 * 1 until one succeeds; while its server throttles both are what that seems to bear. → the concurrency in force, and whether the
 * rate is a learned one.
 */
export const limitsScript = script(
  {
    keys: ['meta', 'faults', 'limiter', 'waitReason', 'refusals', 'stats'],
    args: ['configured', 'max', 'durationMs'],
    allowOom: true,
  },
  /* lua */ `${luaNow}${luaInForce}${luaSetLimits}${luaLearnedRate}${luaWithLearned}
local concurrency = inForce(faults, tonumber(configured))
local most, window, learned = withLearned(learnedRate(refusals, stats), max, durationMs)
setLimits(meta, concurrency, most, window)
-- A faster rate begins with the next message, not after the interval of the slower one. Other waits keep their time.
if redis.call('PTTL', limiter) > window and redis.call('EXISTS', waitReason) == 0 then
  redis.call('PEXPIRE', limiter, window)
end
return { concurrency, learned and 1 or 0 }
`,
);

/**
 * Counts a fault of a connector and pauses its lane. `toldMs` is empty where the server told no time. While a pause
 * runs, further faults (of sends that had begun) do not lengthen it. From here on the lane is probed by one message at a time.
 * `found`: refusals of several messages have shown it, so they may have come too fast; where others wait, the rate is learned.
 * → pause, faults, how many messages at once the server seems to bear, and the learned rate per minute or -1.
 */
export const faultScript = script(
  {
    keys: ['faults', 'meta', 'active', 'wait', 'prioritized', 'limiter', 'waitReason', 'refusals', 'stats'],
    args: [
      'firstMs',
      'longestMs',
      'toldMs',
      'kind',
      'reply',
      'found',
      'configured',
      'max',
      'durationMs',
      'longestHoldMs',
    ],
    allowOom: true,
  },
  /* lua */ `${luaNow}${luaTally}${luaJournal}${luaJournalCount}${luaJournalFault}${luaDecrease}${luaWaiting}${luaLimitsOf}${luaSetLimits}${luaHold}${luaOwnShare}${luaLearnedRate}${luaLearn}${luaWithLearned}
local rate = learnedRate(refusals, stats)
local running = redis.call('HMGET', faults, 'until', 'faults')
local till = tonumber(running[1] or '0')
local pause
if till > now then
  pause = till - now
  if toldMs ~= '' and tonumber(toldMs) > pause then pause = tonumber(toldMs) end
else
  local count = redis.call('HINCRBY', faults, 'faults', 1)
  if kind == 'throttled' and found == '1' and waiting(wait, prioritized) > 0 then
    rate = learn(refusals, stats)
    redis.call('PEXPIRE', refusals, ${keepRefusalsMs})
  end
  if toldMs ~= '' then pause = tonumber(toldMs)
  else
    local first = rate and firstPause(refusals, rate) or tonumber(firstMs)
    pause = math.min(tonumber(longestMs), first * 2 ^ math.min(count - 1, 20))
  end
  redis.call('HSETNX', faults, 'since', now)
end
pause = math.max(1, math.ceil(pause))
local level = tonumber(configured)
if kind == 'throttled' then
  -- With a backlog the lane was full, although some of them may have ended before this one.
  local tried = redis.call('LLEN', active)
  local _, set = limitsOf(meta)
  local full = set or level
  if tried > full or waiting(wait, prioritized) > 0 then tried = full end
  level = decrease(faults, level, tried, pause, tonumber(longestHoldMs))
end
local most, window, learned = withLearned(rate, max, durationMs)
setLimits(meta, 1, most, window)
-- What a fallback waits for: a server that asks for a slower pace works.
if kind == 'throttled' then redis.call('HDEL', faults, 'brokenSince') else redis.call('HSETNX', faults, 'brokenSince', now) end
redis.call('HSET', faults, 'until', now + pause, 'fault', kind, 'reply', reply)
hold(limiter, waitReason, pause, 'fault')
local count = tonumber(redis.call('HGET', faults, 'faults') or '1')
if till <= now then journalFault(faults, kind, reply, pause, count) end
return { pause, count, level, learned and math.floor(rate * 60) or -1 }
`,
);
