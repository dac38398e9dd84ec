/**
 * The Lua of the event stream of a shard: who reads it, how far, and what is dropped.
 *
 *   events             stream; entries are written by the scripts of a message's life (lua.ts)
 *   events:wanted      `all`, `results` (all but accepted messages), or missing: nothing is written
 *   events:consumers   name → POSITION WANTS ENDS; ENDS is until when it counts, 0 for ever
 *   events:gaps        `dropped` → how many in all; id of the last one of a gap → how many of it
 *
 * An entry goes when every consumer has read it, or when the stream is too large; then it is counted as dropped, and a consumer that
 * had not read it is told of a gap.
 */
import { luaNow, script } from '../lua/script.ts';

/** Entries that one step looks at: Redis serves no other client meanwhile. */
export const eventsPerStep = 1_000;
/** Beyond it, gaps are told as one. */
const mostGaps = 64;

/** Needs `now`, `consumers` and `wanted`. Forgets consumers whose time is over. */
const luaConsumers = `
local function newer(a, b)
  local am, as = string.match(a, '^(%d+)%-(%d+)$')
  local bm, bs = string.match(b, '^(%d+)%-(%d+)$')
  am, as, bm, bs = tonumber(am or '0'), tonumber(as or '0'), tonumber(bm or '0'), tonumber(bs or '0')
  return am > bm or (am == bm and as > bs)
end
-- → the position of the slowest, nil if there is none, and what is wanted.
local function look()
  local found = redis.call('HGETALL', consumers)
  local slowest, wants
  for i = 1, #found, 2 do
    local position, wish, ends = string.match(found[i + 1], '^(%S+) (%S+) (%d+)$')
    if not position or (ends ~= '0' and tonumber(ends) < now) then redis.call('HDEL', consumers, found[i])
    else
      if not slowest or newer(slowest, position) then slowest = position end
      if wish == 'all' or not wants then wants = wish end
    end
  end
  if wants then redis.call('SET', wanted, wants) else redis.call('DEL', wanted) end
  return slowest
end
`;

const luaLastId = `
local function lastId()
  if redis.call('EXISTS', events) == 0 then return '0-0' end
  local info = redis.call('XINFO', 'STREAM', events)
  for i = 1, #info, 2 do if info[i] == 'last-generated-id' then return info[i + 1] end end
end
`;

const keys = ['wanted', 'consumers'] as const;

/** A consumer that is there keeps its position; a new one begins at the end. `leaseMs`: '' is for ever. → its position. */
export const registerScript = script(
  { keys: [...keys, 'events'], args: ['name', 'wants', 'leaseMs'], allowOom: true },
  /* lua */ `${luaNow}${luaConsumers}${luaLastId}
look()
local before = redis.call('HGET', consumers, name)
local position = before and string.match(before, '^(%S+)') or lastId()
local ends = leaseMs == '' and '0' or string.format('%.0f', now + leaseMs)
redis.call('HSET', consumers, name, position .. ' ' .. wants .. ' ' .. ends)
look()
return position
`,
);

/** Forgets a consumer. */
export const unregisterScript = script(
  { keys, args: ['name'], allowOom: true },
  /* lua */ `${luaNow}${luaConsumers}
redis.call('HDEL', consumers, name)
return look() or ''
`,
);

/** It has read up to `position`, and is still there. → 1; 0 if it is not registered (any more). */
export const acknowledgeScript = script(
  { keys, args: ['name', 'position', 'leaseMs'], allowOom: true },
  /* lua */ `${luaNow}${luaConsumers}
look()
local before = redis.call('HGET', consumers, name)
if not before then return 0 end
local was, wants = string.match(before, '^(%S+) (%S+)')
if newer(was, position) then position = was end
local ends = leaseMs == '' and '0' or string.format('%.0f', now + leaseMs)
redis.call('HSET', consumers, name, position .. ' ' .. wants .. ' ' .. ends)
return 1
`,
);

