/**
 * What an installation has stored, as a file that any Redis or Valkey can take: by type and value, not by DUMP, whose form depends on
 * the server's version. Restored later, all times move with it, so that what was due in an hour is due in an hour.
 */
import type { Redis } from 'ioredis';

interface StoredKey {
  /** After the prefix. */
  readonly key: string;
  readonly type: 'string' | 'hash' | 'list' | 'set' | 'zset';
  /** Texts in latin1, so that bytes survive: a value; fields and values; elements; members and scores. */
  readonly value: readonly string[];
  /** Remaining life, in ms; null without an end. */
  readonly ttlMs: number | null;
}

export interface StoredData {
  /** When it was read, ms since the epoch. */
  readonly at: number;
  readonly keys: readonly StoredKey[];
}

/** Streams are BullMQ's events, which nothing of ours reads; locks belong to processes that are gone. */
export async function readStored(redis: Redis, prefix: string, now: number): Promise<StoredData> {
  const keys: StoredKey[] = [];
  const names = (await redis.keys(`${prefix.replace(/[{}[\]*?]/g, '\\$&')}:*`)).sort();
  for (const name of names) {
    const type = await redis.type(name);
    const pttl = await redis.pttl(name);
    // `none`: it has expired meanwhile.
    if (type === 'stream' || type === 'none' || name.endsWith(':lock')) continue;
    keys.push({
      key: name.slice(prefix.length),
      type: type as StoredKey['type'],
      value: (await readValue(redis, name, type)).map((one) => one.toString('latin1')),
      ttlMs: pttl < 0 ? null : pttl,
    });
  }
  return { at: now, keys };
}

async function readValue(redis: Redis, name: string, type: string): Promise<Buffer[]> {
  switch (type) {
    case 'string':
      return [(await redis.getBuffer(name)) ?? Buffer.alloc(0)];
    case 'hash':
      return Object.entries(await redis.hgetallBuffer(name)).flatMap(([field, value]) => [Buffer.from(field), value]);
    case 'list':
      return redis.lrangeBuffer(name, 0, '-1');
    case 'set':
      return redis.smembersBuffer(name);
    case 'zset':
      return redis.zrangeBuffer(name, 0, '-1', 'WITHSCORES');
    default:
      throw new Error(`${name} is a ${type}, which cannot be stored`);
  }
}

/** Writes it under the prefix, as if it had been stored at `now`. */
export async function restoreStored(redis: Redis, prefix: string, stored: StoredData, now: number): Promise<void> {
  const shiftMs = now - stored.at;
  const moved = (text: string): Buffer => Buffer.from(shifted(text, stored.at, shiftMs), 'latin1');
  for (const { key, type, value, ttlMs } of stored.keys) {
    const name = `${prefix}${key}`;
    // Contents are bytes under their hash: a number within them is no time.
    const isContent = type === 'string' && key.startsWith(':content:');
    const values = isContent ? value.map((one) => Buffer.from(one, 'latin1')) : value.map(moved);
    if (type === 'string') await redis.set(name, values[0] ?? '');
    else if (type === 'hash') await redis.hset(name, ...values);
    else if (type === 'list') await redis.rpush(name, ...values);
    else if (type === 'set') await redis.sadd(name, ...values);
    else await redis.zadd(name, ...pairs(values).flatMap(([member, score]) => [String(score), member]));
    if (ttlMs !== null) await redis.pexpire(name, ttlMs);
  }
}

function pairs(values: readonly Buffer[]): [Buffer, Buffer][] {
  return values.flatMap((member, at): [Buffer, Buffer][] => (at % 2 === 0 ? [[member, values[at + 1]!]] : []));
}

const yearMs = 365 * 86_400_000;
/** Times are kept in ms and in µs; BullMQ's scores of delayed jobs are ms times 4,096, with a counter below. */
const scales = [1, 1_000, 4_096];

/** Every number in the text that is a time near `at`, and every ISO time, later by `shiftMs`. */
function shifted(text: string, at: number, shiftMs: number): string {
  const numbers = text.replace(/(?<![\w.-])\d{13,17}(?![\w-])/g, (digits) => {
    const scale = scales.find((each) => Math.abs(Number(digits) / each - at) < yearMs);
    return scale === undefined ? digits : String(Number(digits) + shiftMs * scale);
  });
  return numbers.replace(/\b\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{3})?Z/g, (time) => {
    const ms = Date.parse(time);
    return Math.abs(ms - at) < yearMs ? new Date(ms + shiftMs).toISOString() : time;
  });
}
