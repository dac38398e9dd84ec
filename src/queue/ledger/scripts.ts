/** The ledger's Lua: each script is one atomic step of a message's life. */
import { luaLimitsOf } from '../bullmq/layout.ts';
import { luaIncrease } from '../lua/adaptive-concurrency.ts';
import { luaJournal, luaJournalCount, luaJournalMessage, luaJournalResult, luaJournalRow } from '../journal/lua.ts';
import { luaNow, script } from '../lua/script.ts';
import { luaTally } from '../lua/tally.ts';
import { luaLater, luaMemo } from '../lua/turn.ts';

/** History lives in the row's fields h1, h2 …; the oldest entries go when there are more than 100. Needs `rowKey`. */
export const luaNote = `
local function note(text)
  local n = redis.call('HINCRBY', rowKey, 'n', 1)
  redis.call('HSET', rowKey, 'h' .. n, text)
  if n > 100 then redis.call('HDEL', rowKey, 'h' .. (n - 100)) end
end
`;

const luaTerminal = `
local terminal = { sent = true, partial = true, dead = true, cancelled = true }
`;

/**
 * `writeRow(state, recipients)`: of a row that is there already, or nil. One that waits to be routed again keeps its recipients
 * and history. Needs `now`, `rowKey`, `unsettled`, `id`, `deadline`, `entry`, `journal` and `fields`.
 */
export const luaWriteRow = `${luaLater}${luaTally}${luaJournal}${luaJournalCount}${luaJournalMessage}${luaJournalRow}${luaNote}
local function writeRow(state, recipients)
  if not state then
    redis.call('HSET', rowKey, 'state', 'queued', 'n', 1, 'h1', entry, unpack(fields))
  else
    redis.call('HSET', rowKey, 'state', 'queued', unpack(fields))
    if recipients then redis.call('HSET', rowKey, 'recipients', recipients) end
    note(entry)
  end
  later('ZADD', unsettled, deadline, id)
  journalRow(unsettled, id, journal, not state, entry, fields)
end
`;

/**
 * `writeOpenRow(open, at)`: of a message that is new, and is being sent already: as `writeRow` and the fence together would leave it. Needs
 * what `writeRow` needs, and `now`.
 */
export const luaWriteOpenRow = `
local function writeOpenRow(open, at)
  redis.call('HSET', rowKey, 'state', 'sending', 'n', '1', 'h1', entry, 'open', open, 'updatedAt', at, 'attempts', '1',
    'begun', string.format('%.0f', now), unpack(fields))
  later('ZADD', unsettled, deadline, id)
  journalRow(unsettled, id, journal, true, entry, fields)
end
`;

/** Writes the row of a routed message. → 'ok', or the state of a row that is not waiting to be routed. */
export const rowScript = script(
  { keys: ['rowKey', 'unsettled'], args: ['id', 'deadline', 'entry', 'journal'], moreArgs: 'fields', allowOom: true },
  /* lua */ `${luaNow}${luaWriteRow}
local row = redis.call('HMGET', rowKey, 'state', 'routed', 'recipients')
if row[1] and not (row[1] == 'queued' and row[2] == '') then return row[1] end
writeRow(row[1], row[3])
return 'ok'
`,
);

/**
 * Opens an attempt under the job's lock. `over` says whether an open attempt may be passed over (1/0), `uncertain` is the entry that
 * is then noted, `known` how many attempts the asker knows of: one that missed an attempt does not know whom it reached, and must
 * look again, as if it were open. `fields` are those of a row that a crash kept from being written; they travel only when they
 * are asked for (`no-row`).
 *
 * The lane may pause since a worker took the message: by an operator, a fault, or a server's request. Then it does not begin. A quota
 * is no reason: the message has reserved its own share. Where there is a suppression list, who has not looked at it (`looked`) does so first.
 *
 * `begun` is Redis' time, which orders attempts of all workers: only one that began after a refusal tells whose fault that was.
 */