/** → [entries that were dropped and not read from `position` on, the last of them or '', entries]. */
export const readScript = script(
  { keys: ['events', 'gaps'], args: ['position', 'count'] },
  /* lua */ `
local function newer(a, b)
  local am, as = string.match(a, '^(%d+)%-(%d+)$')
  local bm, bs = string.match(b, '^(%d+)%-(%d+)$')
  am, as, bm, bs = tonumber(am or '0'), tonumber(as or '0'), tonumber(bm or '0'), tonumber(bs or '0')
  return am > bm or (am == bm and as > bs)
end
local dropped, last = 0, ''
local found = redis.call('HGETALL', gaps)
for i = 1, #found, 2 do
  if found[i] ~= 'dropped' and newer(found[i], position) then
    dropped = dropped + tonumber(found[i + 1])
    if last == '' or newer(found[i], last) then last = found[i] end
  end
end
if last ~= '' then position = last end
return { dropped, last, redis.call('XRANGE', events, '(' .. position, '+', 'COUNT', count) }
`,
);

/**
 * Drops what every consumer has read; then, of a stream that is larger than it may be, the oldest of what is left, a step at a time.
 * → [bytes, entries, dropped in this step, dropped in all].
 */
export const trimScript = script(
  { keys: [...keys, 'events', 'gaps'], args: ['maxBytes'], allowOom: true },
  /* lua */ `${luaNow}${luaConsumers}
local function after(id)
  local ms, seq = string.match(id, '^(%d+)%-(%d+)$')
  return ms .. '-' .. string.format('%.0f', tonumber(seq) + 1)
end
local slowest = look()
local all = redis.call('HGET', gaps, 'dropped') or '0'
if not slowest then
  redis.call('DEL', events)
  if redis.call('HLEN', gaps) > 1 then
    redis.call('DEL', gaps)
    redis.call('HSET', gaps, 'dropped', all)
  end
  return { 0, 0, 0, tonumber(all) }
end
redis.call('XTRIM', events, 'MINID', after(slowest))
local found, gapCount = redis.call('HGETALL', gaps), 0
for i = 1, #found, 2 do
  if found[i] ~= 'dropped' then
    if newer(found[i], slowest) then gapCount = gapCount + 1 else redis.call('HDEL', gaps, found[i]) end
  end
end
local function size()
  local length = redis.call('XLEN', events)
  if length == 0 then return 0, 0 end
  local used = redis.pcall('MEMORY', 'USAGE', events)
  if type(used) ~= 'number' then used = length * 400 end
  return used, length
end
local bytes, length = size()
if bytes <= tonumber(maxBytes) then return { bytes, length, 0, tonumber(all) } end
local oldest = redis.call('XRANGE', events, '-', '+', 'COUNT', math.min(${eventsPerStep}, length))
local last = oldest[#oldest][1]
redis.call('XTRIM', events, 'MINID', after(last))
if gapCount >= ${mostGaps} then
  local sum = 0
  for i = 1, #found, 2 do
    if found[i] ~= 'dropped' then
      sum = sum + tonumber(redis.call('HGET', gaps, found[i]) or '0')
      redis.call('HDEL', gaps, found[i])
    end
  end
  redis.call('HINCRBY', gaps, last, sum)
end
redis.call('HINCRBY', gaps, last, #oldest)
all = redis.call('HINCRBY', gaps, 'dropped', #oldest)
bytes, length = size()
return { bytes, length, #oldest, all }
`,
);

/** Anything that happened beside a message's life. `fields` are names and values. */
export const appendScript = script(
  { keys: ['events', 'wanted'], args: ['kind'], moreArgs: 'fields', allowOom: true },
  /* lua */ `${luaNow}
if redis.call('EXISTS', wanted) == 0 then return '' end
return redis.call('XADD', events, '*', 't', kind, 'at', string.format('%.0f', now), unpack(fields))
`,
);
