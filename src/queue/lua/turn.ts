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

/**
 * For a script that takes jobs: `once.again` are the ids that it took when the turn ran before, nil if it did not; `once.taken` are
 * to be those that it takes now. A script that runs alone takes others each time. `once.bytes` counts what the takes of a turn gave.
 */
export const luaOnce = `local once = { bytes = 0 }
`;

/**
 * `later(command, key, …)`: a write that nothing in a turn depends on, and that takes several members: those of one key are written
 * together, at the end of the turn. A script that runs alone writes at once.
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
  for _, value in ipairs({ ... }) do values[#values + 1] = value end
end
local function writeLater()
  for _, each in ipairs(laterKeys) do
    -- A stranger's job may stand in the place of BullMQ's set, and is no fault of the messages in this turn.
    local call = each[1] == 'SREM' and redis.pcall or redis.call
    call(each[1], unpack(laterValues[each[2]]))
  end
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
 * inputs, each after those that it calls; the turn has them once. → for each 1 and its answer, or 0 and what went wrong.
 */
export function luaTurn(parts: readonly Lua[], shared: readonly string[]): string {
  return `${luaNow}${luaOnce}${luaLaterInTurn}${shared.join('')}
local packed = cmsgpack.unpack(inputs)
local parts = {}
${parts.map((part, index) => luaPart(part, index, shared)).join('')}
local before = turn ~= '0' and redis.call('GET', note)
local taken = before and cjson.decode(before)
local again = taken and taken.turn == turn and taken.ids or {}
local ids, any = {}, false
local answers, nth = {}, 0
local at, last = 0, #packed
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
if any then redis.call('SET', note, cjson.encode({ turn = turn, ids = ids }), 'PX', ${noteMs}) end
return answers
`;
}

/** A script as a function of where its inputs begin and end. Redis' time is that of the turn. */
function luaPart(part: Lua, index: number, shared: readonly string[]): string {
  const { keys, args = [], moreKeys, moreArgs } = part.shape;
  const body = [luaNow, luaOnce, luaLater, ...shared].reduce((text, piece) => text.replaceAll(piece, ''), part.body);
  const ends = moreKeys === undefined ? (moreArgs === undefined ? '' : ', lastArg') : ', lastArg, lastKey';
  return `parts[${index + 1}] = function(k, a${ends})
${named(keyAt, 'k', keys)}${named(argAt, 'a', args)}${rest(keyAt, 'k', keys.length, 'lastKey', moreKeys)}${rest(argAt, 'a', args.length, 'lastArg', moreArgs)}${body}
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
