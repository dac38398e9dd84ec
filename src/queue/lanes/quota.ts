/**
 * How much a connector, or a group of them, may still send within a window, shared by all workers: recipients of a day, bytes of some
 * minutes, messages of a minute.
 *
 * Amounts are counted in buckets of Redis' clock, each under the time of its end, and leave the window only when all of a
 * bucket is older than it. So no window of that length, wherever it begins, ever holds more than the limit; the price is up
 * to two buckets of waiting (a bucket is a sixtieth of the window). What is booked is booked before the attempt: a worker that
 * dies leaves its booking behind, and the connector sends less, never more.
 */
import { createHash } from 'node:crypto';
import type { RedisClient } from '../redis/connection.ts';
import type { Shards } from '../redis/shards.ts';
import { luaNow, run, script } from '../lua/script.ts';

/** A closed list: also why a lane waits. */
export type OwnQuotaKind = 'recipients-per-day' | 'bytes';
/** `messages-per-minute` is of groups: a lane has its own pace, which BullMQ keeps. `messages-per-day` is of who submits. */
export type QuotaKind = OwnQuotaKind | 'messages-per-minute' | 'messages-per-day';

/** A limit that is counted, in the window that it has. */
export interface QuotaWindow<Kind extends QuotaKind = QuotaKind> {
  readonly kind: Kind;
  readonly limit: number;
  readonly windowMs: number;
}

interface CountedLimits {
  readonly recipientsPerDay?: number | null;
  readonly bytesPerWindow?: { readonly bytes: number; readonly windowMs: number } | null;
}

const dayMs = 86_400_000;
const minuteMs = 60_000;

/** Those of a connector's own limits that are counted. */
export function quotasOf({
  recipientsPerDay = null,
  bytesPerWindow = null,
}: CountedLimits): QuotaWindow<OwnQuotaKind>[] {
  return [
    ...(recipientsPerDay === null
      ? []
      : [{ kind: 'recipients-per-day', limit: recipientsPerDay, windowMs: dayMs } as const]),
    ...(bytesPerWindow === null
      ? []
      : [{ kind: 'bytes', limit: bytesPerWindow.bytes, windowMs: bytesPerWindow.windowMs } as const]),
  ];
}

/** The same of a group. */
export function groupQuotasOf(group: CountedLimits & { readonly messagesPerMinute: number | null }): QuotaWindow[] {
  const { messagesPerMinute } = group;
  const pace = { kind: 'messages-per-minute', limit: messagesPerMinute ?? 0, windowMs: minuteMs } as const;
  return [...(messagesPerMinute === null ? [] : [pace]), ...quotasOf(group)];
}

/** What a sending application may submit within any 24 hours; null is unlimited. */
export interface SenderLimits {
  readonly messagesPerDay: number | null;
  readonly recipientsPerDay: number | null;
}

/** The same of a sending application. */
export function senderQuotasOf({ messagesPerDay, recipientsPerDay }: SenderLimits): QuotaWindow[] {
  const messages = { kind: 'messages-per-day', limit: messagesPerDay ?? 0, windowMs: dayMs } as const;
  return [...(messagesPerDay === null ? [] : [messages]), ...quotasOf({ recipientsPerDay })];
}

/** Under which a sending application counts, whatever characters its name has. */
export function ownerOfSender(name: string): string {
  return `=${createHash('sha256').update(name).digest('base64url').slice(0, 22)}`;
}

/** Under which a group counts: no id of a connector has an @. Its shard is its own, which may be none of its connectors'. */
export function ownerOfGroup(id: string): string {
  return `@${id}`;
}

/** So much of a kind, within a window that may hold `limit` of it. */
export interface Demand extends QuotaWindow {
  readonly amount: number;
}

/** The sum of what was booked within the window, in all buckets that are not wholly older than it, and when each leaves. */
const luaBooked = `
local function booked(key, windowMs)
  local sum, counts, stale, flat = 0, {}, {}, redis.call('HGETALL', key)
  for i = 1, #flat, 2 do
    local till, amount = tonumber(flat[i]) + windowMs, tonumber(flat[i + 1])
    if till > now then
      sum = sum + amount
      counts[#counts + 1] = { till, amount }
    else stale[#stale + 1] = flat[i] end
  end
  return sum, counts, stale
end
`;

/**
 * All or nothing, over a hash "end of bucket → amount" for each demand. Arguments: for each demand amount, limit, window ms,
 * bucket ms. → [ms to wait or 0, which demand (from 0) must wait the longest, the bucket of each].
 *
 * @lua
 */
export const takeScript = script(
  { keys: [], moreKeys: 'hashes', moreArgs: 'demands', allowOom: true },
  /* lua */ `${luaNow}${luaBooked}
local wait, which, buckets = 0, 0, {}
for i, key in ipairs(hashes) do
  local amount, limit, windowMs, bucketMs = unpack(demands, i * 4 - 3, i * 4)
  local sum, counts, stale = booked(key, tonumber(windowMs))
  for _, bucket in ipairs(stale) do redis.call('HDEL', key, bucket) end
  buckets[i] = (math.floor(now / bucketMs) + 1) * bucketMs
  local over = sum + amount - limit
  if over > 0 then
    table.sort(counts, function(a, b) return a[1] < b[1] end)
    local till = now + windowMs
    for _, count in ipairs(counts) do
      over = over - count[2]
      if over <= 0 then till = count[1]; break end
    end
    if till - now > wait then wait, which = till - now, i - 1 end
  end
end
if wait > 0 then return { math.ceil(wait), which } end
for i, key in ipairs(hashes) do
  local amount, _, windowMs, bucketMs = unpack(demands, i * 4 - 3, i * 4)
  redis.call('HINCRBY', key, string.format('%.0f', buckets[i]), amount)
  redis.call('PEXPIRE', key, string.format('%.0f', windowMs + 2 * bucketMs))
  buckets[i] = string.format('%.0f', buckets[i])
end
return { 0, 0, unpack(buckets) }
`,
);