export const fenceScript = script(
  {
    keys: ['rowKey', 'unsettled', 'lock', 'meta', 'waitReason', 'suppressions'],
    args: ['id', 'token', 'open', 'over', 'deadline', 'at', 'uncertain', 'known', 'looked', 'journal'],
    moreArgs: 'fields',
    values: { lock: '' },
    seldom: ['waitReason', 'suppressions'],
    allowOom: true,
  },
  /* lua */ `${luaNow}${luaLater}${luaMemo}${luaTally}${luaJournal}${luaJournalCount}${luaJournalMessage}${luaJournalRow}${luaJournalResult}${luaNote}${luaTerminal}${luaLimitsOf}
if memo.valueOf(lock) ~= token then return 'lost' end
local row = redis.call('HMGET', rowKey, 'state', 'open', 'attempts')
if row[1] and (terminal[row[1]] or row[1] == 'held') then return row[1] end
if row[2] then
  -- Its own: the connection broke before the answer came, and the command was sent once more.
  if cjson.decode(row[2]).token == token then return 'go' end
  if over ~= '1' then return 'open' end
end
if limitsOf(meta) then return 'paused' end
local why = memo.isThere(waitReason) and redis.call('GET', waitReason)
if why == 'fault' or why == 'slow-down' then return 'paused' end
if row[1] and tonumber(row[3] or '0') ~= tonumber(known) then return 'open' end
if looked == '' and memo.isThere(suppressions) then return 'listed' end
if row[2] then
  note(uncertain)
  journalResult(unsettled, rowKey, id, 'uncertain 0 -', false, redis.call('HGET', rowKey, 'n'), 'sending', uncertain, '', '', '')
end
if not row[1] then
  if not fields[1] then return 'no-row' end
  redis.call('HSET', rowKey, unpack(fields))
  memo.wrote(rowKey)
  redis.call('ZADD', unsettled, 'NX', deadline, id)
  journalRow(unsettled, id, journal, true, uncertain, fields)
end
local attempts = tonumber(row[3] or '0') + 1
redis.call('HSET', rowKey, 'state', 'sending', 'open', open, 'updatedAt', at, 'attempts', attempts,
  'begun', string.format('%.0f', now))
return 'go'
`,
);

/**
 * A result whose attempt is not the open one any more comes too late to decide the state: it is only noted. Two exceptions where
 * no attempt is open: that every recipient has it is always welcome, and any end is better than being held.
 *
 * `values` holds `letterCount` fields and values of a dead letter, then the fields of a row that is not there yet. These travel only
 * when they are asked for (`no-row`).
 */
export const settleShape = {
  keys: ['rowKey', 'unsettled', 'letterKey', 'letters', 'faults', 'stats', 'attribution'],
  args: [
    'id',
    'token',
    'state',
    'at',
    'retentionMs',
    'recipients',
    'retryAt',
    'reason',
    'entry',
    'countAttempt',
    'connectorWorks',
    'reached',
    'deadline',
    'journal',
    'letterCount',
  ],
  moreArgs: 'values',
  allowOom: true,
} as const;

/**
 * `attribute(begun)`: an attempt that was accepted answers the refusals before it; a message that has ended is no longer open. One that
 * was believed late stays: its refusal counts with those that come.
 */
const luaAttribute = `
local function attribute(begun)
  if terminal[state] then
    local note = redis.call('HGET', attribution, 'm:' .. id)
    if note and not cjson.decode(note).late then redis.call('HDEL', attribution, 'm:' .. id) end
  end
  if reached == '0' or token == '' or not memo.isThere(attribution) then return nil end
  if begun > tonumber(redis.call('HGET', attribution, 'ok') or '0') then
    redis.call('HSET', attribution, 'ok', string.format('%.0f', begun))
  end
  return 'answered'
end
`;

export const luaSettle = `${luaNow}${luaLater}${luaMemo}${luaTally}${luaJournal}${luaJournalCount}${luaJournalMessage}${luaJournalResult}${luaNote}${luaTerminal}${luaIncrease}${luaAttribute}
local function settle()
  local row = redis.call('HMGET', rowKey, 'state', 'open', 'n', 'aside', 'begun')
  if row[1] and token ~= '' then
    local late
    if row[2] then late = cjson.decode(row[2]).token ~= token
    else late = not terminal[row[1]] and state ~= 'sent' and not (row[1] == 'held' and terminal[state]) end
    if late then
      note(entry)
      return 'late'
    end
  end
  if row[1] and terminal[row[1]] then return 'late' end
  local letter = tonumber(letterCount)
  if not row[1] then
    if not values[letter + 1] then return 'no-row' end
    redis.call('HSET', rowKey, unpack(values, letter + 1))
    memo.wrote(rowKey)
  end
  local n = tonumber(row[3] or '0') + 1
  redis.call('HSET', rowKey, 'state', state, 'updatedAt', at, 'recipients', recipients, 'retryAt', retryAt,
    'reason', reason, 'n', n, 'h' .. n, entry)
  if n > 100 then redis.call('HDEL', rowKey, 'h' .. (n - 100)) end
  if row[2] then
    redis.call('HDEL', rowKey, 'open', 'begun')
    if countAttempt == '0' then redis.call('HINCRBY', rowKey, 'attempts', -1) end
  end
  if letter > 0 then
    redis.call('DEL', letterKey)
    redis.call('HSET', letterKey, unpack(values, 1, letter))
    redis.call('ZADD', letters, at, id)
  end
  -- A result that came after all, for a message that was held meanwhile: nothing is left to resolve.
  if row[1] == 'held' and letter == 0 then
    redis.call('DEL', letterKey)
    redis.call('ZREM', letters, id)
  end
  local answer = 'ok'
  if reached ~= '0' then later('HINCRBY', stats, 'sent', 1) end
  -- A fault that refusals of mail have shown ends with a mail that is taken, and with nothing less.
  if connectorWorks == '1' and memo.isThere(faults)
    and (reached ~= '0' or redis.call('HEXISTS', faults, 'within') == 0) then answer = increase(faults) end
  if row[4] and countAttempt == '1' then redis.call('HDEL', rowKey, 'aside') end
  if memo.isThere(attribution) then
    local answered = attribute(tonumber(row[5] or '0'))
    if answer == 'ok' and answered then answer = answered end
  end
  if terminal[state] then
    redis.call('PEXPIRE', rowKey, retentionMs)
    later('ZREM', unsettled, id)
  else
    redis.call('ZADD', unsettled, 'NX', deadline, id)
  end
  journalResult(unsettled, rowKey, id, journal, not row[1], n, state, entry, recipients, reason, answer)
  return answer
end
`;

