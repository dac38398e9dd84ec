/** The Lua of fallback connectors: what waits in the lane of a connector at fault enters another lane, and comes back from there. */
import { luaPromoteDelayed, luaPush, luaWakeUp } from '../bullmq/job-moves.ts';
import { jobFields, luaPausedUntil, metaFields, ownFields, priorityScoreFactor } from '../bullmq/layout.ts';
import { luaJournal } from '../journal/lua.ts';
import { luaNote } from '../ledger/scripts.ts';
import { luaNow, script } from '../lua/script.ts';
import { luaLater } from '../lua/turn.ts';
import { dueKeys, luaDueAt } from './scripts.ts';

/** Entries of a history that are kept; of a longer one it is not known whether an attempt was uncertain. */
const keptEntries = 100;
/** With more entries, a message that has been tried stays: each way there and back adds some, and it must be able to come back. */
const mostEntriesOut = 50;
/** Jobs of a lane that one script looks at: some milliseconds of Redis' time. */
const lookedAt = 500;
/** The rule in the row of a message that its fallback cannot carry. */
export const unfitRule = 'unfit';
/** What is noted of a connector whose mail goes by another one is forgotten after so many ms in which no process looks after it. */
const forgetAfterMs = 3_600_000;

/** `idOf(jobId)` → the id of a message (job-ids.ts). */
export const luaIdOf = `
local function idOf(jobId) return string.sub(jobId, 1, 1) == '.' and string.sub(jobId, 2) or jobId end
`;

/**
 * `mayMove(rowKey, connector, isOut)` → the From of a message that waits in the lane of the connector, where no recipient can have a copy that the ledger does not know
 * of: no attempt is open, and none was ever uncertain. `false` if it may not. Nor does a message whose connector was chosen for it
 * (`via`), or that came back from a fallback (`kept`), nor one that is overdue: maintenance ends it where its row says that it is. `isOut`:
 * nor one that is here for another connector, which has not named the next one, and would not get it back. Needs `now`.
 */
const luaMayMove = `
local function mayMove(rowKey, connector, isOut)
  local row = redis.pcall('HMGET', rowKey, 'state', 'open', 'routed', 'rule', 'recipients', 'attempts', 'n', 'from', 'deadline')
  local state, open, routed, rule = row[1], row[2], row[3], row[4]
  if (state ~= 'queued' and state ~= 'deferred') or open then return false end
  if routed ~= connector then return false end
  if rule == 'via' or rule == 'kept' then return false end
  if isOut and (rule == 'fallback' or rule == '${unfitRule}') then return false end
  if (tonumber(row[9] or '') or 0) <= now then return false end
  if string.find(row[5] or '', '"outcome":"uncertain"', 1, true) then return false end
  if (tonumber(row[6] or '0') or 0) > 0 then
    local n = tonumber(row[7] or '0') or 0
    if n > (isOut and ${mostEntriesOut} or ${keptEntries}) then return false end
    local fields = {}
    for i = 1, n do fields[i] = 'h' .. i end
    for _, entry in ipairs(n > 0 and redis.call('HMGET', rowKey, unpack(fields)) or {}) do
      if entry and string.find(entry, '"event":"uncertain"', 1, true) then return false end
    end
  end
  return row[8] or ''
end
`;

/**
 * `takeOff(wait, prioritized, jobId, from)` → whether the job was waiting there; it is on no list then. A list is searched from one end, of
 * 100,000 for a millisecond or more: `from` is -1 where the job is likely to be taken soon, and 1 where it came late.
 */
const luaTakeOff = `
local function takeOff(wait, prioritized, jobId, from)
  return redis.call('ZREM', prioritized, jobId) > 0 or redis.call('LREM', wait, from, jobId) > 0
end
`;

/** `leaveLane(rowKey, attribution, id)`: what other messages of the lane have shown of this one does not go with it. */
const luaLeaveLane = `
local function leaveLane(rowKey, attribution, id)
  redis.call('HDEL', attribution, 'm:' .. id)
  redis.call('HDEL', rowKey, 'aside', 'attributed', 'again')
end
`;

/**
 * Nine keys of each connector: faults, record, stats, meta, active, wait, prioritized, delayed, guests. → the time; then of each 0, where nothing is
 * to be done, or 1 and what there is.
 */
