/** A survey of all lanes for metrics: what each has and waits for. A page of them is one round trip; an idle lane is one number. */
import { jobFields, luaDelayedUntil, luaLimitedFor, luaLimitsOf, luaWaiting } from '../bullmq/layout.ts';
import { luaLearnedRate } from '../lua/learned-rate.ts';
import { luaNow, run, script } from '../lua/script.ts';
import type { RedisClient } from '../redis/connection.ts';
import { laneName, type ShardKeys } from '../redis/keys.ts';
import { luaWhyWaits, waitReasons, type WaitReason } from './wait-reasons.ts';

export interface LaneSurvey {
  readonly connectorId: string;
  readonly waiting: number;
  readonly active: number;
  readonly delayed: number;
  /** Of those that wait: as many as could be sent now if a worker were free. */
  readonly due: number;
  readonly paused: boolean;
  readonly waitingFor: WaitReason;
  /** Messages at once that are in force; null before any worker has set it. */
  readonly concurrency: number | null;
  /** A fault that no success has followed yet; null without one. */
  readonly fault: string | null;
  /** Its mail goes by another connector. */
  readonly onFallback: boolean;
  /** Refused, and open whose fault that is. */
  readonly setAside: number;
  /** null if none was learned. */
  readonly learnedPerSecond: number | null;
  /** Transactions that reached a recipient, since ever. */
  readonly sent: number;
  /** When the oldest waiting message was put into the lane, ms since the epoch; null if none waits. */
  readonly oldestWaitingAt: number | null;
}

const queueKeys = ['wait', 'prioritized', 'delayed', 'active', 'meta', 'limiter'] as const;
/**
 * A lane with more notes has every refusal counted, those that are no longer open and canary messages too: to read a thousand notes of
 * each lane would hold up Redis.
 */
const mostNotesRead = 200;
/** Lanes of one script: some milliseconds of Redis' time, in which it serves no other client. */
const page = 100;

/**
 * The keys of each lane follow, twelve at a time, and the beginning of the keys of its jobs. → of each lane 0 if it is idle, 1 if
 * something else stands in the place of a key, else its values in the order in which `parse` takes them. Notes of refusals are counted by their text: to decode a thousand takes too long.
 * @lua
 */
export const surveyScript = script(
  { keys: ['_anchor'], moreKeys: 'laneKeys', moreArgs: 'jobPrefixes' },
  /* lua */ `${luaNow}${luaLearnedRate}${luaWaiting}${luaDelayedUntil}${luaLimitsOf}${luaLimitedFor}${luaWhyWaits}
local function oldest(wait, prioritized, prefix)
  local first
  for _, id in ipairs({ redis.call('LINDEX', wait, -1) or '', redis.call('ZRANGE', prioritized, 0, 0)[1] or '' }) do
    local added = id ~= '' and redis.pcall('HGET', prefix .. id, '${jobFields.addedAt}')
    if type(added) == 'string' and #added <= 16 and string.find(added, '^%d+$') then
      first = math.min(first or math.huge, tonumber(added))
    end
  end
  return first and string.format('%.0f', first) or ''
end
local function setAside(attribution)
  local all = redis.call('HLEN', attribution)
  if all > ${mostNotesRead} then return all end
  local count, notes = 0, redis.call('HGETALL', attribution)
  for i = 1, #notes, 2 do
    local text = notes[i + 1]
    local counts = string.sub(notes[i], 1, 2) == 'm:' and not string.find(text, '"late":true', 1, true)
    if counts and not string.find(text, '"class":"4"', 1, true) then count = count + 1 end
  end
  return count
end
local function look(i, prefix)
  local wait, prioritized, delayed, active, meta, limiter, waitReason, refusals, stats, faults, attribution, record =
    unpack(laneKeys, i * 12 - 11, i * 12)
  local now_, later, running = waiting(wait, prioritized), redis.call('ZCARD', delayed), redis.call('LLEN', active)
  local paused, concurrency = limitsOf(meta)
  local fault = redis.call('HMGET', faults, 'faults', 'fault')
  local faulty = (tonumber(fault[1] or '0') or 0) > 0
  local away = redis.call('HEXISTS', record, 'since')
  local idle = now_ + later + running + away == 0 and not paused and not faulty and not keyMissing(stats)
  if idle then return 0 end
  local why = whyWaits(wait, prioritized, delayed, active, meta, limiter, waitReason, stats)
  local learned = learnedRate(refusals, stats)
  return { now_, running, later, paused and 1 or 0, why, concurrency or -1, faulty and (fault[2] or '') or false,
    setAside(attribution), learned and string.format('%.6f', learned) or '', redis.call('HGET', stats, 'sent') or '0',
    oldest(wait, prioritized, prefix), away }
end
local found = {}
for i, prefix in ipairs(jobPrefixes) do
  local ok, seen = pcall(look, i, prefix)
  found[i] = ok and seen or 1
end
return found
`,
);

/** Lanes of one shard. Those that are idle are left out; null for each that cannot be read. */
export async function surveyOf(
  redis: RedisClient,
  keys: ShardKeys,
  connectorIds: readonly string[],
): Promise<(LaneSurvey | null)[]> {
  const surveys: (LaneSurvey | null)[] = [];
  for (let start = 0; start < connectorIds.length; start += page) {
    const ids = connectorIds.slice(start, start + page);
    const moreKeys = ids.flatMap((id) => [
      ...queueKeys.map((name) => keys.queue(laneName(id), name)),
      keys.connectorWait(id),
      keys.refusals(id),
      keys.connectorStats(id),
      keys.connector(id),
      keys.attribution(id),
      keys.fallback(id),
    ]);
    const moreArgs = ids.map((id) => keys.queue(laneName(id), ''));
    const found = (await run(redis, surveyScript, { keys: { _anchor: keys.lanes }, moreKeys, moreArgs })) as unknown[];
    for (const [i, connectorId] of ids.entries()) {
      const values = found[i];
      if (Array.isArray(values)) surveys.push(parse(connectorId, values as (string | number | null)[]));
      else if (values !== 0) surveys.push(null);
    }
  }
  return surveys;
}

function parse(connectorId: string, values: readonly (string | number | null)[]): LaneSurvey {
  const [waiting, active, delayed, paused, why, inForce, fault, setAside, learned, sent, oldest, away] = values;
  const waitingFor = waitReasons.find((reason) => reason === why) ?? 'nothing';
  const concurrency = Number(inForce) < 0 ? null : Number(inForce);
  const free = concurrency === null ? Infinity : Math.max(0, concurrency - Number(active));
  return {
    connectorId,
    waiting: Number(waiting),
    active: Number(active),
    delayed: Number(delayed),
    due: waitingFor === 'nothing' ? Math.min(Number(waiting), free) : 0,
    paused: paused === 1,
    waitingFor,
    concurrency,
    fault: typeof fault === 'string' ? fault : null,
    onFallback: away === 1,
    setAside: Number(setAside),
    learnedPerSecond: learned === '' ? null : Number(learned),
    sent: Number(sent),
    oldestWaitingAt: oldest === '' ? null : Number(oldest),
  };
}
