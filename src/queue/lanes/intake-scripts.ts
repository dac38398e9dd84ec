/** The Lua of a job's way through the intake: taken with others under one lock token, and moved into its lane whole. */
import {
  luaCountTaken,
  luaDropMarkers,
  luaEndJob,
  luaPromoteDelayed,
  luaPush,
  luaRateWait,
  luaTakeNext,
  luaWakeUp,
} from '../bullmq/job-moves.ts';
import {
  besideJob,
  delayedScoreFactor,
  jobFields,
  lockName,
  luaDelayedUntil,
  luaLimitsOf,
  metaFields,
  priorityScoreFactor,
  traceOption,
} from '../bullmq/layout.ts';
import { luaReadLean, luaReadRow } from '../bullmq/soundness.ts';
import { maxCarrierChars } from '../../tracing/context.ts';
import { luaNow, script } from '../lua/script.ts';
import { luaMemo, luaLater, luaOnce } from '../lua/turn.ts';

/**
 * Takes jobs of the intake, up to a number and a size, all under one token; one that was found abandoned before, alone. → ms until the next one is due if none was taken (-1: none
 * is there), 0 otherwise; then of each job id, verdict, time, starts, stalls, data, the trace context of its options (`tm`), and 1 if it is
 * plain: nothing but its hash and its place in the queue belongs to it.
 */
export const fetchScript = script(
  {
    keys: ['wait', 'prioritized', 'delayed', 'active', 'meta', 'limiter', 'pc', 'marker'],
    args: ['prefix', 'token', 'lockMs', 'at', 'count', 'maxBytes', 'jobName', 'maxDataBytes', 'maxStalls'],
    seldom: ['delayed', 'limiter'],
    allowOom: true,
  },
  /* lua */ `${luaNow}${luaOnce}${luaLater}${luaMemo}${luaReadRow}${luaReadLean}${luaLimitsOf}${luaPush}${luaPromoteDelayed}${luaTakeNext}${luaDropMarkers}${luaRateWait}${luaCountTaken}${luaDelayedUntil}${luaWakeUp}
local paused, concurrency, max, duration = limitsOf(meta)
-- A job that a worker may have died of goes alone: what was taken with it would be found abandoned with it, until it is given up, too.
local ids, answer, bytes, alone = {}, { 0 }, 0, false
-- Nearly no job has one, and any client may have written it: what is too long stays here.
local function traceOf(opts)
  if not opts or not string.find(opts, '"${traceOption}"', 1, true) then return '' end
  local found = cjson.decode(opts)
  local trace = type(found) == 'table' and found.${traceOption}
  return type(trace) == 'string' and #trace <= ${maxCarrierChars} and trace or ''
end
local function give(id)
  local key = prefix .. id
  local job = readLean(key, jobName, maxDataBytes, maxStalls)
  if job.stalls ~= '0' then
    alone = true
    if #ids > 0 and not max then return end
  end
  if job.starts then
    job.starts = job.starts + 1
    redis.call('HSET', key, '${jobFields.takenAt}', at, '${jobFields.starts}', job.starts)
  end
  ids[#ids + 1] = id
  for _, value in ipairs({ id, job.verdict or '', job.added, job.starts or 1, job.stalls, job.data, traceOf(job.opts), job.plain and 1 or 0 }) do
    answer[#answer + 1] = value
  end
  bytes = bytes + job.size
end
-- What stands beside a job would stay behind.
local function findBeside()
  if #ids == 0 then return end
  local names = { ${besideJob.map((name) => `':${name}'`).join(', ')} }
  local keys = {}
  for _, id in ipairs(ids) do for _, name in ipairs(names) do keys[#keys + 1] = prefix .. id .. name end end
  if redis.call('EXISTS', unpack(keys)) == 0 then return end
  for i = 1, #ids do
    if redis.call('EXISTS', unpack(keys, (i - 1) * #names + 1, i * #names)) > 0 then answer[1 + 8 * i] = 0 end
  end
end
if once.again then
  for _, id in ipairs(once.again) do
    if memo.valueOf(prefix .. id .. '${lockName('')}') == token then give(id) end
  end
  once.taken = once.again
  findBeside()
  return answer
end
if memo.isThere(delayed) then promoteDelayed(delayed, wait, prioritized, pc, prefix, tonumber(at)) end
local limited = 0
local room = concurrency and concurrency - memo.lengthOf(active) or tonumber(count)
local most = paused and 0 or math.min(room, tonumber(count))
local function lock(id)
  local key = prefix .. id .. '${lockName('')}'
  redis.call('SET', key, token, 'PX', lockMs)
  memo.wrote(key, token)
end
if max then
  for _ = 1, most do
    limited = rateWait(limiter, max)
    local id = limited <= 0 and not alone and bytes < tonumber(maxBytes) and takeNext(wait, prioritized, active, pc)
    if not id then break end
    lock(id)
    countTaken(limiter, max, duration)
    give(id)
  end
elseif most > 0 then
  local first = dropMarkers(wait, most)
  for i = #first, 1, -1 do if bytes < tonumber(maxBytes) and not alone then give(first[i]) end end
  local fromWait = #ids
  if fromWait == #first and fromWait < most then
    for _, id in ipairs(redis.call('ZRANGE', prioritized, 0, most - fromWait - 1)) do
      if bytes < tonumber(maxBytes) and not alone then give(id) end
    end
  end
  if fromWait > 0 then redis.call('RPOP', wait, fromWait) end
  if #ids > fromWait then redis.call('ZPOPMIN', prioritized, #ids - fromWait) end
  if #ids > 0 then
    redis.call('LPUSH', active, unpack(ids))
    memo.grew(active, #ids)
  end
  for _, id in ipairs(ids) do lock(id) end
end
if #ids > 0 then
  once.taken = ids
  findBeside()
  -- For other processes, which may have room.
  if redis.call('EXISTS', wait, prioritized) > 0 then wakeUp(marker) end
  return answer
end
if limited > 0 then return { limited } end
local next = not paused and memo.isThere(delayed) and delayedUntil(delayed)
return { next and math.max(0, next - tonumber(at)) or -1 }
`,
);

