/** The Lua that attributes refusals: notes one and judges it, and returns the messages that were set aside. */
import { luaCallToFront, luaReturnToFront } from '../bullmq/layout.ts';
import { luaOwnShare } from '../lua/learned-rate.ts';
import { luaNow, script } from '../lua/script.ts';
import { keepRefusalsMs } from './scripts.ts';

/** Refusals of one connector that are compared. Beyond it a message is set aside without a note, and tried again at its time. */
const maxNotes = 1_000;

/**
 * How many refusals that are alike make it the connector's fault, and how many of them must be canary messages. `any`: of any text.
 * The reasons are in docs/decisions/0021-other-messages-attribute-a-refusal.md.
 */
const attributionCounts = {
  fault: { alike: 2, canaries: 1 },
  permanent: { alike: 5, canaries: 3, any: 20, anyCanaries: 1 },
  temporary: { alike: 3, canaries: 2 },
} as const;

const { fault, permanent, temporary } = attributionCounts;

/**
 * Where messages are often refused by themselves, some in a row mean nothing: that many canary messages in a row must be refused that
 * chance alone would do it less than once in a thousand times. `mostInARow` bounds it.
 */
const chance = 0.001;
const mostInARow = 20;
/** Messages after which the old ones count half. */
const windowMessages = 2_000;

/** `inARow(class)` → how many canary messages must be refused in a row; 0 if the others show nothing. */
const luaInARow = `${luaOwnShare}
local function inARow(class)
  local share = ownShare(refusals, stats, class)
  if share == 0 then return 0 end
  return math.min(${mostInARow}, math.ceil(math.log(${chance}) / math.log(share)))
end
`;

/** `noteOwn(class)`: counts a message that was refused individually. */
const luaNoteOwn = `
local function noteOwn(class)
  local sent = tonumber(redis.call('HGET', stats, 'sent') or '0')
  redis.call('HSETNX', refusals, 'ownSent', sent)
  redis.call('HINCRBY', refusals, 'own:' .. class, 1)
  local from = tonumber(redis.call('HGET', refusals, 'ownSent'))
  if sent - from > ${windowMessages} or sent < from then
    redis.call('HSET', refusals, 'ownSent', sent - math.floor(math.max(0, sent - from) / 2))
    for _, each in ipairs({ 'fault', '5', '4' }) do
      local own = tonumber(redis.call('HGET', refusals, 'own:' .. each) or '0')
      redis.call('HSET', refusals, 'own:' .. each, math.floor(own / 2))
    end
  end
  redis.call('PEXPIRE', refusals, ${keepRefusalsMs})
end
`;

/**
 * A message that returns to the front is tried again. Refused alike, it is no evidence against the connector: refused each time, it would
 * stop the lane for those behind it. After a refusal that was attributed to it, the next one is its own. A server that throttled in the
 * last minutes refuses some messages twice by chance: there, and after a fault that it has shown, a return counts as one of `hearings`.
 */
const hearings = 4;
const throttlingMs = 300_000;

/** `isThrottling(alike)` needs `now` and `refusals`. */
const luaIsThrottling = `
local function isThrottling(alike)
  local row = redis.call('HMGET', refusals, 'alike', 'alikeAt')
  return row[1] == alike and now - tonumber(row[2] or '0') < ${throttlingMs}
end
`;

/**
 * Notes a refusal and says whose it is, as far as the others show: `own` is the message's, `fault` the connector's, `again` that
 * of the fault which this message has shown already, `aside` unknown. Where it is unknown, one waiting message of the lane is
 * called to the front: the canary message. `class` is `fault`, `5` or `4`. → [verdict, refusals of this message in a row].
 *
 * The hash holds `m:ID` for each refusal, `c:JOB` for each canary message that was called, `alone` for the time of a refusal after
 * which no message waited (the next message that begins is the canary), and `ok` for when the latest accepted attempt began.
 */
