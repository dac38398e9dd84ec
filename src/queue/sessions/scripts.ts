/**
 * The Lua of session leases: how many connections to a connector's server each worker may have, kept where all of them see it.
 *
 *   sessions              ZSET worker → until when it counts as alive, in ms; and two marks:
 *                         `*heard` when a worker last called, `*spared` until when no worker counts as dead
 *   sessions:<connector>  HASH worker → leases that it holds
 *
 * A worker's leases count as long as it is alive, so those of one that was killed free themselves. Every number is written as
 * a whole, never added to: a step that was done twice, or whose answer got lost, does no harm.
 */
import { luaNow, script } from '../lua/script.ts';

/** `held` is the connector's hash. */
const connectorKeys = ['sessions', 'held'] as const;

/** Old connectors' hashes end by themselves; no session lives as long (100 messages, 30 s of idleness). */
const dayMs = 86_400_000;

/**
 * The worker counts as alive for one more lifetime. → `expired`, 1 if it did not count as alive any more. Where no worker was
 * heard for most of a lifetime, Redis was away or the fleet stood still: workers whose time ended meanwhile may be alive with
 * open connections, and get one more lifetime.
 */
const luaTouch = `${luaNow}
local ttl = tonumber(lifetimeMs)
local heard = tonumber(redis.call('ZSCORE', sessions, '*heard') or now)
if now - heard > ttl * 2 / 3 then redis.call('ZADD', sessions, now + ttl, '*spared') end
local till = tonumber(redis.call('ZSCORE', sessions, worker) or '0')
local expired = 0
if till <= now then expired = 1 end
redis.call('ZADD', sessions, now, '*heard', now + ttl, worker)
`;

/** → expired. Also forgets workers that have been dead for a day. */
export const heartbeatScript = script(
  { keys: ['sessions'], args: ['worker', 'lifetimeMs'], allowOom: true },
  /* lua */ `${luaTouch}
redis.call('ZREMRANGEBYSCORE', sessions, '-inf', now - ${dayMs})
return expired
`,
);

/**
 * `wanted` is how many leases the worker would hold, `limit` how many there are: fewer while the server throttles, as an idle
 * session counts there like any other. → [1 if it may, expired].
 */
export const acquireScript = script(
  { keys: [...connectorKeys, 'faults'], args: ['worker', 'lifetimeMs', 'wanted', 'limit'], allowOom: true },
  /* lua */ `${luaTouch}
local spared = tonumber(redis.call('ZSCORE', sessions, '*spared') or '0')
local others = 0
local holders = redis.call('HGETALL', held)
for i = 1, #holders, 2 do
  if holders[i] ~= worker then
    local alive = tonumber(redis.call('ZSCORE', sessions, holders[i]) or '0')
    if alive > now or spared > now then others = others + tonumber(holders[i + 1])
    else redis.call('HDEL', held, holders[i]) end
  end
end
local level = tonumber(redis.call('HGET', faults, 'level') or limit)
if others + tonumber(wanted) > math.min(tonumber(limit), math.max(1, math.floor(level))) then return { 0, expired } end
redis.call('HSET', held, worker, wanted)
redis.call('PEXPIRE', held, ${dayMs})
return { 1, expired }
`,
);

/** Writes how many leases a worker holds, whatever the others do, and tells them. → expired. */
export const reportScript = script(
  { keys: connectorKeys, args: ['worker', 'lifetimeMs', 'count', 'channel', 'message'], allowOom: true },
  /* lua */ `${luaTouch}
if tonumber(count) > 0 then
  redis.call('HSET', held, worker, count)
  redis.call('PEXPIRE', held, ${dayMs})
else redis.call('HDEL', held, worker) end
redis.call('PUBLISH', channel, message)
return expired
`,
);

/** Asks the worker that holds most leases to end an idle session. The message goes out with that worker's name behind it. */
export const recallScript = script(
  { keys: connectorKeys, args: ['worker', 'lifetimeMs', 'channel', 'message'], allowOom: true },
  /* lua */ `${luaTouch}
local most = 0
local names = {}
local holders = redis.call('HGETALL', held)
for i = 1, #holders, 2 do
  local count = tonumber(holders[i + 1])
  if holders[i] ~= worker and count >= most then
    if count > most then names = {} end
    most = count
    names[#names + 1] = holders[i]
  end
end
if most == 0 then return { 0, expired } end
redis.call('PUBLISH', channel, message .. ' ' .. names[now % #names + 1])
return { 1, expired }
`,
);
