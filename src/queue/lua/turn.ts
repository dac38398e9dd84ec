/**
 * Several scripts as one. A script costs Redis and a worker more than the commands in it, so what a worker wants of a shard within one
 * turn of its event loop goes there in one script: a turn. Each script of a turn is a function in it, with its own inputs and its own
 * answer, and an error in one does not stop the others.
 *
 * A turn may reach Redis twice: the connection breaks before the answer comes, and the command is sent again. Scripts that check
 * before they write bear that. One that takes jobs would take others the second time, so the turn notes what it took, and
 * gives the same once more.
 */
import { luaNow, type Lua, type ScriptShape } from './script.ts';
import { luaTally, luaTallyInTurn } from './tally.ts';

/**
 * For a script that takes jobs: `once.again` are the ids that it took when the turn ran before, nil if it did not; `once.taken` are
 * to be those that it takes now. A script that runs alone takes others each time. `once.bytes` counts what the takes of a turn gave.
 */
export const luaOnce = `local once = { bytes = 0 }
`;

/**
 * `later(command, key, …)`: a write that nothing in a turn depends on, and that takes several members: those of one key are written
 * together, at the end of the turn. HINCRBY is for one field of a key. A script that runs alone writes at once.
 */
export const luaLater = `
local function later(command, key, ...) redis.call(command, key, ...) end
`;

/** The same within a turn. What is deleted goes together, whatever it is. A step has at most some thousand values (LUAI_MAXCSTACK). */
const luaLaterInTurn = `
local laterKeys, laterValues = {}, {}
local function later(command, key, ...)
  local name = command == 'DEL' and command or command .. key
  local values = laterValues[name]
  if not values then
    values = command == 'DEL' and {} or { key }
    laterKeys[#laterKeys + 1], laterValues[name] = { command, name }, values
  end
  if command == 'DEL' then values[#values + 1] = key end
  if command == 'HINCRBY' then
    local field, by = ...
    values[2], values[3] = field, (values[3] or 0) + by
    return
  end
  for _, value in ipairs({ ... }) do values[#values + 1] = value end
end
local function writeLater()
  for _, each in ipairs(laterKeys) do
    -- A stranger's job may stand in the place of a key of BullMQ's, and is no fault of the messages in this turn.
    redis.pcall(each[1], unpack(laterValues[each[2]]))
  end
end
`;

/**
 * What a script asks of keys that others in its turn ask for, too. `valueOf(key)` → its value, false if there is none; `isThere(key)`;
 * `lengthOf(list)`. Who writes says so: `wrote(key, value)`, where a value is given or false if the key is deleted, and `grew(list, by)`.
 * A script that runs alone asks each time.
 */
export const luaMemo = `
local memo = {}
function memo.valueOf(key) return redis.call('GET', key) end
function memo.isThere(key) return redis.call('EXISTS', key) == 1 end
function memo.lengthOf(list) return redis.call('LLEN', list) end
function memo.wrote() end
function memo.grew() end
`;

/** The same within a turn, which asks first for all that its scripts will ask for. Most of what is seldom there is not there. */
const luaMemoInTurn = `
local memo = {}
local values, absent, lengths = {}, {}, {}
function memo.valueOf(key)
  if values[key] == nil then values[key] = redis.call('GET', key) end
  return values[key]
end
function memo.isThere(key)
  if not absent[key] then absent[key] = redis.call('EXISTS', key) == 0 end
  return not absent[key]
end
function memo.lengthOf(list)
  if not lengths[list] then lengths[list] = redis.call('LLEN', list) end
  return lengths[list]
end
function memo.wrote(key, value) values[key], absent[key] = value, value == false end
function memo.grew(list, by)
  if lengths[list] then lengths[list] = lengths[list] + by end
end
local function areAbsent(keys)
  if #keys == 0 or redis.call('EXISTS', unpack(keys)) > 0 then return false end
  for _, key in ipairs(keys) do absent[key] = true end
  return true
end
local function askFirst(wanted, seldom, byName)
  if #wanted > 0 then
    local found = redis.call('MGET', unpack(wanted))
    for i, key in ipairs(wanted) do values[key] = found[i] end
  end
  if areAbsent(seldom) then return end
  for _, keys in pairs(byName) do areAbsent(keys) end
end
`;

/** How long it is noted what a turn took, in ms: longer than a connection takes to come back. */
const noteMs = 120_000;

/**
 * The key in which it is noted; the keys of the scripts follow it, each once. The turn's number: 0 where no script of it takes jobs. The
 * inputs, packed (packing.ts): for each script its place in `parts`, the numbers of its keys and arguments, the places of the keys in
 * KEYS, and the arguments.
 */
export const turnShape = { keys: ['note'], args: ['turn', 'inputs'], allowOom: true } as const satisfies ScriptShape;