export const accuseScript = script(
  {
    keys: ['attribution', 'faults', 'rowKey', 'wait', 'prioritized', 'refusals', 'stats'],
    args: ['id', 'job', 'alike', 'class', 'atSender', 'reply', 'holdMs', 'keepMs', 'random'],
    allowOom: true,
  },
  /* lua */ `${luaNow}${luaCallToFront}${luaInARow}${luaIsThrottling}
local row = redis.call('HMGET', rowKey, 'begun', 'attributed', 'aside', 'again')
local begun = tonumber(row[1] or '0')
local mine, others = nil, {}
local alone, called = 0, false
local fields = redis.call('HGETALL', attribution)
for i = 1, #fields, 2 do
  local kind, name = string.match(fields[i], '^(%a+):?(.*)$')
  if kind == 'm' then
    local note = cjson.decode(fields[i + 1])
    if name == id then mine = note else others[#others + 1] = { name = name, note = note } end
  elseif kind == 'c' then called = called or name == job
  elseif kind == 'alone' then alone = tonumber(fields[i + 1]) end
end
local heard = row[2] == alike and tonumber(row[4] or '${hearings - 1}') or 0
local before = mine or (row[3] and cjson.decode(row[3])) or { n = 0, first = now }
local note = { at = now, first = before.first, n = before.n + 1, alike = alike, class = class, reply = reply,
  canary = called or (alone > 0 and begun > alone) or before.canary or nil, back = before.back, late = before.late, heard = heard > 0 or nil }
if called then redis.call('HDEL', attribution, 'c:' .. job) end
if alone > 0 and begun > alone then redis.call('HDEL', attribution, 'alone') end

local function write(name, value)
  redis.call('HSET', attribution, 'm:' .. name, cjson.encode(value))
end
local function finish(verdict)
  if verdict == 'own' then redis.call('HDEL', rowKey, 'aside')
  else redis.call('HSET', rowKey, 'aside', cjson.encode({ first = note.first, n = note.n, canary = note.canary })) end
  if mine or #others < ${maxNotes} then write(id, note) end
  redis.call('PEXPIRE', attribution, keepMs)
  return { verdict, note.n }
end

local function call()
  local canary = callToFront(wait, prioritized, tonumber(random))
  if canary then redis.call('HSET', attribution, 'c:' .. canary, string.format('%.0f', now)) end
  return canary
end

local inForce = redis.call('HMGET', faults, 'within', 'by', 'alike')
if inForce[1] and (inForce[3] == alike or (inForce[1] == 'any' and class == '5')) then
  note.back = true
  -- The next probe is another message, at random: those that the server would take are not behind all that it refuses.
  call()
  if inForce[2] == id or heard >= ${hearings - 1} then return finish('again') end
  redis.call('HSET', faults, 'by', id)
  return finish('fault')
end
-- The same again, after others were accepted. That says nothing about the connector.
if heard >= ${hearings - 1} then
  redis.call('HDEL', rowKey, 'aside')
  redis.call('HDEL', attribution, 'm:' .. id)
  return { 'own', note.n }
end

local same, any = { count = 1, canaries = note.canary and 1 or 0 }, { count = 1, canaries = note.canary and 1 or 0 }
local function count(group, other)
  group.count = group.count + 1
  if other.canary then group.canaries = group.canaries + 1 end
end
for _, other in ipairs(others) do
  if other.note.alike == alike and not other.note.heard then count(same, other.note) end
  if other.note.class == class and not other.note.heard then count(any, other.note) end
end
local run = inARow(class)
local function enough(group, needed, canaries)
  if atSender == '1' and class ~= '5' then canaries = 0 end
  return group.count >= math.max(needed, run) and group.canaries >= math.max(canaries, run)
end
local how
if heard > 0 then how = nil
elseif class == 'fault' then how = enough(same, ${fault.alike}, ${fault.canaries}) and 'alike'
elseif class == '4' then how = enough(same, ${temporary.alike}, ${temporary.canaries}) and 'alike'
else
  how = enough(same, ${permanent.alike}, ${permanent.canaries}) and 'alike'
    or enough(any, ${permanent.any}, ${permanent.anyCanaries}) and 'any'
end
if how then
  note.back = true
  for _, other in ipairs(others) do
    if other.note.alike == alike or (how == 'any' and other.note.class == class) then
      other.note.back = true
      write(other.name, other.note)
    end
  end
  redis.call('HSET', faults, 'within', how, 'by', id, 'alike', alike)
  if alike == 'fault throttled' or class == '4' then
    redis.call('HSET', refusals, 'alike', alike, 'alikeAt', string.format('%.0f', now))
    redis.call('PEXPIRE', refusals, ${keepRefusalsMs})
  end
  call()
  return finish('fault')
end
if not call() then redis.call('HSET', attribution, 'alone', string.format('%.0f', now)) end
-- A temporary refusal is put off by its own schedule: nothing hangs on whose it is.
if class == '4' and not isThrottling(alike) then return finish('own') end
if class == '5' and now - note.first >= tonumber(holdMs) then
  note.late = true
  return finish('own')
end
return finish('aside')
`,
);

