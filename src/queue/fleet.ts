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

/** Workers that say they are there, by Redis' clock. */
export interface Presence {
  note(worker: string, forMs: number): Promise<void>;
  remove(worker: string): Promise<void>;
  count(): Promise<number>;
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
  { keys: ['workers'], args: ['worker', 'forMs'], allowOom: true },
  /* lua */ `${luaNow}
redis.call('ZREMRANGEBYSCORE', workers, '-inf', string.format('(%.0f', now))
redis.call('ZADD', workers, string.format('%.0f', now + forMs), worker)
`,
);

/** @lua */
export const countWorkersScript = script(
  { keys: ['workers'] },
  /* lua */ `${luaNow}
return redis.call('ZCOUNT', workers, string.format('%.0f', now), '+inf')
`,
);

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

export function createPresence(redis: RedisClient, { workers }: Pick<HomeKeys, 'workers'>): Presence {
  return {
    async note(worker, forMs) {
      await run(redis, presenceScript, { keys: { workers }, args: { worker, forMs } });
    },
    async remove(worker) {
      await redis.zrem(workers, worker);
    },
    count: async () => Number(await run(redis, countWorkersScript, { keys: { workers } })),
  };
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
