/**
 * Counters in Redis. A turn adds up what its scripts count, and writes each counter once at its end; a script that runs alone writes at
 * once. A hash of counters is bounded and ends by itself.
 */

/** Fields of a hash of counters. What is beyond is counted in the field `other`. */
const mostFields = 1_000;

/**
 * `addTally(key, field, n, ttl)`: a hash that is new ends after `ttl` seconds. A field is new if what it has is what was added; only then
 * the bound is looked at, and the time of the hash set.
 */
const luaAddTally = `
local function addTally(key, field, n, ttl)
  if redis.call('HINCRBY', key, field, n) ~= n then return end
  local fields = redis.call('HLEN', key)
  if fields == 1 then redis.call('EXPIRE', key, ttl) end
  if fields > ${mostFields} and field ~= 'other' then
    redis.call('HDEL', key, field)
    redis.call('HINCRBY', key, 'other', n)
  end
end
`;

/** `tally(key, field, ttl)`: one more. */
export const luaTally = `${luaAddTally}
local function tally(key, field, ttl) addTally(key, field, 1, ttl) end
`;

/** The same within a turn, whose end calls `writeTallies()`. */
export const luaTallyInTurn = `${luaAddTally}
local tallies = {}
local function tally(key, field, ttl)
  local counted = tallies[key]
  if not counted then
    counted = { ttl = ttl, fields = {} }
    tallies[key] = counted
  end
  counted.fields[field] = (counted.fields[field] or 0) + 1
end
local function writeTallies()
  for key, counted in pairs(tallies) do
    for field, n in pairs(counted.fields) do addTally(key, field, n, counted.ttl) end
  end
end
`;
