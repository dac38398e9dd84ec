/**
 * An operator's pause of a lane: who, why, and until when. Its end is a time in Redis, so it holds although no process watches it;
 * maintenance tells of it afterwards.
 */
import { luaPausedUntil, metaFields } from '../bullmq/layout.ts';
import { luaJournal, luaJournalPause } from '../journal/lua.ts';
import { luaNow, run, script } from '../lua/script.ts';
import type { RedisClient } from '../redis/connection.ts';
import type { ShardKeys } from '../redis/keys.ts';

/** All times in ms since the epoch, by Redis' clock. */
export interface LanePause {
  /** null: another program has paused the queue. */
  readonly by: string | null;
  readonly reason: string | null;
  readonly at: number | null;
  /** null: until an operator resumes it. */
  readonly until: number | null;
}

export interface NewPause {
  readonly by: string;
  readonly reason: string;
  /** null: until an operator resumes it. */
  readonly forMs: number | null;
}

/** A longer one is to be resumed by an operator. */
export const longestPauseMs = 365 * 24 * 3_600_000;

/** `pauseNote(meta, pause)` → who, why, since when, until when; nil if the lane is not paused. After `luaPausedUntil`. */
const luaPauseNote = `
local function pauseNote(meta, pause)
  local till = pausedUntil(redis.call('HGET', meta, '${metaFields.paused}'))
  if not till then return false end
  local note = redis.call('HMGET', pause, 'by', 'reason', 'at', 'until')
  local last = till == math.huge and '' or string.format('%.0f', till)
  -- The note of an earlier pause says nothing of one that another program has made since.
  if (note[4] or '') ~= last then note = {} end
  return { note[1] or '', note[2] or '', note[3] or '', last }
end
`;

/** One step, so that of two pauses at once one stands whole. The field of BullMQ says until when. → the pause that stood before, the new one. @lua */
export const pauseScript = script(
  { keys: ['meta', 'pause', 'ends'], args: ['connector', 'by', 'reason', 'forMs'], allowOom: true },
  /* lua */ `${luaNow}${luaPausedUntil}${luaPauseNote}${luaJournal}${luaJournalPause}
local before = pauseNote(meta, pause)
local till = forMs ~= '' and string.format('%.0f', now + forMs) or ''
redis.call('HSET', meta, '${metaFields.paused}', till == '' and '1' or till)
redis.call('DEL', pause)
redis.call('HSET', pause, 'by', by, 'reason', reason, 'at', string.format('%.0f', now), 'until', till)
if till ~= '' then
  redis.call('PEXPIRE', pause, forMs)
  redis.call('ZADD', ends, till, connector)
else redis.call('ZREM', ends, connector) end
journalPause('connector.paused', pause, by, reason, till)
return { before, pauseNote(meta, pause) }
`,
);

/** Forgets the note of a pause that has ended. @lua */
export const endPauseScript = script(
  { keys: ['pause', 'ends'], args: ['connector'], allowOom: true },
  /* lua */ `${luaNow}${luaJournal}${luaJournalPause}
local note = redis.call('HMGET', pause, 'by', 'reason')
redis.call('DEL', pause)
redis.call('ZREM', ends, connector)
journalPause('connector.resumed', pause, note[1] or '', note[2] or '', '')
`,
);

/** Tells of a pause that is over by its time, once, and takes BullMQ's field away. → 1; 0 if there is none, or not yet. @lua */
export const pauseOverScript = script(
  { keys: ['meta', 'pause', 'ends'], args: ['connector'], allowOom: true },
  /* lua */ `${luaNow}${luaPausedUntil}${luaJournal}${luaJournalPause}
local till = redis.call('ZSCORE', ends, connector)
if not till or tonumber(till) > now then return 0 end
redis.call('ZREM', ends, connector)
local field = redis.call('HGET', meta, '${metaFields.paused}')
-- Another program has paused it since.
if pausedUntil(field) then return 0 end
if field then redis.call('HDEL', meta, '${metaFields.paused}') end
journalPause('connector.resumed', pause, '', '', '')
return 1
`,
);

/** @lua */
export const readPauseScript = script(
  { keys: ['meta', 'pause'] },
  /* lua */ `${luaNow}${luaPausedUntil}${luaPauseNote}
return pauseNote(meta, pause)
`,
);

interface PauseKeys {
  readonly meta: string;
  readonly pause: string;
  readonly ends: string;
}

export function pauseKeysOf(
  keys: Pick<ShardKeys, 'connectorPause' | 'pauseEnds'>,
  meta: string,
  connectorId: string,
): PauseKeys {
  return { meta, pause: keys.connectorPause(connectorId), ends: keys.pauseEnds };
}

/** → the pause that stood before, and the one that stands now. */
export async function writePause(
  redis: RedisClient,
  keys: PauseKeys,
  connectorId: string,
  { by, reason, forMs }: NewPause,
): Promise<{ readonly before: LanePause | null; readonly now: LanePause }> {
  const length = forMs === null ? '' : Math.min(longestPauseMs, Math.max(1, Math.ceil(forMs)));
  const args = { connector: connectorId, by, reason, forMs: length };
  const [before, now] = (await run(redis, pauseScript, { keys: { ...keys }, args })) as unknown[];
  return { before: pauseOf(before), now: pauseOf(now) ?? { by, reason, at: null, until: null } };
}

/** null if the lane is not paused. */
export async function readPause(redis: RedisClient, { meta, pause }: PauseKeys): Promise<LanePause | null> {
  return pauseOf(await run(redis, readPauseScript, { keys: { meta, pause } }));
}

/** Forgets a pause, and that its end is to be told. */
export async function endPause(redis: RedisClient, { pause, ends }: PauseKeys, connectorId: string): Promise<void> {
  await run(redis, endPauseScript, { keys: { pause, ends }, args: { connector: connectorId } });
}

/** Tells of pauses that are over by their time, as far as `most`. `keysOf`: of a connector, in the shard of `ends`. */
export async function tellPausesOver(
  redis: RedisClient,
  ends: string,
  keysOf: (connectorId: string) => PauseKeys,
  { now, most }: { readonly now: number; readonly most: number },
): Promise<void> {
  for (const connector of await redis.zrangebyscore(ends, 0, now, 'LIMIT', 0, most)) {
    await run(redis, pauseOverScript, { keys: { ...keysOf(connector), ends }, args: { connector } });
  }
}

function pauseOf(note: unknown): LanePause | null {
  if (!Array.isArray(note)) return null;
  const [by, reason, at, until] = (note as unknown[]).map(String);
  const time = (text = ''): number | null => (/^\d{1,16}$/.test(text) ? Number(text) : null);
  return { by: by || null, reason: reason || null, at: time(at), until: time(until) };
}
