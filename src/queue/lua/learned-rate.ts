/**
 * The rate that a server bears, learned from its refusals: Lua over the hash of a connector's refusals, so for the whole fleet, and
 * not read while no server throttles.
 *
 * A server that counts every try starves a sender that tries again: the only way to its rate is to stay below it. What it took
 * between two times that it throttled, by the time between them, is an estimate from below; the rate at which it throttled is one
 * from above. The next rate is a little less than their geometric mean, and grows with every mail that is taken: fast until the
 * first estimate from above, slowly afterwards. It also doubles every minute, so that a wrong estimate is soon forgotten.
 *
 * Simulated for "20 in 2 s, every try counts" and Exim's strict `ratelimit`: 85 % of the rate over 200 messages, 90 % over 1,000.
 *
 *   at, sent    when the server throttled, and how many mails it had taken until then
 *   rate        messages per second from there on, missing after the first time
 *   bounded     there was an estimate from above
 *   again       how often in a row it throttled again after a few mails
 */

/** Of the estimate. */
const share = 0.95;
/** As doublings: 6 % per mail at first; later 0.2 %, and more and more while nothing is refused. */
const growth = { first: Math.log2(1.06), later: Math.log2(1.002), perSquare: 2e-5 };
/** Fewer mails are no estimate: the rate is lowered a little, the pause grows, and counting goes on. */
const fewest = 12;
const lowered = 0.95;
const doublingMs = 60_000;
/** Beyond it an earlier throttling says nothing about the rate. */
const forgetMs = 15 * 60_000;
/** Messages per second. A lower rate is a quota of hours, which only pauses can meet; a higher one needs none. */
const slowest = 0.1;
const fastest = 1_000;

/** As if so many more had been accepted: a few refusals are no ratio yet. */
const acceptedBefore = 20;
/**
 * A lane with so many refusals of messages by themselves says nothing about a rate. Where the server itself speaks of a rate, it takes
 * more: chance makes a refusal the message's whenever a mail that began later passes, and no rate would ever be learned.
 */
const mostOwn = { words: 0.5, others: 0.15 };

/** `ownShare(refusals, stats, class)` → which share of the messages is refused by itself; 0 where fewer than three were. */
export const luaOwnShare = `
local function ownShare(refusals, stats, class)
  local row = redis.call('HMGET', refusals, 'own:' .. class, 'ownSent')
  local own = tonumber(row[1] or '0')
  if own < 3 then return 0 end
  local sent = tonumber(redis.call('HGET', stats, 'sent') or '0')
  return own / (own + math.max(0, sent - tonumber(row[2] or '0')) + ${acceptedBefore})
end
`;

/** `learnedRate(refusals, stats)` → messages per second now, nil if none is in force. Needs `now`. */
export const luaLearnedRate = `
local function learnedRate(refusals, stats)
  local row = redis.call('HMGET', refusals, 'rate', 'at', 'sent', 'bounded')
  if not row[1] then return nil end
  local taken = math.max(0, tonumber(redis.call('HGET', stats, 'sent') or '0') - tonumber(row[3]))
  local doublings = math.max(0, now - tonumber(row[2])) / ${doublingMs}
  if row[4] then doublings = doublings + ${growth.later} * taken + ${growth.perSquare} * taken * taken
  else doublings = doublings + ${growth.first} * taken end
  local rate = tonumber(row[1]) * 2 ^ math.min(doublings, 40)
  if rate >= ${fastest} then return nil end
  return rate
end
`;

/**
 * `learn(refusals, stats)`: the server throttles. → the new rate, or nil. `firstPause(refusals, rate)` → ms: two messages later is soon
 * enough, and longer where that was too soon. After `luaLearnedRate` and `luaOwnShare`.
 */
export const luaLearn = `
local function learn(refusals, stats)
  local sent = tonumber(redis.call('HGET', stats, 'sent') or '0')
  local row = redis.call('HMGET', refusals, 'at', 'sent', 'rate', 'alike')
  local at, before = tonumber(row[1] or '0'), tonumber(row[2] or '0')
  local above = learnedRate(refusals, stats)
  local most = row[4] == 'fault throttled' and ${mostOwn.words} or ${mostOwn.others}
  if math.max(ownShare(refusals, stats, 'fault'), ownShare(refusals, stats, '4')) > most then return above end
  if now - at > ${forgetMs} or before > sent then
    redis.call('HDEL', refusals, 'rate', 'bounded', 'again')
  elseif sent == before then return above
  elseif above and sent - before < ${fewest} then
    redis.call('HSET', refusals, 'rate', string.format('%.6f', math.max(${slowest}, ${lowered} * tonumber(row[3]))))
    redis.call('HINCRBY', refusals, 'again', 1)
    return learnedRate(refusals, stats)
  else
    local rate = (sent - before) * 1000 / math.max(1, now - at)
    if above then rate = math.sqrt(rate * above) end
    redis.call('HSET', refusals, 'rate', string.format('%.6f', math.max(${slowest}, ${share} * rate)))
    redis.call('HDEL', refusals, 'bounded', 'again')
    if above then redis.call('HSET', refusals, 'bounded', 1) end
  end
  redis.call('HSET', refusals, 'at', string.format('%.0f', now), 'sent', sent)
  return learnedRate(refusals, stats)
end
local function firstPause(refusals, rate)
  return 2000 / rate * 1.5 ^ math.min(4, tonumber(redis.call('HGET', refusals, 'again') or '0'))
end
`;

/**
 * `withLearned(rate, max, duration)` → jobs per window as BullMQ enforces it, and whether the learned rate is the slower one. `rate`
 * may be nil.
 */
export const luaWithLearned = `
local function withLearned(rate, max, duration)
  max, duration = tonumber(max), tonumber(duration)
  if rate and rate * duration < max * 1000 then return 1, math.ceil(1000 / rate), true end
  return max, duration, false
end
`;
