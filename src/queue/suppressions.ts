/**
 * The suppression list: addresses that get no mail, each with its reason, its origin and its end. It is in the home shard; every other
 * shard has a mark beside its lanes, so that a fence there knows that there is a list.
 *
 * An address is kept in its compare form (`routingKey`): lower case, the domain as A-label. A sub-address is an address of its own.
 */
import { printable } from '../errors.ts';
import { routingKey } from '../message/address.ts';
import { luaNow, run, runReading, script, write } from './lua/script.ts';
import type { RedisClient } from './redis/connection.ts';
import type { HomeKeys } from './redis/keys.ts';
import type { Shards } from './redis/shards.ts';

/** What put an address on the list. */
export const suppressionOrigins = ['operator', 'import', 'bounce', 'complaint'] as const;
export type SuppressionOrigin = (typeof suppressionOrigins)[number];

/** Entries of the list: some 450 bytes of Redis each. */
export const maxSuppressions = 200_000;
/** Characters of a reason. */
export const maxSuppressionReason = 500;
/** The last end of an entry, ms since the epoch: the end of the year 9999. */
export const latestEnd = 253_402_300_799_999;

export interface Suppression {
  /** In its compare form. */
  readonly address: string;
  readonly reason: string | null;
  readonly origin: SuppressionOrigin;
  /** Who added it: as in the audit, or the connector whose mailbox had the report. */
  readonly by: string | null;
  /** When it was added, ms since the epoch, by Redis' clock. */
  readonly at: number;
  /** Until when it counts, ms since the epoch; null is for good. */
  readonly until: number | null;
}

export type NewSuppression = Omit<Suppression, 'at'>;

/** `kept`: the entry that is there stays, as it ends later. `full`: the list has `maxSuppressions` entries. */
export type AddedSuppression = 'added' | 'replaced' | 'kept' | 'full';

interface SuppressionPage {
  readonly items: readonly Suppression[];
  /** The address after which to go on; null at the end. */
  readonly next: string | null;
}

interface SuppressionsAsked {
  /** Only addresses that begin so, in their compare form. */
  readonly prefix?: string;
  readonly origin?: SuppressionOrigin;
  /** The address after which the page begins. */
  readonly after?: string | null;
  readonly limit: number;
}

export interface Suppressions {
  /** The one function that adds an entry. `longer`: one that is there and ends later stays. Default: it is replaced. */
  add(entry: NewSuppression, which?: 'longer'): Promise<AddedSuppression>;
  /** → the entry that was there; null if there was none. */
  remove(address: string): Promise<Suppression | null>;
  get(address: string): Promise<Suppression | null>;
  /** By address. */
  list(asked: SuppressionsAsked): Promise<SuppressionPage>;
  count(): Promise<number>;
  /** Those of the addresses that are suppressed at a time (ms), each as it was asked for → its entry; null if there is no list. */
  among(addresses: readonly string[], now: number): Promise<ReadonlyMap<string, Suppression> | null>;
  /** Removes entries that have ended. → how many. */
  trim(now: number): Promise<number>;
  /** Marks the other shards, where there is a list. */
  mark(): Promise<void>;
}

/** Entries that one round of maintenance removes at most. */
const trimmedAtOnce = 1_000;
/** Entries that one page looks at, where a filter fits few of them. */
const mostLookedAt = 20_000;
const pageSize = 500;

/** `entry` is JSON without `at`, which is Redis' time. @lua */
export const addSuppressionScript = script(
  { keys: ['list', 'names', 'ends'], args: ['address', 'entry', 'endsAt', 'longer', 'most'], allowOom: true },
  /* lua */ `${luaNow}
local before = redis.call('HGET', list, address)
if before and longer == '1' then
  local found = redis.call('ZSCORE', ends, address)
  if not found or (endsAt ~= '' and tonumber(found) >= tonumber(endsAt)) then return 'kept' end
end
if not before and redis.call('HLEN', list) >= tonumber(most) then return 'full' end
redis.call('HSET', list, address, string.format('%.0f', now) .. entry)
redis.call('ZADD', names, 0, address)
if endsAt == '' then redis.call('ZREM', ends, address) else redis.call('ZADD', ends, endsAt, address) end
return before and 'replaced' or 'added'
`,
);

/** `endedAt`: only an entry that ends no later; '' is any. → the entry, or nil. @lua */
export const removeSuppressionScript = script(
  { keys: ['list', 'names', 'ends'], args: ['address', 'endedAt'], allowOom: true },
  /* lua */ `
if endedAt ~= '' then
  local found = redis.call('ZSCORE', ends, address)
  if not found or tonumber(found) > tonumber(endedAt) then return false end
end
local before = redis.call('HGET', list, address)
redis.call('HDEL', list, address)
redis.call('ZREM', names, address)
redis.call('ZREM', ends, address)
return before
`,
);

