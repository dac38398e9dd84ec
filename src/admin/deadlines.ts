/**
 * When the first message of a connector expires. Deadlines are kept over all connectors of a shard, so two places are looked at: the
 * messages of a shard that expire first, and those of the lane that are next in line, which usually have waited longest. A message with
 * a short life of its own in the middle of a long lane is seen once it is among the first of its shard.
 */
import { run, script } from '../queue/lua/script.ts';
import type { RedisClient } from '../queue/redis/connection.ts';
import { laneName, type ShardKeys } from '../queue/redis/keys.ts';
import type { Shards } from '../queue/redis/shards.ts';
import { idOfJob } from '../queue/jobs.ts';

export interface FirstDeadline {
  readonly id: string;
  readonly connector: string | null;
  /** ms since the epoch. */
  readonly at: number;
}

export interface Deadlines {
  /** Connector → its first deadline, ms since the epoch; without an entry where none is known. */
  of(connectors: readonly string[]): Promise<Map<string, number>>;
  /** The first of all; null if no message is unsettled. */
  first(): Promise<FirstDeadline | null>;
}

/** Of a shard, those that expire first. */
const mostOfShard = 500;
/** Of each list of a lane. */
const mostOfList = 5;
/** Lanes of one script. */
const page = 50;

/** → id, deadline and connector of each. @lua */
export const firstDeadlinesScript = script(
  { keys: ['unsettled'], args: ['rows', 'count'] },
  /* lua */ `
local found = {}
local first = redis.call('ZRANGE', unsettled, 0, count - 1, 'WITHSCORES')
for i = 1, #first, 2 do
  local connector = redis.pcall('HGET', rows .. first[i], 'connector')
  found[#found + 1], found[#found + 2], found[#found + 3] = first[i], first[i + 1], type(connector) == 'string' and connector or ''
end
return found
`,
);

/** The lists of each lane follow, four at a time. → for each lane the ids of jobs that are looked at. @lua */
export const nextInLineScript = script(
  { keys: ['_anchor'], args: ['count'], moreKeys: 'lists' },
  /* lua */ `
local answer = {}
local function add(ids, some) if not some.err then for _, id in ipairs(some) do ids[#ids + 1] = id end end end
for i = 1, #lists, 4 do
  local ids = {}
  add(ids, redis.pcall('LRANGE', lists[i], -count, -1))
  add(ids, redis.pcall('ZRANGE', lists[i + 1], 0, count - 1))
  add(ids, redis.pcall('ZRANGE', lists[i + 2], 0, count - 1))
  add(ids, redis.pcall('LRANGE', lists[i + 3], -count, -1))
  answer[#answer + 1] = ids
end
return answer
`,
);

const lists = ['wait', 'prioritized', 'delayed', 'active'] as const;

export function createDeadlines(redis: RedisClient, shards: Shards): Deadlines {
  const firstOf = async ({ unsettled, ledger }: ShardKeys, count: number): Promise<FirstDeadline[]> => {
    const flat = (await run(redis, firstDeadlinesScript, {
      keys: { unsettled },
      args: { rows: ledger(''), count },
    })) as string[];
    const found: FirstDeadline[] = [];
    for (let i = 0; i + 2 < flat.length; i += 3) {
      found.push({ id: flat[i]!, at: Number(flat[i + 1]), connector: flat[i + 2] || null });
    }
    return found;
  };
  const inLine = async (keys: ShardKeys, connectors: readonly string[], note: Note): Promise<void> => {
    for (let from = 0; from < connectors.length; from += page) {
      const some = connectors.slice(from, from + page);
      const moreKeys = some.flatMap((id) => lists.map((list) => keys.queue(laneName(id), list)));
      const args = { count: mostOfList };
      const ids = (await run(redis, nextInLineScript, { keys: { _anchor: keys.lanes }, args, moreKeys })) as string[][];
      const asked = some.flatMap((connector, i) => (ids[i] ?? []).map((job) => ({ connector, id: idOfJob(job) })));
      const deadlines = await Promise.all(asked.map(({ id }) => redis.zscore(keys.unsettled, id)));
      for (const [i, { connector }] of asked.entries()) {
        const at = deadlines[i] ?? null;
        if (at !== null) note(connector, Number(at));
      }
    }
  };
  return {
    async of(connectors) {
      const found = new Map<string, number>();
      const wanted = new Set(connectors);
      if (wanted.size === 0) return found;
      const note: Note = (connector, at) => {
        if (wanted.has(connector)) found.set(connector, Math.min(at, found.get(connector) ?? Infinity));
      };
      await Promise.all(
        shards.all.map(async (keys, shard) => {
          const here = connectors.filter((id) => shards.of(id) === shard);
          if (here.length === 0) return;
          for (const { connector, at } of await firstOf(keys, mostOfShard)) if (connector !== null) note(connector, at);
          await inLine(keys, here, note);
        }),
      );
      return found;
    },

    async first() {
      const [first = null] = (await Promise.all(shards.all.map((keys) => firstOf(keys, 1))))
        .flat()
        .sort((a, b) => a.at - b.at);
      return first;
    },
  };
}

type Note = (connector: string, at: number) => void;
