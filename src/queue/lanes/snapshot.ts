/** A look at many lanes at once: which of them need the sweep. A page of them is one round trip, so that thousands cost little. */
import type { RedisClient } from '../redis/connection.ts';
import { laneName, type Keys } from '../redis/keys.ts';
import { run, script } from '../lua/script.ts';

export interface LaneLook {
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

const types = ['active', 'failed', 'wait', 'prioritized', 'delayed', 'meta'] as const;
/** Lanes of one script: some milliseconds of Redis' time, in which it serves nobody else. */
const page = 200;

/** KEYS: ready, then six of each lane. ARGV: the connectors' ids. → seven values of each. */
const lookScript = script(`
local found = {}
local function say(value) found[#found + 1] = value end
for i, id in ipairs(ARGV) do
  local k = (i - 1) * 6 + 2
  say(redis.call('LLEN', KEYS[k]))
  say(redis.call('ZCARD', KEYS[k + 1]))
  say(redis.call('LLEN', KEYS[k + 2]) + redis.call('ZCARD', KEYS[k + 3]) + redis.call('ZCARD', KEYS[k + 4]))
  say(redis.call('ZSCORE', KEYS[1], id) and 1 or 0)
  local meta = redis.call('HMGET', KEYS[k + 5], 'concurrency', 'max', 'duration')
  for n = 1, 3 do say(meta[n] or '') end
end
return found
`);

export async function lookAtLanes(
  redis: RedisClient,
  keys: Keys,
  connectorIds: readonly string[],
): Promise<LaneLook[]> {
  const looks: LaneLook[] = [];
  for (let start = 0; start < connectorIds.length; start += page) {
    const ids = connectorIds.slice(start, start + page);
    const laneKeys = ids.flatMap((id) => types.map((type) => keys.queue(laneName(id), type)));
    const found = (await run(redis, lookScript, [keys.ready, ...laneKeys], ids)) as (string | number)[];
    for (const [i, connectorId] of ids.entries()) {
      const [active, failed, waiting, ready, concurrency, max, duration] = found.slice(i * 7, i * 7 + 7);
      looks.push({
        connectorId,
        active: Number(active),
        failed: Number(failed),
        waiting: Number(waiting),
        ready: ready === 1,
        limits: { concurrency: String(concurrency), max: String(max), duration: String(duration) },
      });
    }
  }
  return looks;
}
