/** An operator's pause of a lane: who, why, and until when. Its end is a time in Redis, so it holds although no process watches it. */
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
  { keys: ['meta', 'pause'], args: ['by', 'reason', 'forMs'], allowOom: true },
  /* lua */ `${luaNow}${luaPausedUntil}${luaPauseNote}${luaJournal}${luaJournalPause}
local before = pauseNote(meta, pause)
local till = forMs ~= '' and string.format('%.0f', now + forMs) or ''
redis.call('HSET', meta, '${metaFields.paused}', till == '' and '1' or till)
redis.call('DEL', pause)
redis.call('HSET', pause, 'by', by, 'reason', reason, 'at', string.format('%.0f', now), 'until', till)
if till ~= '' then redis.call('PEXPIRE', pause, forMs) end
journalPause('connector.paused', pause, by, reason, till)
return { before, pauseNote(meta, pause) }
`,
);

/** Forgets the note of a pause that has ended. */
export const endPauseScript = script(
  { keys: ['pause'], allowOom: true },
  /* lua */ `${luaNow}${luaJournal}${luaJournalPause}
local note = redis.call('HMGET', pause, 'by', 'reason')
redis.call('DEL', pause)
journalPause('connector.resumed', pause, note[1] or '', note[2] or '', '')
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
}

export function pauseKeysOf(keys: Pick<ShardKeys, 'connectorPause'>, meta: string, connectorId: string): PauseKeys {
  return { meta, pause: keys.connectorPause(connectorId) };
}

/** → the pause that stood before, and the one that stands now. */
export async function writePause(
  redis: RedisClient,
  keys: PauseKeys,
  { by, reason, forMs }: NewPause,
): Promise<{ readonly before: LanePause | null; readonly now: LanePause }> {
  const args = { by, reason, forMs: forMs === null ? '' : Math.min(longestPauseMs, Math.max(1, Math.ceil(forMs))) };
  const [before, now] = (await run(redis, pauseScript, { keys: { ...keys }, args })) as unknown[];
  return { before: pauseOf(before), now: pauseOf(now) ?? { by, reason, at: null, until: null } };
}

/** null if the lane is not paused. */
export async function readPause(redis: RedisClient, keys: PauseKeys): Promise<LanePause | null> {
  return pauseOf(await run(redis, readPauseScript, { keys: { ...keys } }));
}

function pauseOf(note: unknown): LanePause | null {
  if (!Array.isArray(note)) return null;
  const [by, reason, at, until] = (note as unknown[]).map(String);
  const time = (text = ''): number | null => (/^\d{1,16}$/.test(text) ? Number(text) : null);
  return { by: by || null, reason: reason || null, at: time(at), until: time(until) };
}