/** → place and entry of each address that is there; nil without a list. A call has at most some thousand values (LUAI_MAXCSTACK). @lua */
export const amongScript = script(
  { keys: ['list'], moreArgs: 'addresses' },
  /* lua */ `
if redis.call('EXISTS', list) == 0 then return false end
local found = {}
for from = 1, #addresses, 1000 do
  local entries = redis.call('HMGET', list, unpack(addresses, from, math.min(from + 999, #addresses)))
  for i, entry in ipairs(entries) do
    if entry then
      found[#found + 1] = from + i - 1
      found[#found + 1] = entry
    end
  end
end
return found
`,
);

export function createSuppressions(redis: RedisClient, home: HomeKeys, shards: Shards): Suppressions {
  const keys = { list: home.suppressions, names: home.suppressionNames, ends: home.suppressionEnds };
  const others = shards.all.filter(({ prefix }) => prefix !== home.prefix);
  const markAll = async (): Promise<void> => {
    await Promise.all(others.map(({ suppressions }) => write(redis, 'SET', suppressions, '1')));
  };
  const read = async (addresses: readonly string[]): Promise<(Suppression | null)[]> => {
    if (addresses.length === 0) return [];
    const found = await redis.hmget(keys.list, ...addresses);
    return addresses.map((address, i) => entryOf(address, found[i] ?? null));
  };
  return {
    async add({ address, reason, origin, by, until }, which) {
      // First, as an entry that no fence asks for would be none.
      await markAll();
      const text = reason === null ? null : printable(reason, maxSuppressionReason).toWellFormed();
      const ends = until === null ? '' : Math.min(Math.max(0, Math.floor(until)), latestEnd);
      const entry = JSON.stringify({ reason: text, origin, by, until: ends === '' ? null : ends });
      const args = { address: routingKey(address), entry, endsAt: ends, longer: which ? 1 : 0, most: maxSuppressions };
      return (await run(redis, addSuppressionScript, { keys, args })) as AddedSuppression;
    },

    async remove(address) {
      const key = routingKey(address);
      const before = await run(redis, removeSuppressionScript, { keys, args: { address: key, endedAt: '' } });
      return entryOf(key, before);
    },

    get: async (address) => (await read([routingKey(address)]))[0] ?? null,

    async list({ prefix = '', origin, after = null, limit }) {
      const items: Suppression[] = [];
      const last = prefix === '' ? '+' : `[${prefix}\u{10FFFF}`;
      let from = after === null ? `[${prefix}` : `(${after}`;
      for (let seen = 0; seen < mostLookedAt; seen += pageSize) {
        const names = await redis.zrangebylex(keys.names, from, last, 'LIMIT', 0, pageSize);
        for (const entry of await read(names)) {
          if (entry === null || (origin !== undefined && entry.origin !== origin)) continue;
          if (items.length === limit) return { items, next: items.at(-1)?.address ?? null };
          items.push(entry);
        }
        const end = names.at(-1);
        if (end === undefined || names.length < pageSize) return { items, next: null };
        from = `(${end}`;
      }
      return { items, next: from.slice(1) };
    },

    count: () => redis.hlen(keys.list),

    async among(addresses, now) {
      const moreArgs = addresses.map(routingKey);
      const found = await runReading(redis, amongScript, { keys: { list: keys.list }, moreArgs });
      if (!Array.isArray(found)) return null;
      const entries = new Map<string, Suppression>();
      for (let i = 0; i + 1 < found.length; i += 2) {
        const place = Number(found[i]) - 1;
        const [address, key] = [addresses[place], moreArgs[place]];
        const entry = key === undefined ? null : entryOf(key, found[i + 1]);
        if (address !== undefined && entry !== null && (entry.until === null || entry.until > now)) {
          entries.set(address, entry);
        }
      }
      return entries;
    },

    async trim(now) {
      const ended = await redis.zrangebyscore(keys.ends, '-inf', now, 'LIMIT', 0, trimmedAtOnce);
      for (const address of ended) await run(redis, removeSuppressionScript, { keys, args: { address, endedAt: now } });
      return ended.length;
    },

    async mark() {
      if (others.length > 0 && (await redis.exists(keys.list)) > 0) await markAll();
    },
  };
}

/** Written by us: the time, and JSON. What cannot be read still suppresses: nothing is sent because an entry is damaged. */
function entryOf(address: string, stored: unknown): Suppression | null {
  if (typeof stored !== 'string') return null;
  const brace = stored.indexOf('{');
  const at = Number(stored.slice(0, Math.max(brace, 0)));
  const { reason, origin, by, until } = fieldsOf(stored.slice(brace));
  return {
    address,
    reason: typeof reason === 'string' ? reason : null,
    origin: suppressionOrigins.find((name) => name === origin) ?? 'operator',
    by: typeof by === 'string' ? by : null,
    at: Number.isFinite(at) ? at : 0,
    until: typeof until === 'number' ? until : null,
  };
}

function fieldsOf(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
  } catch {
    return {};
  }
}
