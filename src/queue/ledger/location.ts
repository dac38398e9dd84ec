/**
 * Where a message's row is, if there are several shards. A location entry in the home shard says so, `SHARD` or, while the row
 * moves from another one, `SHARD FROM`; no entry means home. It is written before the row, and outlives it. Cancelling and
 * routing follow it, so a message that moves never has two rows that could both be sent:
 *
 *   entry `TO FROM` ─▶ the old row is left as a dead one ─▶ copy of it in the new shard ─▶ job and row there
 *
 * A crash anywhere in between leaves the job where it was (intake, or the old lane), and all of it is done again.
 */
import type { RedisClient } from '../redis/connection.ts';
import { luaNow, run, script } from '../lua/script.ts';
import type { Shards } from '../redis/shards.ts';

/** How long the entry outlives the row, and how long a row that has moved is in the way of a job that was left behind. */
const graceMs = 24 * 3_600_000;

/** `at` is the entry as it stands. */
interface Place {
  readonly at: string;
  readonly shard: number;
  /** Where the row may still be. */
  readonly from: number | null;
}

/** → the entry that stands; empty where the message is at home. @lua */
export const locateScript = script(
  { keys: ['entry', 'homeRow'], args: ['expected', 'target', 'ttlMs'], allowOom: true },
  /* lua */ `
local at = redis.call('GET', entry) or ''
if at ~= expected then return at end
if at == '' and target:match('^%d+$') then
  if target == '0' or redis.call('EXISTS', homeRow) == 1 then return '' end
end
redis.call('SET', entry, target, 'PX', ttlMs)
return target
`,
);

/**
 * Retires a row that waits to be routed again: what is left of it says `dead`, so that a job that was left behind ends.
 * → its fields, or the state that forbids it. A row that was taken before gives the same once more; where there is none, a
 * mark stays against late writers. `moved` orders the moves of a message (`putScript`): by time, and
 * above the one before, whatever the clock of its shard says.
 */
export const takeScript = script(
  { keys: ['rowKey', 'unsettled'], args: ['id', 'ttlMs'], allowOom: true },
  /* lua */ `${luaNow}
local row = redis.call('HMGET', rowKey, 'state', 'routed', 'moved', 'moves')
if row[1] and not row[3] and not (row[1] == 'queued' and row[2] == '') then return row[1] end
-- 1: where there is no row, and of an earlier release.
local move = tonumber(row[3] or '1') or 1
if row[1] and move == 1 then move = math.max(now, (tonumber(row[4] or '0') or 0) + 1) end
redis.call('HSET', rowKey, 'moved', string.format('%.0f', move))
local fields = redis.call('HGETALL', rowKey)
if row[1] then redis.call('HSET', rowKey, 'state', 'dead', 'routed', '-') end
redis.call('PEXPIRE', rowKey, ttlMs)
redis.call('ZREM', unsettled, id)
return fields
`,
);

/**
 * Writes the fields that were taken. A row that is there already stays, and so does what is left of one that has been here since they were
 * taken (`move`) and has moved on: a process that stood still meanwhile must not bring the message to life a second time.
 */
export const putScript = script(
  { keys: ['rowKey', 'unsettled'], args: ['id', 'deadline', 'move'], moreArgs: 'fields', allowOom: true },
  /* lua */ `
local is = redis.call('HMGET', rowKey, 'state', 'moved')
if is[1] and (not is[2] or (tonumber(is[2]) or 0) >= tonumber(move)) then return 0 end
redis.call('DEL', rowKey)
redis.call('HSET', rowKey, unpack(fields))
redis.call('HDEL', rowKey, 'moved')
redis.call('HSET', rowKey, 'state', 'queued', 'routed', '', 'moves', move)
redis.call('ZADD', unsettled, deadline, id)
return 1
`,
);

export interface Location {
  read(id: string): Promise<Place>;
  /** Says where the message is to be, if `at` is still what stands. → what stands then. */
  claim(id: string, at: string, to: number, from: number | null, deadline: number): Promise<Place>;
  /** Moves a row that waits to be routed again. → false if it may not move; true also where there is none. */
  move(id: string, from: number, to: number): Promise<boolean>;
}

const home: Place = { at: '', shard: 0, from: null };

/** `keepMs`: how long a row is kept after its end. With a single shard nothing is written or asked. */
export function createLocation(redis: RedisClient, shards: Shards, keepMs: () => number): Location {
  if (shards.all.length === 1) {
    return { read: async () => home, claim: async () => home, move: async () => true };
  }
  const { all } = shards;
  const { location, ledger } = shards.home;
  return {
    read: async (id) => parse((await redis.get(location(id))) ?? ''),

    async claim(id, at, to, from, deadline) {
      const entry = from === null ? String(to) : `${to} ${from}`;
      const ttlMs = Math.max(0, deadline - Date.now()) + keepMs() + graceMs;
      const answer = await run(redis, locateScript, {
        keys: { entry: location(id), homeRow: ledger(id) },
        args: { expected: at, target: entry, ttlMs },
      });
      return parse(String(answer));
    },

    async move(id, from, to) {
      const [old, next] = [all[from] ?? shards.home, all[to] ?? shards.home];
      const fields = await run(redis, takeScript, {
        keys: { rowKey: old.ledger(id), unsettled: old.unsettled },
        args: { id, ttlMs: graceMs },
      });
      if (!Array.isArray(fields)) return false;
      const row = fields as string[];
      if (!row.includes('state')) return true;
      const field = (name: string): string => row[row.indexOf(name) + 1] ?? '0';
      await run(redis, putScript, {
        keys: { rowKey: next.ledger(id), unsettled: next.unsettled },
        args: { id, deadline: field('deadline'), move: field('moved') },
        moreArgs: row,
      });
      return true;
    },
  };
}

function parse(at: string): Place {
  const [shard = '0', from] = at === '' ? ['0'] : at.split(' ');
  return { at, shard: Number(shard), from: from === undefined ? null : Number(from) };
}
