/**
 * Where a message's row is, if there are several shards. A word in the home shard says so, `SHARD` or, while the row moves
 * from another one, `SHARD FROM`; no word means home. It is written before the row, and outlives it. Whoever cancels or
 * routes goes by it, so that of a message that moves there are never two rows that could both be sent:
 *
 *   word «to from» ─▶ the old row is left as a dead one ─▶ copy of it in the new shard ─▶ job and row there
 *
 * A crash anywhere in between leaves the job where it was (intake, or the old lane), and all of it is done again.
 */
import type { RedisClient } from '../redis/connection.ts';
import { run, script } from '../lua/script.ts';
import type { Shards } from '../redis/shards.ts';

/** How long the word outlives the row, and how long a row that has moved is in the way of a job that was left behind. */
const graceMs = 24 * 3_600_000;

/** `at` is the word as it stands. */
interface Place {
  readonly at: string;
  readonly shard: number;
  /** Where the row may still be. */
  readonly from: number | null;
}

/** KEYS: word, row at home. ARGV: expected word, new word, time to live. → the word that stands; none where it is at home. */
const placeScript = script(`
local at = redis.call('GET', KEYS[1]) or ''
if at ~= ARGV[1] then return at end
if at == '' and ARGV[2]:match('^%d+$') then
  if ARGV[2] == '0' or redis.call('EXISTS', KEYS[2]) == 1 then return '' end
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return ARGV[2]
`);

/**
 * KEYS: row, unsettled. ARGV: id, time to live. Takes a released row out of the game: what is left of it says «dead», so that
 * a job that is still about finds its end. → its fields, or the state that forbids it. A row that was taken before gives the
 * same once more; where there is none, a mark stays, against whoever is late.
 */
const takeScript = script(`
local row = redis.call('HMGET', KEYS[1], 'state', 'routed', 'moved')
if row[1] and not row[3] and not (row[1] == 'queued' and row[2] == '') then return row[1] end
local fields = redis.call('HGETALL', KEYS[1])
redis.call('HSET', KEYS[1], 'moved', '1')
if row[1] then redis.call('HSET', KEYS[1], 'state', 'dead', 'routed', '-') end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('ZREM', KEYS[2], ARGV[1])
return fields
`);

/** KEYS: row, unsettled. ARGV: id, deadline, then the fields that were taken. A row that is there already stays. */
const putScript = script(`
if redis.call('HEXISTS', KEYS[1], 'state') == 1 and redis.call('HEXISTS', KEYS[1], 'moved') == 0 then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], unpack(ARGV, 3))
redis.call('HDEL', KEYS[1], 'moved')
redis.call('HSET', KEYS[1], 'state', 'queued', 'routed', '')
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
return 1
`);

export interface Placement {
  read(id: string): Promise<Place>;
  /** Says where the message is to be, if `at` is still what stands. → what stands then. */
  claim(id: string, at: string, to: number, from: number | null, deadline: number): Promise<Place>;
  /** Moves a released row. → false if it may not move (any more); true also where there is none. */
  move(id: string, from: number, to: number): Promise<boolean>;
}

/** `keepMs`: how long a row is kept after its end. */
export function createPlacement(redis: RedisClient, { keys, home }: Shards, keepMs: () => number): Placement {
  return {
    async read(id) {
      return parse((await redis.get(home.place(id))) ?? '');
    },

    async claim(id, at, to, from, deadline) {
      const word = from === null ? String(to) : `${to} ${from}`;
      const ttlMs = Math.max(0, deadline - Date.now()) + keepMs() + graceMs;
      return parse(String(await run(redis, placeScript, [home.place(id), home.ledger(id)], [at, word, ttlMs])));
    },

    async move(id, from, to) {
      const [old, next] = [keys[from] ?? home, keys[to] ?? home];
      const fields = await run(redis, takeScript, [old.ledger(id), old.unsettled], [id, graceMs]);
      if (!Array.isArray(fields)) return false;
      const row = fields as string[];
      if (!row.includes('state')) return true;
      const deadline = row[row.indexOf('deadline') + 1] ?? '0';
      await run(redis, putScript, [next.ledger(id), next.unsettled], [id, deadline, ...row]);
      return true;
    },
  };
}

function parse(at: string): Place {
  const [shard = '0', from] = at === '' ? ['0'] : at.split(' ');
  return { at, shard: Number(shard), from: from === undefined ? null : Number(from) };
}