export const settleScript = script(
  settleShape,
  /* lua */ `${luaSettle}
return settle()
`,
);

/** `inIntake` says whether the message's job is there (1/0). A message that reached a recipient stays. */
export const cancelScript = script(
  {
    keys: ['rowKey', 'unsettled'],
    args: ['id', 'at', 'retentionMs', 'entry', 'inIntake', 'recipients', 'journal'],
    moreArgs: 'fields',
    allowOom: true,
  },
  /* lua */ `${luaNow}${luaLater}${luaTally}${luaJournal}${luaJournalCount}${luaJournalMessage}${luaJournalResult}${luaNote}${luaTerminal}
local row = redis.call('HMGET', rowKey, 'state', 'open', 'recipients')
if not row[1] and inIntake ~= '1' then return 'unknown' end
if row[1] then
  if row[1] == 'cancelled' then return 'ok' end
  if terminal[row[1]] or row[2] then return row[1] end
  for _, recipient in ipairs(cjson.decode(row[3] or '[]')) do
    local outcome = recipient.outcome
    if outcome == 'accepted' or outcome == 'redirected' or outcome == 'uncertain' then return row[1] end
  end
end
-- It was not routed: what its job says of it is all that is known.
if not row[1] then redis.call('HSET', rowKey, 'recipients', recipients, unpack(fields)) end
redis.call('HSET', rowKey, 'state', 'cancelled', 'updatedAt', at, 'retryAt', '')
redis.call('HSETNX', rowKey, 'acceptedAt', at)
redis.call('HSETNX', rowKey, 'routed', '-')
note(entry)
redis.call('PEXPIRE', rowKey, retentionMs)
redis.call('ZREM', unsettled, id)
-- A producer's user may lack the right to write there; its message is cancelled all the same.
pcall(journalResult, unsettled, rowKey, id, journal, not row[1], redis.call('HGET', rowKey, 'n'), 'cancelled', entry,
  row[1] and (row[3] or '[]') or recipients, '', '')
return 'ok'
`,
);

/** `from` holds the states that it may come from. Dead recipients get another chance. */
export const releaseScript = script(
  {
    keys: ['rowKey', 'unsettled'],
    args: ['id', 'at', 'entry', 'deadline', 'via', 'journal'],
    moreArgs: 'from',
    allowOom: true,
  },
  /* lua */ `${luaNow}${luaLater}${luaTally}${luaJournal}${luaJournalCount}${luaJournalMessage}${luaJournalResult}${luaNote}
local row = redis.call('HMGET', rowKey, 'state', 'routed', 'recipients')
local again = row[1] == 'queued' and row[2] == ''
if row[1] and not again then
  local allowed = false
  for _, state in ipairs(from) do if state == row[1] then allowed = true end end
  if not allowed then return row[1] end
end
local recipients = cjson.decode(row[3] or '[]')
for _, recipient in ipairs(recipients) do
  if recipient.outcome ~= 'accepted' and recipient.outcome ~= 'redirected' then recipient.outcome, recipient.elsewhere = 'pending', nil end
end
redis.call('HSET', rowKey, 'state', 'queued', 'routed', '', 'via', via, 'updatedAt', at, 'retryAt', '', 'reason', '',
  'deadline', deadline)
redis.call('HDEL', rowKey, 'open', 'aside', 'attributed', 'again')
if #recipients > 0 then redis.call('HSET', rowKey, 'recipients', cjson.encode(recipients)) end
redis.call('PERSIST', rowKey)
redis.call('ZADD', unsettled, deadline, id)
if not again then
  note(entry)
  journalResult(unsettled, rowKey, id, journal, not row[1], redis.call('HGET', rowKey, 'n'), 'queued', entry, row[3] or '[]', '', '')
end
return 'ok'
`,
);