/**
 * An answer that comes later than this, in ms, leaves open whether the server has changed its mind meanwhile: in a lane with a message
 * in ten minutes, it may have refused all mail until then. The message gets a second hearing.
 */
const soonMs = 5_000;

/**
 * Returns to the front of the lane, in the order of their refusals, the messages whose refusals are answered: an attempt that began
 * later was accepted. Those whose refusals were the connector's (`back`) come back as they are, the others with the refusal
 * attributed to them. Mode `page`: every one comes back as it is; `all`: and all is forgotten. `rows` and `jobs` are keys of the messages
 * `names` (id and job id in turn). One that is not delayed yet, or is being tried, stays for the next time. → [returned, attributed].
 */
export const answerScript = script(
  {
    keys: ['attribution', 'delayed', 'wait', 'refusals', 'stats'],
    moreKeys: 'rowsAndJobs',
    args: ['mode'],
    moreArgs: 'names',
    allowOom: true,
  },
  /* lua */ `${luaNow}${luaReturnToFront}${luaNoteOwn}${luaIsThrottling}
local ok = tonumber(redis.call('HGET', attribution, 'ok') or '0')
local due, attributed = {}, 0
for i = 1, #names, 2 do
  local field = 'm:' .. names[i]
  local text = redis.call('HGET', attribution, field)
  local note = text and cjson.decode(text)
  if note and (mode ~= 'answered' or note.at < ok) then
    local row = redis.call('HMGET', rowsAndJobs[i], 'aside', 'state')
    -- One that has ended meanwhile, as a cancelled one has, is not touched any more.
    local waits = row[1] and (row[2] == 'deferred' or row[2] == 'sending')
    -- Put off by its own schedule before others showed that it was the connector's: its attempt does not count.
    local counted = not row[1] and note.class == '4' and note.back and row[2] == 'deferred'
    waits = waits or counted
    if waits then
      due[#due + 1] = { field = field, note = note, row = rowsAndJobs[i], jobKey = rowsAndJobs[i + 1], job = names[i + 1],
        counted = counted }
    else
      redis.call('HDEL', attribution, field)
      if mode == 'answered' and note.class == '4' and not note.back then noteOwn('4') end
    end
  end
end
-- The last to be put at the front is the first to be taken.
table.sort(due, function(a, b)
  if a.note.first ~= b.note.first then return a.note.first > b.note.first end
  return a.job > b.job
end)
-- → how often it was heard before its next try.
local function hear(row, alike, by)
  if redis.call('HGET', row, 'attributed') ~= alike then redis.call('HDEL', row, 'again') end
  redis.call('HSET', row, 'attributed', alike)
  return redis.call('HINCRBY', row, 'again', by)
end
local returned = 0
for _, each in ipairs(due) do
  if returnToFront(delayed, wait, each.jobKey, each.job) then
    returned = returned + 1
    redis.call('HSET', each.row, 'retryAt', '')
    redis.call('HDEL', each.row, 'aside')
    redis.call('HDEL', attribution, each.field)
    if each.counted then redis.call('HINCRBY', each.row, 'attempts', -1) end
    local note = each.note
    if mode == 'answered' and note.back then
      if hear(each.row, note.alike, 1) == ${hearings - 1} then noteOwn(note.class) end
    elseif mode == 'answered' then
      attributed = attributed + 1
      noteOwn(note.class)
      if note.class ~= '5' or ok - note.at > ${soonMs} then
        hear(each.row, note.alike, isThrottling(note.alike) and 1 or ${hearings - 1})
      else
        -- It is not tried a second time: this was its attempt.
        redis.call('HSET', each.row, 'attributed', note.alike)
        redis.call('HDEL', each.row, 'again')
        redis.call('HINCRBY', each.row, 'attempts', 1)
      end
    end
  end
end
-- What was called for an answered refusal shows nothing any more.
local left = false
local fields = redis.call('HGETALL', attribution)
for i = 1, #fields, 2 do
  if string.sub(fields[i], 1, 2) == 'm:' then left = true
  elseif fields[i] ~= 'ok' and tonumber(fields[i + 1]) < ok then redis.call('HDEL', attribution, fields[i]) end
end
if mode == 'all' or not left then redis.call('DEL', attribution) end
return { returned, attributed }
`,
);
