/**
 * What the search index consists of, so that it can be read and removed: the days that have entries, with their number of buckets and
 * until when they are needed, and which fields are indexed since when. Writers note it once a day and process; the scripts of a
 * message's life need not.
 */
import type { RedisClient } from '../redis/connection.ts';
import type { ShardKeys } from '../redis/keys.ts';
import { luaNow, run, script } from '../lua/script.ts';
import { indexFields, setName, type IndexSettings } from './index-entries.ts';

const dayMs = 86_400_000;
/** A failover may have lost what was noted. */
const againMs = 3_600_000;

/** The later end stands; `partial`: a message had more recipients than are indexed. @lua */
export const noteDayScript = script(
  { keys: ['days'], args: ['day', 'ends', 'partial'], allowOom: true },
  /* lua */ `
local before = redis.call('HGET', days, day)
local last, part = 0, partial
if before then
  local found, was = string.match(before, '^(%d+) (%d)')
  last = tonumber(found or '0')
  if was == '1' then part = '1' end
end
redis.call('HSET', days, day, string.format('%.0f', math.max(last, tonumber(ends))) .. ' ' .. part)
`,
);

/**
 * A field that is indexed for the first time: since the beginning if nothing was ever routed here, else from now on. One that is not
 * indexed any more is `off`. `fields` are names, each followed by 1 or 0. @lua
 */
export const noteFieldsScript = script(
  { keys: ['found', 'lanes'], moreArgs: 'fields', allowOom: true },
  /* lua */ `${luaNow}
local since = redis.call('EXISTS', lanes) == 1 and string.format('%.0f', now) or '0'
for i = 1, #fields, 2 do
  local before = redis.call('HGET', found, fields[i])
  if fields[i + 1] == '0' then
    if before then redis.call('HSET', found, fields[i], 'off') end
  elseif not before or before == 'off' then redis.call('HSET', found, fields[i], since) end
end
`,
);

export interface IndexDay {
  readonly day: number;
  readonly buckets: number;
  readonly until: number;
  readonly partial: boolean;
}

/** What the index of a shard has. */
export interface IndexState {
  readonly days: readonly IndexDay[];
  /** Name of a field → since when it is indexed, ms; 0 is ever. */
  readonly since: ReadonlyMap<string, number>;
}

/** The name under which it is noted since when a field is indexed; each key of metadata by itself. */
function fieldNames({ recipients, from, messageId, metadata }: IndexSettings): Map<string, boolean> {
  return new Map([
    // The list of the messages that were routed last is always written.
    ['recent', true],
    ['to', recipients],
    ['from', from],
    ['mid', messageId],
    ...metadata.map((key) => [`meta:${key}`, true] as const),
  ]);
}

export async function readIndexState(redis: RedisClient, { findDays, findFields }: ShardKeys): Promise<IndexState> {
  const [days, fields] = await Promise.all([redis.hgetall(findDays), redis.hgetall(findFields)]);
  return {
    days: Object.entries(days).flatMap(([name, text]) => {
      const [, day, buckets] = /^(\d{1,9})\.(\d{1,9})$/.exec(name) ?? [];
      const [, until, partial] = /^(\d{1,16}) (\d)$/.exec(text) ?? [];
      if (day === undefined || until === undefined) return [];
      return [{ day: Number(day), buckets: Number(buckets), until: Number(until), partial: partial === '1' }];
    }),
    since: new Map(Object.entries(fields).map(([name, since]) => [name, since === 'off' ? Infinity : Number(since)])),
  };
}

/** Notes which fields are indexed from now on; what is indexed of metadata no more is off, too. */
export async function noteFields(
  redis: RedisClient,
  { findFields, lanes }: ShardKeys,
  settings: IndexSettings,
): Promise<void> {
  const wanted = fieldNames(settings);
  for (const name of await redis.hkeys(findFields)) if (!wanted.has(name)) wanted.set(name, false);
  const moreArgs = [...wanted].flatMap(([name, on]) => [name, on ? '1' : '0']);
  await run(redis, noteFieldsScript, { keys: { found: findFields, lanes }, moreArgs });
}

/** Notes a day before its entries are written, unless this process has done so within the hour. Does not wait: see `readIndexState`. */
export type NoteDay = (keys: ShardKeys, day: number, buckets: number, until: number, partial: boolean) => void;

export function createDayNotes(redis: RedisClient, now: () => number): NoteDay {
  const noted = new Map<string, { until: number; partial: boolean; at: number }>();
  return (keys, day, buckets, until, partial) => {
    const name = `${keys.findDays} ${day}.${buckets}`;
    const before = noted.get(name);
    if (before !== undefined && until <= before.until && (!partial || before.partial) && now() - before.at < againMs) {
      return;
    }
    // By whole days: the ends of a day's messages rise all the time.
    const entry = {
      until: Math.max(before?.until ?? 0, Math.ceil(until / dayMs) * dayMs),
      partial: partial || before?.partial === true,
      at: now(),
    };
    noted.set(name, entry);
    if (noted.size > 1_000) noted.clear();
    const args = { day: `${day}.${buckets}`, ends: entry.until, partial: entry.partial ? '1' : '0' };
    // What is refused is noted with the next message. Another process has noted the same, or will.
    run(redis, noteDayScript, { keys: { days: keys.findDays }, args }).catch(() => noted.delete(name));
  };
}

/** Sets of one command: Redis serves no other client meanwhile. */
const setsPerCommand = 1_000;

/** Removes a day that is needed no more, if there is one. */
export async function removeOldDay(redis: RedisClient, keys: ShardKeys, now: number): Promise<void> {
  const { days } = await readIndexState(redis, keys);
  const old = days.find(({ until }) => until < now);
  if (old === undefined) return;
  const { day, buckets } = old;
  for (const field of indexFields) {
    for (let from = 0; from < buckets; from += setsPerCommand) {
      const count = Math.min(setsPerCommand, buckets - from);
      const names = Array.from({ length: count }, (_, i) => keys.find(setName(field, day, buckets, from + i)));
      await redis.unlink(...names);
    }
  }
  await redis.hdel(keys.findDays, `${day}.${buckets}`);
}