/**
 * The Lua of a turn. `shared`: functions that need nothing of a script's
 * inputs, each after those that it calls; the turn has them once. `settings`: of those, functions of a key that nothing in a turn
 * writes; each is asked once for a key. → for each 1 and its answer, or 0 and what went wrong.
 */
export function luaTurn(parts: readonly Lua[], shared: readonly string[], settings: readonly string[]): string {
  return `${luaNow}${luaOnce}${luaLaterInTurn}${luaMemoInTurn}${luaTallyInTurn}${shared.join('')}${settings.map(luaRemember).join('')}
local packed = cmsgpack.unpack(inputs)
local parts, valuesOf, seldomOf = {}, {}, {}
${parts.map((part, index) => luaPart(part, index, shared)).join('')}
local wanted, seldom, byName, seen = {}, {}, {}, {}
local at, last = 0, #packed
while at < last do
  local part, k = packed[at + 1], at + 3
  for nth, behind in pairs(valuesOf[part]) do wanted[#wanted + 1] = KEYS[packed[k + nth]] .. behind end
  for nth, name in pairs(seldomOf[part]) do
    local key = KEYS[packed[k + nth]]
    if not seen[key] then
      byName[name] = byName[name] or {}
      seen[key], seldom[#seldom + 1], byName[name][#byName[name] + 1] = true, key, key
    end
  end
  at = k + packed[at + 2] + packed[k]
end
askFirst(wanted, seldom, byName)
local before = turn ~= '0' and redis.call('GET', note)
local taken = before and cjson.decode(before)
local again = taken and taken.turn == turn and taken.ids or {}
local ids, any = {}, false
local answers, nth = {}, 0
at = 0
while at < last do
  local k = at + 3
  local a = k + packed[at + 2]
  at = a + packed[k]
  nth = nth + 1
  local name = tostring(nth)
  once.again, once.taken = again[name], nil
  local ok, answer = pcall(parts[packed[k - 2]], k, a, at, a)
  if once.taken then ids[name], any = once.taken, true end
  if not ok and type(answer) == 'table' then answer = answer.err end
  answers[2 * nth - 1] = ok and 1 or 0
  answers[2 * nth] = answer or false
end
writeLater()
writeTallies()
if any then redis.call('SET', note, cjson.encode({ turn = turn, ids = ids }), 'PX', ${noteMs}) end
return answers
`;
}

/** A script as a function of where its inputs begin and end. Redis' time is that of the turn. */
function luaPart(part: Lua, index: number, shared: readonly string[]): string {
  const { keys, args = [], moreKeys, moreArgs, values = {}, seldom = [] } = part.shape;
  const at = (name: string): number => keys.indexOf(name) + 1;
  const valuesOf = Object.entries(values).map(([name, behind = '']) => `[${at(name)}] = '${behind}'`);
  const seldomOf = seldom.map((name) => `[${at(name)}] = '${name}'`);
  const body = [luaNow, luaOnce, luaLater, luaMemo, luaTally, ...shared].reduce(
    (text, piece) => text.replaceAll(piece, ''),
    part.body,
  );
  const ends = moreKeys === undefined ? (moreArgs === undefined ? '' : ', lastArg') : ', lastArg, lastKey';
  return `valuesOf[${index + 1}], seldomOf[${index + 1}] = { ${valuesOf.join(', ')} }, { ${seldomOf.join(', ')} }
parts[${index + 1}] = function(k, a${ends})
${named(keyAt, 'k', keys)}${named(argAt, 'a', args)}${rest(keyAt, 'k', keys.length, 'lastKey', moreKeys)}${rest(argAt, 'a', args.length, 'lastArg', moreArgs)}${body}
end
`;
}

/** Results of a function of settings. */
const mostResults = 4;

function luaRemember(name: string): string {
  return `do
  local ask, found = ${name}, {}
  ${name} = function(key)
    if not found[key] then found[key] = { ask(key) } end
    return unpack(found[key], 1, ${mostResults})
  end
end
`;
}

/** An input in Lua, by its place among those that are packed. */
const keyAt = (place: string): string => `KEYS[packed[${place}]]`;
const argAt = (place: string): string => `packed[${place}]`;

function named(input: (place: string) => string, from: string, names: readonly string[]): string {
  if (names.length === 0) return '';
  return `  local ${names.join(', ')} = ${names.map((_, i) => input(`${from} + ${i + 1}`)).join(', ')}\n`;
}

function rest(
  input: (place: string) => string,
  from: string,
  count: number,
  to: string,
  name: string | undefined,
): string {
  if (name === undefined) return '';
  return `  local ${name} = {}\n  for i = ${from} + ${count + 1}, ${to} do ${name}[i - ${from} - ${count}] = ${input('i')} end\n`;
}