/** Over the same hashes, with a window in ms for each. → how much of each window is used. @lua */
export const usedScript = script(
  { keys: [], moreKeys: 'hashes', moreArgs: 'windows' },
  /* lua */ `${luaNow}${luaBooked}
local used = {}
for i, key in ipairs(hashes) do used[i] = string.format('%.0f', (booked(key, tonumber(windows[i])))) end
return used
`,
);

/** Over the same hashes, with four values for each: the old bucket, what goes from it, the bucket ms, and what comes into the present one. @lua */
export const correctScript = script(
  { keys: [], moreKeys: 'hashes', moreArgs: 'corrections', allowOom: true },
  /* lua */ `${luaNow}
for i, key in ipairs(hashes) do
  local bucket, less, bucketMs, more = unpack(corrections, i * 4 - 3, i * 4)
  -- A hash that is gone was older than its window: nothing is left to give back.
  if redis.call('EXISTS', key) == 1 then
    redis.call('HINCRBY', key, bucket, '-' .. less)
    if tonumber(more) > 0 then
      redis.call('HINCRBY', key, string.format('%.0f', (math.floor(now / bucketMs) + 1) * bucketMs), more)
    end
  end
end
`,
);

/** What was booked for one attempt. */
export interface Booking {
  readonly parts: readonly { readonly demand: Demand; readonly bucket: string }[];
}

/** `owner`: a connector's id, `ownerOfGroup` or `ownerOfSender`. */
export interface Quota {
  /** Books all demands of an attempt, or none: then how long to wait, in ms, and for which. Nothing demanded costs nothing. */
  take(owner: string, demands: readonly Demand[]): Promise<{ waitMs: number; kind: QuotaKind } | { booking: Booking }>;
  /**
   * After the attempt: keeps what was really used of each kind and gives back the rest. An attempt that took longer than a
   * bucket is counted from its end, as the server may count it. No round trip where the booking stands as it is.
   */
  settle(owner: string, booking: Booking, used: (kind: QuotaKind) => number, elapsedMs: number): Promise<void>;
  /** How much is booked within each window now. */
  used(owner: string, windows: readonly { readonly kind: QuotaKind; readonly windowMs: number }[]): Promise<number[]>;
}

function bucketMsOf(windowMs: number): number {
  return Math.max(1, Math.ceil(windowMs / 60));
}

/** The window as it is enforced: one bucket longer, for what is on its way to the server when it is booked. */
function enforcedMs(windowMs: number): number {
  return windowMs + bucketMsOf(windowMs);
}

/** A message that is larger than the whole window goes out alone, rather than never. */
function bookedOf({ amount, limit }: Demand): number {
  return Math.min(amount, limit);
}

export function createQuota(redis: RedisClient, shards: Shards): Quota {
  const keyOf = (owner: string, kind: QuotaKind): string => shards.keysOf(owner).quota(owner, kind);
  return {
    async take(owner, demands) {
      if (demands.length === 0) return { booking: { parts: [] } };
      const args = demands.flatMap((demand) => {
        const { limit, windowMs } = demand;
        return [bookedOf(demand), limit, enforcedMs(windowMs), bucketMsOf(windowMs)];
      });
      const hashes = demands.map(({ kind }) => keyOf(owner, kind));
      const [waitMs, which, ...buckets] = (await run(redis, takeScript, {
        keys: {},
        moreKeys: hashes,
        moreArgs: args,
      })) as unknown[];
      if (Number(waitMs) > 0) return { waitMs: Number(waitMs), kind: demands[Number(which)]!.kind };
      return { booking: { parts: demands.map((demand, i) => ({ demand, bucket: String(buckets[i]) })) } };
    },

    async settle(owner, { parts }, used, elapsedMs) {
      const changed = parts.flatMap(({ demand, bucket }) => {
        const booked = bookedOf(demand);
        const keep = Math.min(booked, Math.max(0, used(demand.kind)));
        const bucketMs = bucketMsOf(demand.windowMs);
        const moves = elapsedMs >= bucketMs;
        const less = moves ? booked : booked - keep;
        if (less === 0) return [];
        return [{ key: keyOf(owner, demand.kind), args: [bucket, less, bucketMs, moves ? keep : 0] }];
      });
      if (changed.length === 0) return;
      const moreKeys = changed.map(({ key }) => key);
      await run(redis, correctScript, { keys: {}, moreKeys, moreArgs: changed.flatMap(({ args }) => args) });
    },

    async used(owner, windows) {
      if (windows.length === 0) return [];
      const hashes = windows.map(({ kind }) => keyOf(owner, kind));
      const spans = windows.map(({ windowMs }) => enforcedMs(windowMs));
      return ((await run(redis, usedScript, { keys: {}, moreKeys: hashes, moreArgs: spans })) as unknown[]).map(Number);
    },
  };
}
