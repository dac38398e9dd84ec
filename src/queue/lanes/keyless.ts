/**
 * Messages whose key is in no worker. One look at one of them tells for those behind it that are sealed with the same key: they are put off
 * together, unread, so that they neither use the rate of their connector nor stand before messages that can be sent.
 *
 * Workers say which keys they have. What one of them can open is put off only by a worker that has taken it.
 */
import { sealedIn } from '../sealed.ts';
import { delayedScoreFactor, jobFields } from '../bullmq/layout.ts';
import { run, script } from '../lua/script.ts';
import type { RedisClient } from '../redis/connection.ts';
import { intakeName, laneName, type ShardKeys } from '../redis/keys.ts';
import type { Shards } from '../redis/shards.ts';
import type { KeyName } from '../../sealing/keyring.ts';

/** Jobs that are looked at behind the one that was taken, and bytes of them: Redis is busy with that for a millisecond. */
const most = 200;
const mostBytes = 1024 * 1024;
/** How long a worker's word counts that it has a key, in ms: some rounds of maintenance. */
const hereForMs = 60_000;

/** → how many were put off: of the next jobs of the queue those whose data has `mark`. @lua */
export const putOffScript = script(
  {
    keys: ['wait', 'prioritized', 'delayed', 'keyHere'],
    args: ['prefix', 'mark', 'at', 'notBefore', 'most', 'mostBytes'],
    allowOom: true,
  },
  /* lua */ `
if redis.call('EXISTS', keyHere) == 1 then return 0 end
local count, bytes = 0, 0
local score = string.format('%.0f', tonumber(notBefore) * ${delayedScoreFactor})
local function isSo(id)
  local size = redis.pcall('HSTRLEN', prefix .. id, '${jobFields.data}')
  if type(size) ~= 'number' or bytes + size > tonumber(mostBytes) then return false end
  bytes = bytes + size
  local data = redis.pcall('HGET', prefix .. id, '${jobFields.data}')
  return type(data) == 'string' and string.find(data, mark, 1, true) ~= nil
end
local function putOff(id)
  redis.call('ZADD', delayed, score, id)
  redis.pcall('HSET', prefix .. id, '${jobFields.delay}', notBefore - at)
  count = count + 1
end
for _, id in ipairs(redis.call('LRANGE', wait, -most, -1)) do
  if isSo(id) and redis.call('LREM', wait, -1, id) == 1 then putOff(id) end
end
for _, id in ipairs(redis.call('ZRANGE', prioritized, 0, most - 1)) do
  if isSo(id) and redis.call('ZREM', prioritized, id) == 1 then putOff(id) end
end
return count
`,
);

export interface Keyless {
  /**
   * Puts off what waits next in the lane, or in the intake (null), and is sealed with the key of this data. → how many; none while a worker
   * has the key.
   */
  putOff(connectorId: string | null, data: unknown, notBefore: number): Promise<number>;
  /** Says that this worker has these keys. */
  noteKeys(keys: readonly KeyName[]): Promise<void>;
}

export function createKeyless(redis: RedisClient, shards: Shards): Keyless {
  return {
    async putOff(connectorId, data, notBefore) {
      const sealed = sealedIn(data);
      if (sealed === null) return 0;
      const { k, f } = sealed;
      const keys: ShardKeys = connectorId === null ? shards.home : shards.keysOf(connectorId);
      const key = (type: string): string => keys.queue(connectorId === null ? intakeName : laneName(connectorId), type);
      const count = await run(redis, putOffScript, {
        keys: {
          wait: key('wait'),
          prioritized: key('prioritized'),
          delayed: key('delayed'),
          keyHere: keys.keyHere(f),
        },
        args: { prefix: key(''), mark: markOf(k, f), at: Date.now(), notBefore, most, mostBytes },
      });
      return Number(count);
    },

    async noteKeys(names) {
      if (names.length === 0) return;
      const pipeline = redis.pipeline();
      for (const { keyHere } of shards.all)
        for (const { print } of names) pipeline.set(keyHere(print), '1', 'PX', hereForMs);
      await pipeline.exec();
    },
  };
}

/** As every writer of version 2 has it; what another one has written otherwise is looked at by itself. */
function markOf(name: string, print: string): string {
  return `"sealed":{"k":"${name}","f":"${print}"`;
}