export const faultStatesScript = script(
  { keys: ['_anchor'], moreKeys: 'keys', moreArgs: 'connectors' },
  /* lua */ `${luaNow}${luaPausedUntil}
local found = { string.format('%.0f', now) }
local function add(value) found[#found + 1] = value or '' end
for i = 1, #connectors do
  local faults, record, stats, meta, active, wait, prioritized, delayed, guests = unpack(keys, i * 9 - 8, i * 9)
  local fault = redis.call('HMGET', faults, 'faults', 'since', 'fault', 'reply', 'until', 'brokenSince')
  local noted = redis.call('HMGET', record, 'since', 'to', 'healthyAt', 'sentAt')
  local isFaulty = (tonumber(fault[1] or '0') or 0) > 0
  local hosted = redis.call('ZCARD', guests)
  if not isFaulty and not noted[1] and hosted == 0 then add(0)
  else
    add(1)
    -- A worker of the release before leaves what it does not know: that is of an earlier fault.
    local began = math.max(tonumber(fault[2] or '0') or 0, tonumber(fault[6] or '0') or 0)
    add(isFaulty and string.format('%.0f', began)); add(fault[3]); add(fault[4]); add(fault[5])
    add(noted[1]); add(noted[2]); add(noted[3]); add(noted[4])
    add(redis.call('HGET', stats, 'sent') or '0')
    add(pausedUntil(redis.call('HGET', meta, '${metaFields.paused}')) and 1 or 0)
    add(redis.call('LLEN', active))
    add(redis.call('LLEN', wait) + redis.call('ZCARD', prioritized) + redis.call('ZCARD', delayed))
    add(hosted)
  end
end
return found
`,
);

/**
 * `isAway(record, meta)`: mail of the lane goes by others now, and no operator has paused it. The process that decided so may have stood still since,
 * while another process has ended it. Needs `pausedUntil`.
 */
const luaIsAway = `
local function isAway(record, meta)
  return redis.call('HEXISTS', record, 'since') == 1 and not pausedUntil(redis.call('HGET', meta, '${metaFields.paused}'))
end
`;

/**
 * Notes that a connector's mail goes by another one (`began`, `goes-on`), or does no more (`ended`), and tells of the first and the last. It
 * begins only while there is a fault, and goes on only where it has begun. → 1 if it goes by another one.
 */
export const recordScript = script(
  {
    keys: ['record', 'faults'],
    args: ['prefix', 'kind', 'connector', 'to', 'fault', 'reply', 'healthyAt', 'sentAt'],
    allowOom: true,
  },
  /* lua */ `${luaNow}${luaJournal}
if kind == 'ended' then
  if redis.call('DEL', record) == 1 then journalEvent(prefix, 'connector.returned', 'c', connector, '.to', to) end
  return 0
end
local isThere = redis.call('HEXISTS', record, 'since') == 1
if kind == 'goes-on' and not isThere then return 0 end
if kind == 'began' and not isThere then
  if (tonumber(redis.call('HGET', faults, 'faults') or '0') or 0) == 0 then return 0 end
  redis.call('HSET', record, 'since', string.format('%.0f', now))
  journalEvent(prefix, 'connector.fallback', 'c', connector, '.to', to, '.fault', fault, '.reply', reply)
end
redis.call('HSET', record, 'to', to, 'healthyAt', healthyAt, 'sentAt', sentAt)
redis.call('PEXPIRE', record, ${forgetAfterMs})
return 1
`,
);

/**
 * Looks for messages that may go by another connector, the next to be taken first, from a place in the line on. What waits for a retry
 * whose time has come is in line, too. → how many were looked at, and id and From of each job that was found.
 */
export const peekScript = script(
  {
    keys: ['wait', 'prioritized', 'delayed', 'pc'],
    args: ['prefix', 'ledgerPrefix', 'connector', 'skip', 'count', 'at'],
    allowOom: true,
  },
  /* lua */ `${luaNow}${luaPush}${luaPromoteDelayed}${luaIdOf}${luaMayMove}
promoteDelayed(delayed, wait, prioritized, pc, prefix, tonumber(at))
local first = tonumber(skip)
local last = first + ${lookedAt} - 1
local ids, inWait = {}, redis.call('LLEN', wait)
local front = redis.call('LRANGE', wait, -last - 1, -first - 1)
for i = #front, 1, -1 do ids[#ids + 1] = front[i] end
if last >= inWait then
  for _, jobId in ipairs(redis.call('ZRANGE', prioritized, math.max(0, first - inWait), last - inWait)) do ids[#ids + 1] = jobId end
end
local found, seen = { 0 }, 0
for _, jobId in ipairs(ids) do
  if (#found - 1) / 2 >= tonumber(count) then break end
  seen = seen + 1
  local rowKey = ledgerPrefix .. idOf(jobId)
  local from = mayMove(rowKey, connector, true)
  if from then
    found[#found + 1] = jobId
    found[#found + 1] = from
  end
end
found[1] = seen
return found
`,
);

/**
 * Moves waiting jobs from the lane of one connector into that of another, each as it is: its key is renamed, `routing` says who sends it,
 * and its row names the new lane. All of a job is checked before the first write, so that a worker that takes it, or an answer that
 * comes late, finds it in one lane or the other. `jobs` are id and entry of the history of each. `out`: to a connector that stands
 * in, behind what waits there. `back`: from it, to the front; the last one of the list is then taken first. → how many were moved.
 */
