/** How a process works on an operation: under a lease, writing what came of a batch in the step that takes it off the list. */
import { luaNow, run, script, write } from '../queue/lua/script.ts';
import type { RedisClient } from '../queue/redis/connection.ts';
import type { HomeKeys } from '../queue/redis/keys.ts';
import { keepMs, operationKeys, operationStates, type LetterResult, type OperationState } from './operations.ts';

/** A process that does not write a result for so long has lost it, in ms. */
const leaseMs = 15_000;

/**
 * Writes the results of a batch, and takes it off the list. Only the process with the lease may; one that was too slow has lost it, and
 * another one does its batch once more. → 'lost', or the state and the rate. @lua
 */
export const progressScript = script(
  {
    keys: ['operation', 'ids', 'lease', 'open'],
    args: ['id', 'token', 'leaseMs', 'keepMs', 'count'],
    moreArgs: 'results',
    allowOom: true,
  },
  /* lua */ `${luaNow}
if redis.call('GET', lease) ~= token then return { 'lost', '' } end
redis.call('PEXPIRE', lease, leaseMs)
local found = redis.call('HMGET', operation, 'state', 'rate')
if not found[1] then
  redis.call('SREM', open, id)
  redis.call('DEL', ids, lease)
  return { 'lost', '' }
end
for i = 1, #results, 2 do redis.call('HINCRBY', operation, 'r:' .. results[i], results[i + 1]) end
local at = string.format('%.0f', now)
if tonumber(count) > 0 then
  redis.call('HINCRBY', operation, 'done', count)
  redis.call('HSET', operation, 'updatedAt', at)
  redis.call('LTRIM', ids, count, -1)
end
if found[1] == 'running' and redis.call('LLEN', ids) == 0 then
  redis.call('HSET', operation, 'state', 'done', 'endedAt', at)
  redis.call('PEXPIRE', operation, keepMs)
  redis.call('SREM', open, id)
  found[1] = 'done'
end
if found[1] ~= 'running' then redis.call('DEL', lease) end
return { found[1], found[2] or '' }
`,
);

/** → whether this process may work on it now. */
export async function takeLease(redis: RedisClient, keys: HomeKeys, id: string, token: string): Promise<boolean> {
  return (await write(redis, 'SET', keys.operationLease(id), token, 'PX', leaseMs, 'NX')) !== null;
}

export interface Progress {
  readonly state: OperationState | 'lost';
  readonly ratePerSecond: number | null;
}

/** Writes what came of the first `count` ids, and keeps the lease. */
export async function writeProgress(
  redis: RedisClient,
  keys: HomeKeys,
  id: string,
  token: string,
  count: number,
  results: ReadonlyMap<LetterResult, number>,
): Promise<Progress> {
  const [state, rate] = (await run(redis, progressScript, {
    keys: { ...operationKeys(keys, id), lease: keys.operationLease(id) },
    args: { id, token, leaseMs, keepMs, count },
    moreArgs: [...results].flat(),
  })) as string[];
  return {
    state: operationStates.find((name) => name === state) ?? 'lost',
    ratePerSecond: rate === undefined || rate === '' ? null : Number(rate),
  };
}
