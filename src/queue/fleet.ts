/** What is in Redis as a whole, for metrics: totals of the ledger, the workers that serve, and how the servers are. */
import type { Shards } from './redis/shards.ts';
import { luaNow, run, script } from './lua/script.ts';
import { mastersOf, type RedisClient } from './redis/connection.ts';
import type { HomeKeys } from './redis/keys.ts';

export interface LedgerTotals {
  readonly unsettled: number;
  readonly deadLetters: number;
  /** null where there are too many unsettled messages and dead letters to compare them. */
  readonly held: number | null;
  /** When the next message that is not settled expires, ms since the epoch; null if there is none. */
  readonly firstDeadlineAt: number | null;
}

/** What a worker says of itself. */
interface WorkerLoad {
  readonly slots: number;
  readonly busy: number;
  /** ms since the epoch. */
  readonly startedAt: number;
}

/** null: a worker of an earlier release does not say. */
export interface WorkerThere {
  readonly worker: string;
  readonly load: WorkerLoad | null;
}

/** Workers that say they are there, by Redis' clock. */
export interface Presence {
  note(worker: string, forMs: number, load: WorkerLoad): Promise<void>;
  remove(worker: string): Promise<void>;
  count(): Promise<number>;
  /** At most so many, by name. */
  list(most: number): Promise<WorkerThere[]>;
}

/** How much memory Redis used at a time. */
export interface MemorySample {
  /** ms since the epoch. */
  readonly at: number;
  readonly usedBytes: number;
}

/** The last day, a sample each five minutes, of the fullest master. */
export interface MemoryHistory {
  note(at: number): Promise<void>;
  read(): Promise<MemorySample[]>;
}

/** Of the masters: the fullest one's memory, the fewest replicas, and whether all write their append-only files. */
export interface ServerCondition {
  readonly usedBytes: number;
  /** 0: no limit. */
  readonly maxBytes: number;
  readonly aofOk: boolean;
  readonly replicas: number;
}

/** Beyond it to compare takes Redis tens of milliseconds, in which it serves no other client. */
const mostCompared = 200_000;

/** A held message is not settled, and has a dead letter; no other is both but for a moment. @lua */
export const totalsScript = script(
  { keys: ['unsettled', 'dead'], args: ['mostCompared'] },
  /* lua */ `
local open, letters = redis.call('ZCARD', unsettled), redis.call('ZCARD', dead)
local held = -1
if math.min(open, letters) <= tonumber(mostCompared) then held = redis.call('ZINTERCARD', 2, unsettled, dead) end
local first = redis.call('ZRANGE', unsettled, 0, 0, 'WITHSCORES')[2] or ''
return { open, letters, held, first }
`,
);

/** As each worker says so, those that have not for long are forgotten. @lua */
export const presenceScript = script(
  { keys: ['workers', 'loads'], args: ['worker', 'forMs', 'load'], allowOom: true },
  /* lua */ `${luaNow}
local gone = redis.call('ZRANGEBYSCORE', workers, '-inf', string.format('(%.0f', now), 'LIMIT', 0, 1000)
if #gone > 0 then
  redis.call('ZREM', workers, unpack(gone))
  redis.call('HDEL', loads, unpack(gone))
end
redis.call('ZADD', workers, string.format('%.0f', now + forMs), worker)
redis.call('HSET', loads, worker, load)
`,
);

/** @lua */
export const countWorkersScript = script(
  { keys: ['workers'] },
  /* lua */ `${luaNow}
return redis.call('ZCOUNT', workers, string.format('%.0f', now), '+inf')
`,
);

/** → name and load of each worker that is there. @lua */
export const workersScript = script(
  { keys: ['workers', 'loads'], args: ['most'] },
  /* lua */ `${luaNow}
local names = redis.call('ZRANGEBYSCORE', workers, string.format('%.0f', now), '+inf', 'LIMIT', 0, most)
local found = {}
for i, name in ipairs(names) do found[2 * i - 1], found[2 * i] = name, redis.call('HGET', loads, name) or '' end
return found
`,
);

/** Samples that are kept. @lua */
export const sampleScript = script(
  { keys: ['memory'], args: ['slot', 'used', 'oldest'], allowOom: true },
  /* lua */ `
redis.call('HSET', memory, slot, used)
if redis.call('HLEN', memory) > 300 then
  for _, at in ipairs(redis.call('HKEYS', memory)) do
    if (tonumber(at) or 0) < tonumber(oldest) then redis.call('HDEL', memory, at) end
  end
end
`,
);

