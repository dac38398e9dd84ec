/** A snapshot of many lanes at once: which of them need maintenance. A page of them is one round trip, so that thousands cost little. */
import { metaFields } from '../bullmq/layout.ts';
import { run, script } from '../lua/script.ts';
import type { RedisClient } from '../redis/connection.ts';
import { laneName, type ShardKeys } from '../redis/keys.ts';

export interface LaneSnapshot {
  readonly connectorId: string;
  readonly active: number;
  readonly failed: number;
  /** Waiting or delayed. */
  readonly waiting: number;
  /** It is in line, now or for later. */
  readonly ready: boolean;
  /** What BullMQ enforces; empty where nothing has been set. */
  readonly limits: { readonly concurrency: string; readonly max: string; readonly duration: string };
}

const laneKeys = ['active', 'failed', 'wait', 'prioritized', 'delayed', 'meta'] as const;
/** Lanes of one script: some milliseconds of Redis' time, in which it serves no other client. */
const page = 200;

/** The keys of each lane follow, six at a time, in the order of `laneKeys`. → seven values of each lane. @lua */
export const snapshotScript = script(
  { keys: ['ready'], moreKeys: 'laneKeys', moreArgs: 'connectors' },
  /* lua */ `
local found = {}
local function add(value) found[#found + 1] = value end
for i, id in ipairs(connectors) do
  local active, failed, wait, prioritized, delayed, meta = unpack(laneKeys, i * 6 - 5, i * 6)
  add(redis.call('LLEN', active))
  add(redis.call('ZCARD', failed))
  add(redis.call('LLEN', wait) + redis.call('ZCARD', prioritized) + redis.call('ZCARD', delayed))
  add(redis.call('ZSCORE', ready, id) and 1 or 0)
  local limits = redis.call('HMGET', meta, '${metaFields.concurrency}', '${metaFields.max}', '${metaFields.duration}')
  for n = 1, 3 do add(limits[n] or '') end
end
return found
`,
);

/** Lanes of one shard. */
export async function snapshotOf(
  redis: RedisClient,
  keys: ShardKeys,
  connectorIds: readonly string[],
): Promise<LaneSnapshot[]> {
  const snapshots: LaneSnapshot[] = [];
  for (let start = 0; start < connectorIds.length; start += page) {
    const ids = connectorIds.slice(start, start + page);
    const moreKeys = ids.flatMap((id) => laneKeys.map((name) => keys.queue(laneName(id), name)));
    const found = (await run(redis, snapshotScript, {
      keys: { ready: keys.ready },
      moreKeys,
      moreArgs: ids,
    })) as (string | number)[];
    for (const [i, connectorId] of ids.entries()) {
      const [active, failed, waiting, ready, concurrency, max, duration] = found.slice(i * 7, i * 7 + 7);
      snapshots.push({
        connectorId,
        active: Number(active),
        failed: Number(failed),
        waiting: Number(waiting),
        ready: ready === 1,
        limits: { concurrency: String(concurrency), max: String(max), duration: String(duration) },
      });
    }
  }
  return snapshots;
}
