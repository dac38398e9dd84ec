/**
 * How many messages a connector may have on its way at once while its server throttles: Lua over the hash of its faults, so for
 * the whole fleet, and not read while no server throttles.
 *
 * As in Postfix's queue manager (SCHEDULER_README, "concurrency feedback"): what was too much goes down at once, and each mail
 * that is taken is worth 1/N of a step up, so that it takes as many successes as there are sessions for one more. Postfix
 * measured what that is worth, at a server with a limit of 5: 16.5 % deferred instead of 49.7 % with whole steps up.
 *
 *   level      as many as the server seems to bear; missing: the configured number
 *   bad        as many as were too much; not tried again before `holdUntil`, if mail was taken beside what was refused
 *   burst      until then refusals are of the same burst: each is one session too many
 *
 * A refusal costs a pause of the whole lane, so the number that was too much is tried again only after ten times that pause,
 * and later each time that it fails. Where everything was refused (the server restarts, the pace was too fast), nothing is
 * known of a number: one at a time, then one step up after the other.
 */

/** Pauses that `bad` is held for at first; doubled each time it fails. */
const holdPauses = 10;

/** After a refusal, of `tried` that were on their way. Needs `now`. → the level. */
export const luaDecrease = `
local function decrease(key, configured, tried, pause, longestHold)
  local row = redis.call('HMGET', key, 'level', 'bad', 'burst', 'hold', 'okAt')
  local level = math.min(tonumber(row[1] or configured), configured)
  local bad, burst, hold = tonumber(row[2] or '0'), tonumber(row[3] or '0'), tonumber(row[4] or '0')
  if now < burst then
    level = math.max(1, math.floor(level) - 1)
    bad = level + 1
  else
    if tried > 1 then
      tried = math.min(math.floor(level), tried)
      level = math.max(1, tried - 1)
      bad = level + 1
      hold = math.min(longestHold, math.max(2 * hold, ${holdPauses} * pause))
      local served = now - tonumber(row[5] or '0') <= pause and 1 or 0
      redis.call('HSET', key, 'served', served)
    elseif not row[1] then level = 1 end
    burst = now + pause
  end
  redis.call('HSET', key, 'level', string.format('%.3f', level), 'configured', configured, 'bad', bad,
    'burst', string.format('%.0f', burst), 'hold', string.format('%.0f', hold), 'holdUntil', string.format('%.0f', burst + hold))
  return math.floor(level)
end
`;

/** After a mail that was taken; ends the faults. → 'recovered' if there were any, 'raised' if one more may go, else 'ok'. */
export const luaIncrease = `
local function increase(key)
  local row = redis.call('HMGET', key, 'faults', 'level', 'configured', 'bad', 'burst', 'holdUntil', 'served')
  if not row[2] then
    redis.call('DEL', key)
    return 'recovered'
  end
  local clock = redis.call('TIME')
  local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
  local level, configured, bad, burst, holdUntil = unpack(row, 2, 6)
  level, configured, bad = tonumber(level), tonumber(configured), tonumber(bad)
  local before, hold = math.floor(level), nil
  if now < tonumber(burst) then
    -- It had begun before the server refused others: it bears some.
    redis.call('HSET', key, 'served', 1)
  else
    if row[7] ~= '1' then bad = 0 end
    level = level + 1 / before + 0.001
    if bad > 0 and math.floor(level) >= bad then
      -- A little below, so that the first success after the hold is the step.
      if now < tonumber(holdUntil) then level = bad - 0.005
      -- A whole round at what was too much once, and nothing was refused: it is not any more.
      elseif math.floor(level) > bad then bad, hold = 0, 0 end
    end
    if level >= configured and (bad == 0 or bad > configured) then
      redis.call('DEL', key)
      return row[1] and 'recovered' or 'raised'
    end
  end
  redis.call('HSET', key, 'level', string.format('%.3f', level), 'bad', bad, 'okAt', string.format('%.0f', now))
  if hold then redis.call('HSET', key, 'hold', hold) end
  if row[1] then
    redis.call('HDEL', key, 'faults', 'fault', 'reply', 'since', 'brokenSince', 'until', 'within', 'by', 'alike')
    return 'recovered'
  end
  return math.floor(level) > before and 'raised' or 'ok'
end
`;

/** How many may be on their way now: one while there are faults, else the level, else the configured number. */
export const luaInForce = `
local function inForce(key, configured)
  local row = redis.call('HMGET', key, 'faults', 'level')
  if row[2] then redis.call('HSET', key, 'configured', configured) end
  if row[1] then return 1 end
  if row[2] then return math.min(configured, math.max(1, math.floor(tonumber(row[2])))) end
  return configured
end
`;
