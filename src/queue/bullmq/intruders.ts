/**
 * Jobs of foreign clients that stand where BullMQ keeps a key of its own. BullMQ writes a job with the id `wait` over the name of
 * its list, and from then on refuses every step of that queue (WRONGTYPE). Such a key is found by its type, or by a job's fields
 * in a hash of BullMQ's, and given back to BullMQ; its content is handed to the caller as it was.
 */
import { script, run } from '../lua/script.ts';
import { mastersOf, type RedisClient } from '../redis/connection.ts';
import { jobFields, lockName, queueKeyTypes } from './layout.ts';

export interface Intruder {
  /** The job's id, which is the name of the key. */
  readonly jobId: string;
  /** The job's data as text; '' where there is none. At most `maxDataBytes`. */
  readonly data: string;
  /** When it was enqueued, ms since the epoch; 0 if that is no number. */
  readonly timestamp: number;
}

/** More of a job's data is not kept: the text goes into a dead letter, to be read by a person. */
const maxDataBytes = 65_536;

/**
 * Removes each intruder and takes its id off the lists. `names` and `types` belong to `own`, the keys of the queue; `lists` are
 * those that may hold its id. → name, data and timestamp of each.
 * @lua
 */
export const expelScript = script(
  { keys: [], args: ['count', 'limit'], moreKeys: 'own', moreArgs: 'about' },
  /* lua */ `
local found = {}
local wanted = tonumber(count)
for i = 1, wanted do
  local key, name, expected = own[i], about[2 * i - 1], about[2 * i]
  local kind = redis.call('TYPE', key).ok
  local misplaced = kind == 'hash' and (expected ~= 'hash' or redis.call('HEXISTS', key, '${jobFields.data}') == 1)
  if misplaced then
    local data = redis.call('HGET', key, '${jobFields.data}') or ''
    local timestamp = redis.call('HGET', key, '${jobFields.addedAt}') or ''
    if expected == 'hash' then
      redis.call('HDEL', key, ${Object.values(jobFields)
        .map((field) => `'${field}'`)
        .join(', ')})
    else redis.call('DEL', key) end
    found[#found + 1] = name
    found[#found + 1] = string.sub(data, 1, tonumber(limit))
    found[#found + 1] = timestamp
  end
end
for i = 1, #found, 3 do
  for j = 1, wanted do
    local kind = redis.call('TYPE', own[j]).ok
    if kind == 'list' then redis.call('LREM', own[j], 0, found[i])
    elseif kind == 'zset' then redis.call('ZREM', own[j], found[i])
    elseif kind == 'set' then redis.call('SREM', own[j], found[i]) end
  end
end
return found
`,
);

/**
 * Puts jobs into `wait` that are on no list: BullMQ writes a job's hash first, and its step then failed at the intruder. A job with a
 * lock is being worked on. → how many were put back.
 * @lua
 */
export const adoptScript = script(
  {
    keys: ['wait', 'prioritized', 'delayed', 'active', 'completed', 'failed', 'marker'],
    moreKeys: 'jobs',
    moreArgs: 'ids',
    allowOom: true,
  },
  /* lua */ `
local adopted = 0
for i, id in ipairs(ids) do
  local job = jobs[2 * i - 1]
  if redis.call('TYPE', job).ok == 'hash' and redis.call('HEXISTS', job, '${jobFields.data}') == 1
    and redis.call('EXISTS', jobs[2 * i]) == 0
    and not redis.call('LPOS', wait, id) and not redis.call('LPOS', active, id)
    and not redis.call('ZSCORE', prioritized, id) and not redis.call('ZSCORE', delayed, id)
    and not redis.call('ZSCORE', completed, id) and not redis.call('ZSCORE', failed, id) then
    redis.call('LPUSH', wait, id)
    redis.call('ZADD', marker, 0, '0')
    adopted = adopted + 1
  end
end
return adopted
`,
);

/** Job hashes of one script: each may cost a walk through `wait`. */
const adoptedAtOnce = 50;

/**
 * Finds jobs of the queue that are on no list, after an intruder has been removed. It scans all keys, which is the price of a repair
 * that is hardly ever needed. → how many there were.
 */
export async function adoptOrphans(redis: RedisClient, keyOf: (name: string) => string): Promise<number> {
  const start = keyOf('');
  const match = `${start.replaceAll(/[*?[\]\\]/g, '\\$&')}*`;
  const names = ['wait', 'prioritized', 'delayed', 'active', 'completed', 'failed', 'marker'] as const;
  const keys = Object.fromEntries(names.map((name) => [name, keyOf(name)])) as Record<(typeof names)[number], string>;
  let adopted = 0;
  for (const master of mastersOf(redis)) {
    for await (const found of master.scanStream({ match, count: 500 })) {
      const ids = (found as string[])
        .map((key) => key.slice(start.length))
        .filter((id) => id !== '' && !id.includes(':') && !Object.hasOwn(queueKeyTypes, id));
      for (let i = 0; i < ids.length; i += adoptedAtOnce) {
        const some = ids.slice(i, i + adoptedAtOnce);
        const moreKeys = some.flatMap((id) => [keyOf(id), lockName(keyOf(id))]);
        adopted += Number(await run(redis, adoptScript, { keys, moreKeys, moreArgs: some }));
      }
    }
  }
  return adopted;
}

/** Gives the queue's keys back to BullMQ. `keyOf`: the key of that name. → what stood there. */
export async function expelIntruders(redis: RedisClient, keyOf: (name: string) => string): Promise<Intruder[]> {
  const names = Object.keys(queueKeyTypes);
  const found = (await run(redis, expelScript, {
    keys: {},
    args: { count: names.length, limit: maxDataBytes },
    moreKeys: names.map(keyOf),
    moreArgs: Object.entries(queueKeyTypes).flat(),
  })) as string[];
  const intruders: Intruder[] = [];
  for (let i = 0; i + 2 < found.length; i += 3) {
    const timestamp = Number(found[i + 2]);
    intruders.push({
      jobId: found[i]!,
      data: found[i + 1]!,
      timestamp: Number.isSafeInteger(timestamp) && timestamp > 0 ? timestamp : 0,
    });
  }
  return intruders;
}
