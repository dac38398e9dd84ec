/**
 * How much room Redis has for new messages: its memory up to `maxmemory`, less the reserve and what the messages that wait to be
 * routed will need. Each master has a memory of its own, and the fullest one decides, as it is not yet known which a message needs.
 */
import { runReading, script } from './lua/script.ts';
import { isCluster, type RedisClient } from './redis/connection.ts';
import { intakeName } from './redis/keys.ts';
import type { Shards } from './redis/shards.ts';

/** Percent of `maxmemory` that new messages leave to those that wait: retries, dead letters and copies on the way need it. */
export const defaultReservePercent = 25;
export const maxReservePercent = 90;

/**
 * What a message in the intake will need beyond its job: its row, its entry in the search index, and then its lane or its dead letter.
 * Measured with one recipient: 1.4 KB in a lane (docs/capacity.md), and a few bytes more than 2 KiB as a dead letter.
 */
const routingBytes = 2_304;

/** Where its jobs wait, in the order in which the script takes them. */
const intakeLists = ['wait', 'prioritized', 'delayed'] as const;

/** Memory of the master that has the least room. */
export interface Room {
  readonly usedBytes: number;
  readonly maxBytes: number;
  /** Kept free by the reserve, and for messages that wait to be routed. */
  readonly reservedBytes: number;
  /** For new messages; below 0 where more is used than they may. */
  readonly freeBytes: number;
}

/** `unlimited`: no `maxmemory` is set. `hidden`: this user may not ask (INFO). */
export type RoomAnswer = Room | 'unlimited' | 'hidden';

/**
 * As a script, so that a Cluster asks the master that has the shard: `_anchor` is in its slot. The intake is in the first one alone. What Redis does not count against `maxmemory` (buffers of
 * replicas and of the append-only file) does not count here. → used, maxmemory, jobs in the intake; or a refusal. @lua
 */
export const roomScript = script(
  { keys: ['_anchor'], moreKeys: 'intake' },
  /* lua */ `
local info = redis.pcall('INFO', 'memory')
if type(info) == 'table' then return { -1, 0, 0 } end
local function field(name) return tonumber(string.match(info, name .. ':(%d+)') or '0') end
local jobs = 0
if intake[1] then jobs = redis.call('LLEN', intake[1]) + redis.call('ZCARD', intake[2]) + redis.call('ZCARD', intake[3]) end
return { field('used_memory') - field('mem_not_counted_for_evict'), field('maxmemory'), jobs }
`,
);

/** A user of before, or a service without EVALSHA_RO: no reason not to take mail. */
function hiddenOr(error: unknown): number[] {
  if (error instanceof Error && /^NOPERM|^ERR unknown command/.test(error.message)) return [-1, 0, 0];
  throw error;
}

export async function readRoom(redis: RedisClient, shards: Shards, reservePercent: number): Promise<RoomAnswer> {
  const asked = isCluster(redis) ? shards.all : [shards.home];
  const rooms = await Promise.all(
    asked.map(async ({ queue, ledger }): Promise<RoomAnswer> => {
      const moreKeys = asked[0]?.queue === queue ? intakeLists.map((list) => queue(intakeName, list)) : [];
      const answer = await runReading(redis, roomScript, { keys: { _anchor: ledger('') }, moreKeys }).catch(hiddenOr);
      const [usedBytes = 0, maxBytes = 0, jobs = 0] = (answer as unknown[]).map(Number);
      if (usedBytes < 0) return 'hidden';
      if (maxBytes === 0) return 'unlimited';
      const reservedBytes = Math.ceil((maxBytes * reservePercent) / 100) + jobs * routingBytes;
      return { usedBytes, maxBytes, reservedBytes, freeBytes: maxBytes - reservedBytes - usedBytes };
    }),
  );
  const known = rooms.filter((room) => typeof room === 'object');
  const [first, ...others] = known;
  if (first !== undefined)
    return others.reduce((least, each) => (each.freeBytes < least.freeBytes ? each : least), first);
  return rooms.includes('hidden') ? 'hidden' : 'unlimited';
}