export const moveLaneScript = script(
  {
    keys: [
      'fromWait',
      'fromPrioritized',
      'fromMeta',
      'attribution',
      'record',
      'guests',
      'ready',
      'lanes',
      ...dueKeys,
      'pc',
      'marker',
    ],
    args: ['kind', 'from', 'connector', 'rule', 'fromPrefix', 'prefix', 'ledgerPrefix', 'channel'],
    moreArgs: 'jobs',
    allowOom: true,
  },
  /* lua */ `${luaNow}local rowKey
${luaLater}${luaNote}${luaIdOf}${luaMayMove}${luaTakeOff}${luaLeaveLane}${luaPush}${luaWakeUp}${luaDueAt}${luaIsAway}
if kind == 'out' and not isAway(record, fromMeta) then return 0 end
-- Beside what the router said of it; what was tried before is in the row, which is read first.
local function readdressed(job)
  local ok, parts = pcall(cjson.decode, redis.call('HGET', job, '${ownFields.routing}') or '{}')
  if not ok or type(parts) ~= 'table' then parts = {} end
  parts.connector, parts.rule, parts.known = connector, rule, true
  return cjson.encode(parts)
end
local moved = 0
local at = string.format('%.0f', now)
for i = 1, #jobs, 2 do
  local jobId, entry = jobs[i], jobs[i + 1]
  local job, target, id = fromPrefix .. jobId, prefix .. jobId, idOf(jobId)
  rowKey = ledgerPrefix .. id
  local isJob = redis.call('TYPE', job).ok == 'hash' and redis.call('EXISTS', target) == 0
  if isJob and mayMove(rowKey, from, kind == 'out') and takeOff(fromWait, fromPrioritized, jobId, kind == 'out' and -1 or 1) then
    redis.call('RENAME', job, target)
    redis.call('HSET', target, '${ownFields.routing}', readdressed(target))
    redis.call('HDEL', target, '${ownFields.returned}')
    leaveLane(rowKey, attribution, id)
    redis.call('HSET', rowKey, 'connector', connector, 'routed', connector, 'rule', rule, 'updatedAt', at)
    -- Its own connector has not put it off.
    if rule == 'kept' then redis.call('HSET', rowKey, 'retryAt', '') end
    note(entry)
    local priority = tonumber(redis.call('HGET', target, '${jobFields.priority}') or '0') or 0
    if kind == 'out' then
      push(wait, prioritized, pc, jobId, priority)
      redis.call('ZADD', guests, at, from .. ' ' .. jobId)
    else
      if priority == 0 then redis.call('RPUSH', wait, jobId)
      else redis.call('ZADD', prioritized, string.format('%.0f', priority * ${priorityScoreFactor}), jobId) end
      redis.call('ZREM', guests, connector .. ' ' .. jobId)
    end
    moved = moved + 1
  end
end
if moved == 0 then return 0 end
wakeUp(marker)
redis.call('SADD', lanes, connector)
sooner(connector, dueAt(true), channel)
if kind == 'out' then redis.call('HINCRBY', record, 'moved', moved) end
return moved
`,
);

/**
 * The first step where the other lane is in another shard: the row says that the message waits to be routed, by `via`, and the job is in a
 * lane that no worker serves. From there it enters the other lane; where a crash comes between, maintenance routes it as that of a connector
 * that is gone. → which move of the message this is, or 0 if it may not go.
 */
export const setOutScript = script(
  {
    keys: [
      'wait',
      'prioritized',
      'meta',
      'rowKey',
      'attribution',
      'record',
      'job',
      'transitJob',
      'transitWait',
      'lanes',
    ],
    args: ['jobId', 'id', 'connector', 'via', 'entry', 'count', 'transit'],
    allowOom: true,
  },
  /* lua */ `${luaNow}${luaNote}${luaMayMove}${luaTakeOff}${luaLeaveLane}${luaPausedUntil}${luaIsAway}
if count == '1' and not isAway(record, meta) then return 0 end
if redis.call('TYPE', job).ok ~= 'hash' or redis.call('EXISTS', transitJob) == 1 or not mayMove(rowKey, connector, count == '1') then return 0 end
if not takeOff(wait, prioritized, jobId, count == '1' and -1 or 1) then return 0 end
redis.call('RENAME', job, transitJob)
redis.call('LPUSH', transitWait, jobId)
redis.call('SADD', lanes, transit)
leaveLane(rowKey, attribution, id)
redis.call('HSET', rowKey, 'state', 'queued', 'routed', '', 'via', via, 'retryAt', '', 'updatedAt', string.format('%.0f', now))
note(entry)
local move = redis.call('HGET', rowKey, 'n')
redis.call('HSET', transitJob, '${ownFields.move}', move)
if count == '1' then redis.call('HINCRBY', record, 'moved', 1) end
return move
`,
);

/** The last step: the message is in a lane. A later move of it, which another process may have begun meanwhile, is not ended by that. → 1 if it was this one. */
export const arrivedScript = script(
  { keys: ['transitWait', 'transitJob'], args: ['jobId', 'move'], allowOom: true },
  /* lua */ `
if (redis.call('HGET', transitJob, '${ownFields.move}') or '') ~= move then return 0 end
redis.call('LREM', transitWait, 0, jobId)
return redis.call('DEL', transitJob)
`,
);