/**
 * Adds new messages to the intake, as BullMQ's `add` with an id, a priority and a delay does it (addPrioritizedJob-9.lua, addStandardJob-9.lua,
 * addDelayedJob-6.lua), without its events. `given` has of each message the id of its job, its data, its priority, its id if its caller brought it,
 * and its delay; `traces`, where one has a trace context, what is added to the options of each (JSON); `prints`, where one has a print, of each its
 * key, its value and how long it is kept (JSON). Jobs, rows, places and prints
 * are no declared keys: of rows and places a producer's user may read alone. The place in the queue comes first, as a stranger's key may stand where
 * the list belongs, and no job is to be on none. A print is written only where its message is, with the time of its job: it says of which
 * message under the id it is. → of each message 1, 0 if its id is in use, or what went wrong.
 */
export const arriveScript = script(
  {
    keys: ['wait', 'prioritized', 'delayed', 'active', 'meta', 'pc', 'marker'],
    args: ['prefix', 'rows', 'places', 'jobName', 'at', 'traces', 'prints'],
    moreArgs: 'given',
  },
  /* lua */ `${luaLater}${luaWakeUp}${luaDelayedUntil}
local names = {}
for i = 1, #given, 5 do
  names[#names + 1] = prefix .. given[i]
  if given[i + 3] ~= '' then
    names[#names + 1] = rows .. given[i + 3]
    names[#names + 1] = places .. given[i + 3]
  end
end
local anyInUse = redis.call('EXISTS', unpack(names)) > 0
local function inUse(job, id)
  if not anyInUse then return false end
  if id == '' then return redis.call('EXISTS', job) > 0 end
  return redis.call('EXISTS', job, rows .. id, places .. id) > 0
end
local answers, seen, first, ranked, postponed = {}, {}, {}, {}, {}
local traced = traces ~= '' and cjson.decode(traces) or {}
local printed = prints ~= '' and cjson.decode(prints) or {}
-- A user that may not write it stores no message without it.
local function refusedPrint(nth)
  local key, value, forMs = unpack(printed[nth] or {})
  local set = key and redis.pcall('SET', key, value .. ' ' .. at, 'PX', forMs)
  return type(set) == 'table' and set.err
end
local stored = {}
local function dropPrints(nths)
  for _, nth in ipairs(nths) do
    local key = not stored[nth] and unpack(printed[nth] or {})
    if key then redis.pcall('DEL', key) end
  end
end
-- Where an id is given twice, the second message is a duplicate of the first only if that was stored.
local twins = {}
local function judged()
  for nth, first in pairs(twins) do
    if answers[first] ~= 1 then answers[nth] = answers[first] end
  end
  return answers
end
for i = 1, #given, 5 do
  local nth = #answers + 1
  answers[nth] = 1
  local twin = seen[given[i]]
  local isFree = not twin and not inUse(prefix .. given[i], given[i + 3])
  local refused = isFree and refusedPrint(nth)
  if not isFree then answers[nth], twins[nth] = 0, twin
  elseif refused then answers[nth] = refused
  elseif given[i + 4] ~= '0' then postponed[#postponed + 1] = nth
  elseif given[i + 2] == '0' then first[#first + 1] = nth
  else ranked[#ranked + 1] = nth end
  seen[given[i]] = twin or nth
end
local function store(nths, placed)
  if type(placed) == 'table' then
    -- Redis is full, or no master any more: that concerns all of them.
    if not string.find(placed.err, 'WRONGTYPE', 1, true) then
      for _, each in ipairs({ first, ranked, postponed }) do dropPrints(each) end
      error(placed)
    end
    dropPrints(nths)
    for _, nth in ipairs(nths) do answers[nth] = placed.err end
    return
  end
  for _, nth in ipairs(nths) do
    local i = 5 * nth - 4
    local delay = given[i + 4]
    redis.call('HSET', prefix .. given[i], '${jobFields.name}', jobName, '${jobFields.data}', given[i + 1],
      '${jobFields.opts}', '{"removeOnComplete":true,"priority":' .. given[i + 2] .. ',"attempts":0' .. (delay ~= '0' and ',"delay":' .. delay or '') .. (traced[nth] or '') .. '}',
      '${jobFields.addedAt}', at, '${jobFields.delay}', delay, '${jobFields.priority}', given[i + 2])
    stored[nth] = true
  end
end
if #first > 0 then
  local ids = {}
  for i, nth in ipairs(first) do ids[i] = given[5 * nth - 4] end
  store(first, redis.pcall('LPUSH', wait, unpack(ids)))
end
if #ranked > 0 then
  local scored, count = {}, 0
  for i, nth in ipairs(ranked) do
    if type(count) ~= 'table' then count = redis.pcall('INCR', pc) end
    if type(count) ~= 'table' then
      scored[2 * i - 1] = string.format('%.0f', given[5 * nth - 2] * ${priorityScoreFactor} + count % ${priorityScoreFactor})
      scored[2 * i] = given[5 * nth - 4]
    end
  end
  store(ranked, type(count) == 'table' and count or redis.pcall('ZADD', prioritized, unpack(scored)))
end
for _, nth in ipairs(postponed) do
  local due = tonumber(at) + tonumber(given[5 * nth])
  local least, most = due * ${delayedScoreFactor}, (due + 1) * ${delayedScoreFactor} - 1
  local before = redis.pcall('ZREVRANGEBYSCORE', delayed, string.format('%.0f', most), string.format('%.0f', least), 'WITHSCORES', 'LIMIT', 0, 1)
  local score = before[2] and math.min(tonumber(before[2]) + 1, most) or least
  store({ nth }, before.err and before or redis.pcall('ZADD', delayed, string.format('%.0f', score), given[5 * nth - 4]))
end
if #postponed > 0 then pcall(function() later('ZADD', marker, delayedUntil(delayed), '1') end) end
if #first + #ranked == 0 then return judged() end
-- As isQueuePausedOrMaxed.lua says. A worker that is not woken looks within seconds, so a stranger's key is no reason to refuse mail.
local set = redis.pcall('HMGET', meta, '${metaFields.paused}', '${metaFields.concurrency}')
if set.err or set[1] or (set[2] and redis.call('LLEN', active) >= tonumber(set[2])) then return judged() end
pcall(wakeUp, marker)
return judged()
`,
);

/**
 * Ends a job of the intake of whose message a dead letter was made, or that is a duplicate. An operator may have replayed the letter
 * meanwhile: BullMQ adds no job under an id that is there, so this job is then the only one that the message has. → 'ended', 'lost', or
 * 'again': it is to be routed once more.
 */
export const leaveScript = script(
  {
    keys: ['active', 'stalled', 'job', 'rowKey'],
    args: ['jobId', 'lockToken'],
    values: { job: lockName('') },
    seldom: ['stalled'],
    allowOom: true,
  },
  /* lua */ `${luaLater}${luaMemo}${luaEndJob}
local row = redis.call('HMGET', rowKey, 'state', 'routed')
if row[1] == 'queued' and row[2] == '' then return 'again' end
return endJob(active, stalled, job, jobId, lockToken)
`,
);
