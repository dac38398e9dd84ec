/**
 * A backlog of any size within seconds: the product itself makes one message wait, and every key and entry that names it
 * is then copied within Redis. So this file knows nothing of the product's keys.
 */
import type { Redis } from 'ioredis';

/** What differs in each copy of the template. Both are letters and digits that occur nowhere else. */
interface Template {
  /** Its id, with seven zeros where the copies have their number. */
  readonly id: string;
  /** Replaced by `x00` … `x09` in turns, so that ten connectors get their share; null leaves all copies with one. */
  readonly connector: string | null;
}

export interface Backlog {
  /** Adds that many copies of the template. */
  add(count: number): Promise<void>;
}

/** Copies per script: some 20 ms of Redis' time. */
const portion = 1_000;

/**
 * ARGV: id, connector or '', first number, count, and then keys. The template is read once and cut at its replacements, as
 * searching 4 KiB for each of a million copies would take minutes.
 */
const copyScript = `
local id, connector, first, count = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local function cut(text)
  local pieces, from = {}, 1
  while true do
    local at, to, what = text:find(id, from, true)
    if connector ~= '' then
      local other, otherTo = text:find(connector, from, true)
      if other and (not at or other < at) then at, to, what = other, otherTo, 'connector' end
    end
    if not at then break end
    pieces[#pieces + 1] = { text:sub(from, at - 1), what or 'id' }
    from = to + 1
  end
  pieces[#pieces + 1] = { text:sub(from), '' }
  return pieces
end
local found = {}
for index = 5, #ARGV do
  local key = ARGV[index]
  local kind = redis.call('TYPE', key).ok
  local entry = { key = key, kind = kind }
  if key:find(id, 1, true) then
    entry.copy = cut(key)
    entry.fields = {}
    local values = kind == 'hash' and redis.call('HGETALL', key) or { redis.call('GET', key) }
    for index, value in ipairs(values) do entry.fields[index] = cut(value) end
  elseif kind == 'zset' then entry.score = redis.call('ZSCORE', key, id) end
  found[#found + 1] = entry
end
for number = first, first + count - 1 do
  local put = { id = id:gsub('0000000', string.format('%07d', number)), connector = string.format('x%02d', number % 10), [''] = '' }
  local function joined(pieces)
    local text = ''
    for _, piece in ipairs(pieces) do text = text .. piece[1] .. put[piece[2]] end
    return text
  end
  for _, entry in ipairs(found) do
    if entry.copy then
      local fields = {}
      for index, field in ipairs(entry.fields) do fields[index] = joined(field) end
      redis.call(entry.kind == 'hash' and 'HSET' or 'SET', joined(entry.copy), unpack(fields))
    elseif entry.score then redis.call('ZADD', entry.key, entry.score, put.id)
    elseif entry.kind == 'list' then redis.call('LPUSH', entry.key, put.id)
    elseif entry.kind == 'set' then redis.call('SADD', entry.key, put.id) end
  end
end`;

/** Searches all keys for the template, so there should be few. */
export async function prepareBacklog(redis: Redis, { id, connector }: Template): Promise<Backlog> {
  const keys: string[] = [];
  for (const key of await redis.keys('*')) if (await names(redis, key, id)) keys.push(key);
  if (keys.length < 2) throw new Error(`${id} is not waiting: only ${keys.join(', ') || 'nothing'} names it`);
  let made = 0;
  return {
    async add(count) {
      const end = made + count;
      while (made < end) {
        const some = Math.min(portion, end - made);
        await redis.eval(copyScript, 0, id, connector ?? '', made + 1, some, ...keys);
        made += some;
      }
    },
  };
}

async function names(redis: Redis, key: string, id: string): Promise<boolean> {
  switch (await redis.type(key)) {
    case 'list':
      return (await redis.lpos(key, id)) !== null;
    case 'zset':
      return (await redis.zscore(key, id)) !== null;
    case 'set':
      return (await redis.sismember(key, id)) === 1;
    case 'hash':
    case 'string':
      return key.includes(id);
    default:
      return false;
  }
}
