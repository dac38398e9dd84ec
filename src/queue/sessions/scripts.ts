/**
 * The Lua of session leases: how many connections to a connector's server each worker may have, kept where all of them see it.
 *
 *   sessions              ZSET worker → until when it counts as alive, in ms; and two marks:
 *                         `*heard` when anybody last spoke, `*spared` until when nobody counts as dead
 *   sessions:<connector>  HASH worker → leases that it holds
 *
 * A worker's leases count as long as it is alive, so those of one that was killed free themselves. Every number is written as
 * a whole, never added to: a step that was done twice, or whose answer got lost, does no harm.
 */
import { luaNow, script } from '../lua/script.ts';

/** Old connectors' hashes end by themselves; no session lives as long (100 messages, 30 s of idleness). */
const dayMs = 86_400_000;

/**
 * ARGV[1] is the worker, ARGV[2] its lifetime in ms; → `lapsed`, 1 if it did not count as alive any more. Silence of everybody
 * is Redis' own (it was away), or the fleet's: whose time ended in it may be alive all the same, with its connections open,
 * and gets one more lifetime to speak.
 */
const speak = `${luaNow}
local ttl = tonumber(ARGV[2])
local heard = tonumber(redis.call('ZSCORE', KEYS[1], '*heard') or now)
if now - heard > ttl * 2 / 3 then redis.call('ZADD', KEYS[1], now + ttl, '*spared') end
local till = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or '0')
local lapsed = 0
if till <= now then lapsed = 1 end
redis.call('ZADD', KEYS[1], now, '*heard', now + ttl, ARGV[1])
`;

/** KEYS: sessions. ARGV: worker, lifetime. → lapsed. Also forgets workers that have been dead for a day. */
export const beatScript = script(`${speak}
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ${dayMs})
return lapsed
`);

/**
 * KEYS: sessions, the connector's, the connector's faults. ARGV: worker, lifetime, leases that it would hold, how many there
 * are: fewer while the server throttles, as an idle session counts there like any other. → [1 if it may, lapsed].
 */
export const acquireScript = script(`${speak}
local spared = tonumber(redis.call('ZSCORE', KEYS[1], '*spared') or '0')
local others = 0
local held = redis.call('HGETALL', KEYS[2])
for i = 1, #held, 2 do
  if held[i] ~= ARGV[1] then
    local alive = tonumber(redis.call('ZSCORE', KEYS[1], held[i]) or '0')
    if alive > now or spared > now then others = others + tonumber(held[i + 1])
    else redis.call('HDEL', KEYS[2], held[i]) end
  end
end
local level = tonumber(redis.call('HGET', KEYS[3], 'level') or ARGV[4])
if others + tonumber(ARGV[3]) > math.min(tonumber(ARGV[4]), math.max(1, math.floor(level))) then return { 0, lapsed } end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
redis.call('PEXPIRE', KEYS[2], ${dayMs})
return { 1, lapsed }
`);

/**
 * Writes how many leases a worker holds, whatever the others do, and tells them. KEYS: sessions, the connector's.
 * ARGV: worker, lifetime, leases, channel, message. → lapsed.
 */
export const holdScript = script(`${speak}
if tonumber(ARGV[3]) > 0 then
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
  redis.call('PEXPIRE', KEYS[2], ${dayMs})
else redis.call('HDEL', KEYS[2], ARGV[1]) end
redis.call('PUBLISH', ARGV[4], ARGV[5])
return lapsed
`);

/**
 * Asks the worker that holds most leases to end an idle session. KEYS: sessions, the connector's. ARGV: worker, lifetime,
 * channel, message. The message goes out with the name of the worker behind it.
 */
export const recallScript = script(`${speak}
local most = 0
local names = {}
local held = redis.call('HGETALL', KEYS[2])
for i = 1, #held, 2 do
  local count = tonumber(held[i + 1])
  if held[i] ~= ARGV[1] and count >= most then
    if count > most then names = {} end
    most = count
    names[#names + 1] = held[i]
  end
end
if most == 0 then return 0 end
redis.call('PUBLISH', ARGV[3], ARGV[4] .. ' ' .. names[now % #names + 1])
return 1
`);
