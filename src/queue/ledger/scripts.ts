/** The ledger's Lua: each script is one atomic step of a message's life. KEYS[1] is the row, KEYS[2] the unsettled set. */
import { script } from '../lua/script.ts';
import { luaRise } from '../lua/adaptive-concurrency.ts';

/** History lives in the row's fields h1, h2 …; the oldest entries go when there are more than 100. */
const shared = `
local function note(entry)
  local n = redis.call('HINCRBY', KEYS[1], 'n', 1)
  redis.call('HSET', KEYS[1], 'h' .. n, entry)
  if n > 100 then redis.call('HDEL', KEYS[1], 'h' .. (n - 100)) end
end
local terminal = { sent = true, partial = true, dead = true, cancelled = true }
`;

/**
 * ARGV: id, deadline, history entry; fields from `first` on. `row` is state, routed and recipients of a row that is there: one
 * that waits to be routed again keeps its recipients and history.
 */
export const rowLua = `${shared}
local function writeRow(row, first)
  if not row[1] then
    redis.call('HSET', KEYS[1], 'state', 'queued', 'n', 1, 'h1', ARGV[3], unpack(ARGV, first))
  else
    redis.call('HSET', KEYS[1], 'state', 'queued', unpack(ARGV, first))
    if row[3] then redis.call('HSET', KEYS[1], 'recipients', row[3]) end
    note(ARGV[3])
  end
  redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
end
`;

/** ARGV: id, deadline, history entry, then fields. */
export const rowScript = script(`${rowLua}
local row = redis.call('HMGET', KEYS[1], 'state', 'routed', 'recipients')
if row[1] and not (row[1] == 'queued' and row[2] == '') then return row[1] end
writeRow(row, 4)
return 'ok'
`);

/**
 * KEYS[3] the job's lock. ARGV: id, token, open attempt, over an open one (1/0), deadline, now, entry for an open one, how many
 * attempts the asker knows of, then the fields of a row that a crash kept from being written, which are asked for when they are
 * needed ('no-row'). An asker who has missed an attempt does not know whom it reached: he must look again, as if it were open.
 */
export const fenceScript = script(`${shared}
if redis.call('GET', KEYS[3]) ~= ARGV[2] then return 'lost' end
local row = redis.call('HMGET', KEYS[1], 'state', 'open', 'attempts')
if row[1] and (terminal[row[1]] or row[1] == 'held') then return row[1] end
if row[2] then
  -- Its own: the connection broke before the answer came, and the command was sent once more.
  if cjson.decode(row[2]).token == ARGV[2] then return 'go' end
  if ARGV[4] ~= '1' then return 'open' end
end
if row[1] and tonumber(row[3] or '0') ~= tonumber(ARGV[8]) then return 'open' end
if row[2] then note(ARGV[7]) end
if not row[1] then
  if not ARGV[9] then return 'no-row' end
  redis.call('HSET', KEYS[1], unpack(ARGV, 9))
  redis.call('ZADD', KEYS[2], 'NX', ARGV[5], ARGV[1])
end
local attempts = tonumber(row[3] or '0') + 1
redis.call('HSET', KEYS[1], 'state', 'sending', 'open', ARGV[3], 'updatedAt', ARGV[6], 'attempts', attempts)
return 'go'
`);

/**
 * KEYS[3] the dead letter, KEYS[4] the index of dead letters, KEYS[5] the connector's faults, KEYS[6] what it has done.
 * ARGV: id, token, state, now, retention, recipients, retryAt, reason, entry, count the attempt (1/0), connector works (1/0), recipients reached, deadline, how many values
 * of a dead letter follow, these, then the fields of a row that is not there yet, which are asked for ('no-row').
 * A result whose attempt is not the open one any more comes too late to decide the state: it is only noted. Two exceptions where
 * no attempt is open: that everybody has it is always welcome, and any end is better than being held.
 */
