/** The Lua of a job's way through its lane: taken under a lock, and ended with its result. BullMQ's layout, with fewer commands than BullMQ's. */
import { luaCountTaken, luaEndJob, luaPromoteDelayed, luaPush, luaRateWait, luaTakeNext } from '../bullmq/job-moves.ts';
import { jobFields, luaDelayedUntil, luaLimitsOf, lockName, unreachableMax } from '../bullmq/layout.ts';
import { luaReadLean, luaReadRow } from '../bullmq/soundness.ts';
import { luaSettle, settleShape } from '../ledger/scripts.ts';
import { maxTurnBytes } from '../lua/exchange.ts';
import { luaNow, script } from '../lua/script.ts';
import { luaMemo, luaLater, luaOnce } from '../lua/turn.ts';
import { dueKeys, luaInLine } from './scripts.ts';

/** A turn has given enough: the take is for the next one. */
export const laterTurn = -2;

/**
 * Takes the lane's next job under a lock, and says when the lane is due again: `first` of a burst, for other processes too (an empty
 * channel wakes none); `next`, only if nothing was taken. `at` is the worker's clock.
 * → [ms until the lane is due, -1, or `laterTurn`], then id, verdict, time, starts, stalls, data and routing of the job, if there is one.
 */
export const takeScript = script(
  {
    keys: ['ready', ...dueKeys, 'pc'],
    args: ['connector', 'channel', 'mode', 'prefix', 'token', 'lockMs', 'at', 'jobName', 'maxDataBytes', 'maxStalls'],
    seldom: ['delayed', 'limiter'],
    allowOom: true,
  },
  /* lua */ `${luaNow}${luaOnce}${luaInLine}${luaMemo}${luaReadRow}${luaReadLean}${luaLimitsOf}${luaPush}${luaPromoteDelayed}${luaTakeNext}${luaRateWait}${luaCountTaken}${luaDelayedUntil}
local function read(id)
  local key = prefix .. id
  local job = readLean(key, jobName, maxDataBytes, maxStalls)
  if job.starts then
    redis.call('HSET', key, '${jobFields.takenAt}', at, '${jobFields.starts}', job.starts + 1)
    job.starts = job.starts + 1
  end
  once.bytes = once.bytes + job.size
  return { id, job.verdict or '', job.added, job.starts or 1, job.stalls, job.data, job.routing or '' }
end
if once.again then
  local id = once.again[1]
  once.taken = once.again
  if redis.call('GET', prefix .. id .. '${lockName('')}') ~= token then return { 0 } end
  local job = read(id)
  return { 0, unpack(job) }
end
if once.bytes >= ${maxTurnBytes} then return { ${laterTurn} } end
if memo.isThere(delayed) then promoteDelayed(delayed, wait, prioritized, pc, prefix, tonumber(at)) end
-- A key that is named twice counts twice.
local some = redis.call('EXISTS', prioritized, wait, wait)
inLine(connector, false)
if some == 0 and not memo.isThere(delayed) then
  redis.call('ZREM', ready, connector)
  return { -1 }
end
local paused, concurrency, max, duration = limitsOf(meta)
local limited = rateWait(limiter, max)
local count, id = nil, nil
if some > 0 and not paused and limited <= 0 then
  count = concurrency and memo.lengthOf(active) or 0
  if not concurrency or count < concurrency then id = takeNext(wait, prioritized, active, pc, some > 1) end
end
local job
if id then
  local lock = prefix .. id .. '${lockName('')}'
  redis.call('SET', lock, token, 'PX', lockMs)
  memo.wrote(lock, token)
  once.taken = { id }
  countTaken(limiter, max, duration)
  job = read(id)
  if mode ~= 'first' then return { 0, unpack(job) } end
  count = count + 1
  if max and max < ${unreachableMax} then limited = rateWait(limiter, max) end
end
local due = -1
if paused ~= math.huge then
  if (id and redis.call('EXISTS', wait, prioritized) or some) > 0 then due = now
  else due = memo.isThere(delayed) and delayedUntil(delayed) or -1 end
  if due >= 0 then
    if paused then due = math.max(due, paused) end
    if limited > 0 then due = math.max(due, now + limited) end
    -- A full lane is woken when one of its jobs ends; the far time is for one whose worker died.
    if concurrency and (count or memo.lengthOf(active)) >= concurrency then due = math.max(due, now + 30000) end
  end
end
if id then
  if due >= 0 and redis.call('ZADD', ready, 'LT', 'CH', due, connector) == 1 and due <= now and channel ~= '' then
    redis.call('PUBLISH', channel, connector)
  end
elseif due < 0 then redis.call('ZREM', ready, connector)
-- The floor keeps a lane from spinning whose due job is not promoted yet, as the worker's clock is slow.
else redis.call('ZADD', ready, math.max(due, now + 50), connector) end
local left = due < 0 and -1 or math.max(0, math.ceil(due - now))
if not job then return { left } end
return { left, unpack(job) }
`,
);

/** Ends a job that has no result to write. → 'ended', or 'lost' if its lock is another's. */
export const endScript = script(
  {
    keys: ['active', 'stalled', 'job'],
    args: ['jobId', 'lockToken'],
    values: { job: lockName('') },
    seldom: ['stalled'],
    allowOom: true,
  },
  /* lua */ `${luaLater}${luaMemo}${luaEndJob}
return endJob(active, stalled, job, jobId, lockToken)
`,
);

/**
 * `keepJob()`: what was sent stays as it is under another name, for a time; nothing is copied. Only a job that is ours, with a result that
 * stands. Needs the inputs of `finishScript`, `later` and `memo`.
 */
const luaKeepJob = `
local function keepJob()
  if memo.valueOf(job .. '${lockName('')}') ~= lockToken then return end
  local prefix = string.sub(unsettled, 1, -11)
  local kept = prefix .. ':kept:' .. id
  if redis.pcall('RENAME', job, kept).ok ~= 'OK' then return end
  redis.call('PEXPIRE', kept, keepMs)
  later('ZADD', prefix .. ':kept', string.format('%.0f', now + keepMs), id)
end
`;

/**
 * Writes a result and ends the job, or neither. The result of a lost job is written all the same. → the result's answer, the end's, and
 * where `look` is 1, how many of the lane's lists have jobs that wait.
 */
export const finishScript = script(
  {
    keys: [...settleShape.keys, 'active', 'stalled', 'job', 'wait', 'prioritized'],
    args: [...settleShape.args, 'keepMs', 'jobId', 'lockToken', 'look'],
    moreArgs: 'values',
    values: { job: lockName('') },
    seldom: ['faults', 'attribution', 'stalled'],
    allowOom: true,
  },
  /* lua */ `${luaSettle}${luaEndJob}${luaKeepJob}
local answer = settle()
if answer == 'no-row' then return { answer, '', 0 } end
if keepMs ~= '' and answer ~= 'late' then keepJob() end
local ended = endJob(active, stalled, job, jobId, lockToken)
return { answer, ended, look == '1' and redis.call('EXISTS', wait, prioritized) or 0 }
`,
);