const sampleMs = 300_000;
const dayMs = 86_400_000;

export function createMemoryHistory(redis: RedisClient, { memory }: Pick<HomeKeys, 'memory'>): MemoryHistory {
  return {
    async note(at) {
      const slot = Math.floor(at / sampleMs) * sampleMs;
      if ((await redis.hexists(memory, String(slot))) === 1) return;
      const condition = await readCondition(redis);
      if (condition === null) return;
      const args = { slot, used: condition.usedBytes, oldest: slot - dayMs };
      await run(redis, sampleScript, { keys: { memory }, args });
    },
    async read() {
      const found = Object.entries(await redis.hgetall(memory));
      return found
        .map(([at, used]) => ({ at: Number(at), usedBytes: Number(used) }))
        .filter(({ at, usedBytes }) => Number.isFinite(at) && Number.isFinite(usedBytes))
        .sort((a, b) => a.at - b.at);
    },
  };
}

export async function readTotals(redis: RedisClient, shards: Shards): Promise<LedgerTotals> {
  const found = await Promise.all(
    shards.all.map(async ({ unsettled, dead }) => {
      const answer = await run(redis, totalsScript, { keys: { unsettled, dead }, args: { mostCompared } });
      const [open, letters, held, first] = answer as [number, number, number, string];
      return { open, letters, held, first: first === '' ? Infinity : Number(first) };
    }),
  );
  const sum = (of: (each: (typeof found)[number]) => number): number =>
    found.reduce((total, each) => total + of(each), 0);
  const first = Math.min(...found.map((each) => each.first));
  return {
    unsettled: sum(({ open }) => open),
    deadLetters: sum(({ letters }) => letters),
    held: found.some(({ held }) => held < 0) ? null : sum(({ held }) => held),
    firstDeadlineAt: Number.isFinite(first) ? first : null,
  };
}

export function createPresence(redis: RedisClient, home: Pick<HomeKeys, 'workers' | 'workerLoads'>): Presence {
  const { workers, workerLoads: loads } = home;
  return {
    async note(worker, forMs, load) {
      await run(redis, presenceScript, {
        keys: { workers, loads },
        args: { worker, forMs, load: JSON.stringify(load) },
      });
    },
    async remove(worker) {
      await redis.zrem(workers, worker);
      await redis.hdel(loads, worker);
    },
    async list(most) {
      const flat = (await run(redis, workersScript, { keys: { workers, loads }, args: { most } })) as string[];
      const found: WorkerThere[] = [];
      for (let i = 0; i + 1 < flat.length; i += 2) found.push({ worker: flat[i]!, load: loadOf(flat[i + 1]!) });
      return found.sort((a, b) => (a.worker < b.worker ? -1 : 1));
    },
    count: async () => Number(await run(redis, countWorkersScript, { keys: { workers } })),
  };
}

function loadOf(text: string): WorkerLoad | null {
  try {
    const { slots, busy, startedAt } = JSON.parse(text) as Record<string, unknown>;
    const known = [slots, busy, startedAt].every((each) => typeof each === 'number' && Number.isFinite(each));
    return known ? { slots: slots as number, busy: busy as number, startedAt: startedAt as number } : null;
  } catch {
    return null;
  }
}

/** null if this user may not ask. */
export async function readCondition(redis: RedisClient): Promise<ServerCondition | null> {
  const infos = await Promise.all(mastersOf(redis).map((master) => master.info().catch(() => null)));
  const known = infos.filter((info) => info !== null).map(conditionOf);
  if (known.length === 0 || known.length < infos.length) return null;
  const fullest = known.reduce((most, each) => (fullness(each) > fullness(most) ? each : most));
  return {
    usedBytes: fullest.usedBytes,
    maxBytes: fullest.maxBytes,
    aofOk: known.every(({ aofOk }) => aofOk),
    replicas: Math.min(...known.map(({ replicas }) => replicas)),
  };
}

/** Without a limit, more is fuller. */
function fullness({ usedBytes, maxBytes }: ServerCondition): number {
  return maxBytes === 0 ? 1 + usedBytes : usedBytes / maxBytes;
}

function conditionOf(info: string): ServerCondition {
  const field = (name: string): string => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1] ?? '';
  const written = ['aof_last_write_status', 'aof_last_bgrewrite_status'].every((name) => field(name) === 'ok');
  return {
    usedBytes: Number(field('used_memory')),
    maxBytes: Number(field('maxmemory')),
    aofOk: field('aof_enabled') === '1' && written,
    replicas: Number(field('connected_slaves')),
  };
}