const settleLua = `${shared}${luaRise}
local function settle()
  local row = redis.call('HMGET', KEYS[1], 'state', 'open', 'n')
  if row[1] and ARGV[2] ~= '' then
    local late
    if row[2] then late = cjson.decode(row[2]).token ~= ARGV[2]
    else late = not terminal[row[1]] and ARGV[3] ~= 'sent' and not (row[1] == 'held' and terminal[ARGV[3]]) end
    if late then
      note(ARGV[9])
      return 'late'
    end
  end
  if row[1] and terminal[row[1]] then return 'late' end
  local letter = tonumber(ARGV[14])
  if not row[1] then
    if not ARGV[15 + letter] then return 'no-row' end
    redis.call('HSET', KEYS[1], unpack(ARGV, 15 + letter))
  end
  local n = tonumber(row[3] or '0') + 1
  redis.call('HSET', KEYS[1], 'state', ARGV[3], 'updatedAt', ARGV[4], 'recipients', ARGV[6], 'retryAt', ARGV[7],
    'reason', ARGV[8], 'n', n, 'h' .. n, ARGV[9])
  if n > 100 then redis.call('HDEL', KEYS[1], 'h' .. (n - 100)) end
  if row[2] then
    redis.call('HDEL', KEYS[1], 'open')
    if ARGV[10] == '0' then redis.call('HINCRBY', KEYS[1], 'attempts', -1) end
  end
  if letter > 0 then
    redis.call('DEL', KEYS[3])
    redis.call('HSET', KEYS[3], unpack(ARGV, 15, 14 + letter))
    redis.call('ZADD', KEYS[4], ARGV[4], ARGV[1])
  end
  -- A result that came after all, for a message that was held meanwhile: nothing is left to resolve.
  if row[1] == 'held' and letter == 0 then
    redis.call('DEL', KEYS[3])
    redis.call('ZREM', KEYS[4], ARGV[1])
  end
  local answer = 'ok'
  if ARGV[12] ~= '0' then redis.call('HINCRBY', KEYS[6], 'sent', 1) end
  if ARGV[11] == '1' and redis.call('EXISTS', KEYS[5]) == 1 then answer = rise(KEYS[5]) end
  if terminal[ARGV[3]] then
    redis.call('PEXPIRE', KEYS[1], ARGV[5])
    redis.call('ZREM', KEYS[2], ARGV[1])
  else
    redis.call('ZADD', KEYS[2], 'NX', ARGV[13], ARGV[1])
  end
  return answer
end
`;

export const settleScript = script(`${settleLua}
return settle()
`);

/** The same, in one step with the end of the message's job. */
export const settleAddOn = `${settleLua}
local answer = settle()
return { answer, bullmq() }
`;

/** ARGV: id, now, retention, entry, whether its job is in the intake (1/0). A message that somebody received stays. */
export const cancelScript = script(`${shared}
local row = redis.call('HMGET', KEYS[1], 'state', 'open', 'recipients')
if not row[1] and ARGV[5] ~= '1' then return 'unknown' end
if row[1] then
  if row[1] == 'cancelled' then return 'ok' end
  if terminal[row[1]] or row[2] then return row[1] end
  for _, recipient in ipairs(cjson.decode(row[3] or '[]')) do
    if recipient.outcome == 'accepted' or recipient.outcome == 'uncertain' then return row[1] end
  end
end
redis.call('HSET', KEYS[1], 'state', 'cancelled', 'updatedAt', ARGV[2], 'retryAt', '')
redis.call('HSETNX', KEYS[1], 'acceptedAt', ARGV[2])
redis.call('HSETNX', KEYS[1], 'routed', '-')
note(ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('ZREM', KEYS[2], ARGV[1])
return 'ok'
`);

/** ARGV: id, now, entry, deadline, via, then the states it may come from. Dead recipients get another chance. */
export const releaseScript = script(`${shared}
local row = redis.call('HMGET', KEYS[1], 'state', 'routed', 'recipients')
local again = row[1] == 'queued' and row[2] == ''
if row[1] and not again then
  local allowed = false
  for i = 6, #ARGV do if ARGV[i] == row[1] then allowed = true end end
  if not allowed then return row[1] end
end
local recipients = cjson.decode(row[3] or '[]')
for _, recipient in ipairs(recipients) do
  if recipient.outcome ~= 'accepted' then recipient.outcome = 'pending' end
end
redis.call('HSET', KEYS[1], 'state', 'queued', 'routed', '', 'via', ARGV[5], 'updatedAt', ARGV[2], 'retryAt', '', 'reason', '', 'deadline', ARGV[4])
redis.call('HDEL', KEYS[1], 'open')
if #recipients > 0 then redis.call('HSET', KEYS[1], 'recipients', cjson.encode(recipients)) end
redis.call('PERSIST', KEYS[1])
redis.call('ZADD', KEYS[2], ARGV[4], ARGV[1])
if not again then note(ARGV[3]) end
return 'ok'
`);
