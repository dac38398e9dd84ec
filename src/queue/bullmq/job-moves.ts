/**
 * The moves of a job through its queue, as BullMQ's scripts make them, in fewer commands: without events, and without what a queue of
 * ours never has. Each names the file of BullMQ that it follows; test/queue/lanes/lane-worker.test.ts holds both against each other.
 */
import { delayedScoreFactor, jobFields, lockName, priorityScoreFactor, unreachableMax } from './layout.ts';

/** `wakeUp(marker)`: workers of BullMQ that wait for a job look for one. Needs `later`. Source: addBaseMarkerIfNeeded.lua. */
export const luaWakeUp = `
local function wakeUp(marker)
  later('ZADD', marker, 0, '0')
end
`;

/** `push(wait, prioritized, pc, id, priority)`: the job waits behind those of its priority. Source: addJobWithPriority.lua. */
export const luaPush = `
local function push(wait, prioritized, pc, id, priority)
  if priority == 0 then redis.call('LPUSH', wait, id)
  else
    local score = priority * ${priorityScoreFactor} + redis.call('INCR', pc) % ${priorityScoreFactor}
    redis.call('ZADD', prioritized, string.format('%.0f', score), id)
  end
end
`;

/**
 * `promoteDelayed(delayed, wait, prioritized, pc, prefix, at)`: jobs whose time has come by `at` wait, in the order of their times, behind
 * those of their priority. Needs `push`. As promoteDelayedJobs.lua does it, without its events.
 */
export const luaPromoteDelayed = `
local function promoteDelayed(delayed, wait, prioritized, pc, prefix, at)
  local due = redis.call('ZRANGEBYSCORE', delayed, 0, string.format('%.0f', (at + 1) * ${delayedScoreFactor} - 1), 'LIMIT', 0, 1000)
  if #due == 0 then return end
  redis.call('ZREM', delayed, unpack(due))
  for _, id in ipairs(due) do
    local found = redis.pcall('HGET', prefix .. id, '${jobFields.priority}')
    local priority = type(found) == 'string' and string.find(found, '^%d%d?%d?%d?%d?%d?%d?$') and tonumber(found) or 0
    push(wait, prioritized, pc, id, priority)
    redis.pcall('HSET', prefix .. id, '${jobFields.delay}', 0)
  end
end
`;

/**
 * `takeNext(wait, prioritized, active, pc, inWait)` → the id of the job that is next, which is active now; nil if none waits. `inWait`: whether
 * there is a list of those that wait, as far as is known. Needs `memo`. As moveToActive-11.lua
 * and moveJobFromPrioritizedToActive.lua do it; an old client's marker in the list is no job.
 */
export const luaTakeNext = `
local function takeNext(wait, prioritized, active, pc, inWait)
  local id = inWait ~= false and redis.call('RPOPLPUSH', wait, active)
  while id and string.sub(id, 1, 2) == '0:' do
    redis.call('LREM', active, 1, id)
    id = redis.call('RPOPLPUSH', wait, active)
  end
  if not id then
    id = redis.call('ZPOPMIN', prioritized)[1]
    if id then redis.call('LPUSH', active, id)
    else redis.call('DEL', pc) end
  end
  if id then memo.grew(active, 1) end
  return id
end
`;

/** `dropMarkers(wait, most)` → the ids that are taken next, at most so many, the first one last. What an old client put there to wake workers goes. */
export const luaDropMarkers = `
local function dropMarkers(wait, most)
  local next = redis.call('LRANGE', wait, -most, -1)
  for _, id in ipairs(next) do
    if string.sub(id, 1, 2) == '0:' then
      redis.call('LREM', wait, 0, id)
      return dropMarkers(wait, most)
    end
  end
  return next
end
`;

/**
 * `rateWait(limiter, max)` → ms until the rate limit lets a job pass; 0 or less if it does. Its window may be in its last millisecond: the
 * next one then begins with the job that is taken now. Needs `memo`. Source: getRateLimitTTL.lua.
 */
export const luaRateWait = `
local function rateWait(limiter, max)
  if not max or not memo.isThere(limiter) or tonumber(redis.call('GET', limiter) or '0') < max then return 0 end
  local left = redis.call('PTTL', limiter)
  if left == 0 then redis.call('DEL', limiter) end
  return left
end
`;

/** `countTaken(limiter, max, duration)`: one more in the window of the rate limit. Needs `memo`. Source: prepareJobForProcessing.lua. */
export const luaCountTaken = `
local function countTaken(limiter, max, duration)
  if not max or max >= ${unreachableMax} then return end
  if redis.call('INCR', limiter) == 1 then redis.call('PEXPIRE', limiter, math.floor(math.abs(duration or 0))) end
  memo.wrote(limiter)
end
`;

/**
 * `endJob(active, stalled, job, id, token)` → 'ended': the job is in its queue no more. 'lost': its lock is not ours, and nothing was
 * changed. Needs `later` and `memo`. As removeLock.lua and moveToFinished-14.lua do it for a job that is not kept, without their events.
 */
export const luaEndJob = `
local function endJob(active, stalled, job, id, token)
  local lock = job .. '${lockName('')}'
  if memo.valueOf(lock) ~= token then return 'lost' end
  memo.grew(active, -redis.call('LREM', active, '-1', id))
  if memo.isThere(stalled) then later('SREM', stalled, id) end
  memo.wrote(lock, false)
  later('DEL', job, lock, job .. ':logs')
  return 'ended'
end
`;
