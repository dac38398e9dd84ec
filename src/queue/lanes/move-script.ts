/** The Lua that moves a job of the intake into its lane whole, and opens its attempt where it can be sent at once. */
import { luaPush, luaWakeUp } from '../bullmq/job-moves.ts';
import { jobFields, lockName, ownFields, unreachableMax } from '../bullmq/layout.ts';
import { luaWriteOpenRow, luaWriteRow } from '../ledger/scripts.ts';
import { luaNow, script } from '../lua/script.ts';
import { luaOnce } from '../lua/turn.ts';
import { dueKeys, luaDueAt, luaInLine } from './scripts.ts';

/**
 * Moves a job of the intake into its lane as it is, with its row, in one step: its data stays where it is, and what the router says of it
 * (`routing`) stands beside it; where it has to be sealed, `data` takes the place of what the producer wrote. All is checked before the first write.
 *
 * Where `direct` is the token of a worker that can send the message now, and nothing in the lane speaks against it, this is the fence too:
 * the job is active under that token, its row has the open attempt (`open`), and the answer is 'go'. No message that waits is overtaken. → 'ok'; 'lost': the job's lock is another's; 'kept': the lane has a
 * key of that name, and nothing was changed; or state, routed, via and deadline of a row that stands.
 */
export const moveScript = script(
  {
    keys: [
      'rowKey',
      'unsettled',
      'ready',
      'lanes',
      ...dueKeys,
      'pc',
      'marker',
      'laneJob',
      'intakeJob',
      'intakeActive',
      'intakeStalled',
      'faults',
      'attribution',
      'waitReason',
      'suppressions',
    ],
    args: [
      'id',
      'deadline',
      'entry',
      'connector',
      'channel',
      'intakeId',
      'jobId',
      'token',
      'routing',
      'acceptedAt',
      'priority',
      'journal',
      'direct',
      'open',
      'at',
      'lockMs',
      'looked',
      'data',
    ],
    moreArgs: 'fields',
    values: { intakeJob: lockName('') },
    seldom: ['rowKey', 'limiter', 'intakeStalled', 'delayed', 'faults', 'attribution', 'waitReason', 'suppressions'],
    allowOom: true,
  },
  /* lua */ `${luaNow}${luaOnce}${luaInLine}${luaWriteRow}${luaWriteOpenRow}${luaDueAt}${luaPush}${luaWakeUp}
local lock = intakeJob .. '${lockName('')}'
local laneLock = laneJob .. '${lockName('')}'
if memo.valueOf(lock) ~= token then
  -- Its own: the connection broke before the answer came, and the command was sent once more.
  local opened = direct ~= '' and memo.valueOf(laneLock) == direct and redis.call('HGET', rowKey, 'open')
  return opened and cjson.decode(opened).token == direct and 'go' or 'lost'
end
local row = memo.isThere(rowKey) and redis.call('HMGET', rowKey, 'state', 'routed', 'via', 'deadline')
if row and row[1] then return { row[1], row[2] or '-', row[3] or '', row[4] or '' } end
local function isFree()
  local paused, concurrency, max = limitsOf(meta)
  if paused or (max and max < ${unreachableMax}) then return false end
  for _, key in ipairs({ faults, attribution, waitReason, limiter }) do if memo.isThere(key) then return false end end
  if looked == '' and memo.isThere(suppressions) then return false end
  if redis.call('EXISTS', wait, prioritized) > 0 then return false end
  if memo.isThere(delayed) and delayedUntil(delayed) <= now then return false end
  return true, concurrency
end
local straight, concurrency = direct ~= '', nil
if straight then straight, concurrency = isFree() end
if redis.pcall('RENAMENX', intakeJob, laneJob) ~= 1 then return 'kept' end
-- The answer says how many there are now. One too many is taken back before anything else is looked at.
if straight and redis.call('LPUSH', active, jobId) > (concurrency or math.huge) then
  redis.call('LPOP', active)
  straight = false
end
if data ~= '' then redis.call('HSET', laneJob, '${jobFields.data}', data) end
redis.call('HSET', laneJob, '${ownFields.routing}', routing, '${jobFields.addedAt}', acceptedAt, '${jobFields.priority}', priority,
  '${jobFields.delay}', '0', '${jobFields.starts}', straight and '1' or '0')
memo.grew(intakeActive, -redis.call('LREM', intakeActive, '-1', intakeId))
if memo.isThere(intakeStalled) then later('SREM', intakeStalled, intakeId) end
memo.wrote(lock, false)
later('DEL', lock)
memo.wrote(rowKey)
if straight then
  memo.grew(active, 1)
  redis.call('SET', laneLock, direct, 'PX', lockMs)
  memo.wrote(laneLock, direct)
  later('SADD', lanes, connector)
  writeOpenRow(open, at)
  return 'go'
end
push(wait, prioritized, pc, jobId, tonumber(priority))
wakeUp(marker)
-- A lane that is in line already stays where it is; it is also known then.
if not inLine(connector) then
  local place = redis.call('ZSCORE', ready, connector)
  if not place then redis.call('SADD', lanes, connector) end
  if not place or tonumber(place) > now then sooner(connector, dueAt(true), channel)
  else inLine(connector, true) end
end
writeRow(nil, nil)
return 'ok'
`,
);
