/** Dead letters: messages, or the part of their recipients, that will not be tried again by themselves. Kept whole, with the reason. */
import { unsealed, type Sealing } from '../../sealing/sealing.ts';
import { run, script } from '../lua/script.ts';
import { plainFormOf, readData, storedData, type LetterContent } from './letter-data.ts';
import { letterPage, type LetterPage, type LetterPageAsked } from './letter-pages.ts';
import type { RedisClient } from '../redis/connection.ts';
import type { ShardKeys } from '../redis/keys.ts';
import type { Shards } from '../redis/shards.ts';

/** The closed list of reasons. */
export const deadReasons = [
  'rejected',
  'expired',
  'no-route',
  'invalid-message',
  'too-large',
  'uncertain',
  'stalled',
  'suppressed',
] as const;
export type DeadReason = (typeof deadReasons)[number];

export interface DeadRecipient {
  readonly address: string;
  readonly code: string | null;
  readonly reply: string | null;
}

/** What a listing shows: everything but the message. `at` in ms since the epoch. */
export interface DeadLetterSummary {
  readonly id: string;
  readonly reason: DeadReason;
  readonly connector: string | null;
  readonly recipients: readonly DeadRecipient[];
  readonly at: number;
  readonly reply: string | null;
  readonly attempts: number;
  /** When the message was accepted, ms since the epoch: its Date, which a replay keeps. */
  readonly acceptedAt: number;
  /** Address; null in letters of earlier releases, and of messages that could not be read. */
  readonly from?: string | null;
}

export interface DeadLetter extends DeadLetterSummary, LetterContent {}

export interface DeadLetterFilter {
  readonly reason?: DeadReason;
  readonly connector?: string;
  /** ms since the epoch, inclusive. */
  readonly since?: number;
  readonly until?: number;
}

const summaryFields = ['reason', 'connector', 'recipients', 'at', 'reply', 'attempts', 'acceptedAt', 'from'] as const;
const pageSize = 200;

export function deadLetterFields(letter: DeadLetter, sealing: Sealing): string[] {
  const { data, form } = storedData(letter.id, letter, sealing);
  const fields = {
    reason: letter.reason,
    connector: letter.connector ?? '',
    recipients: JSON.stringify(letter.recipients),
    at: String(letter.at),
    reply: letter.reply ?? '',
    attempts: String(letter.attempts),
    acceptedAt: String(letter.acceptedAt),
    from: letter.from ?? '',
    data,
    form,
  };
  return Object.entries(fields).flat();
}

export interface DeadLetters {
  count(): Promise<number>;
  /** Oldest first, a page of Redis at a time. */
  list(filter: DeadLetterFilter): AsyncGenerator<DeadLetterSummary>;
  /** What is short of each, some hundred at a time. */
  page(asked: LetterPageAsked): Promise<LetterPage>;
  get(id: string): Promise<DeadLetter | null>;
  /** The same without the message, which is then not parsed. */
  summary(id: string): Promise<DeadLetterSummary | null>;
  /** In which form its content is kept; null if there is none of this id. */
  form(id: string): Promise<string | null>;
  /** true if it was there. With `read`, only that letter: a message that died again meanwhile has another under the same id. */
  drop(id: string, read?: Pick<DeadLetterSummary, 'at' | 'attempts'>): Promise<boolean>;
  /** The ones that died first. */
  oldest(limit: number): Promise<{ readonly id: string; readonly at: number }[]>;
  /** Ids of the dead letters that are over the bounds, oldest first; dropping them is the caller's, who also frees their content. */
  overdue(bounds: { now: number; maxAgeMs: number; maxCount: number; limit: number }): Promise<string[]>;
}

/**
 * A script, as a full Redis refuses every transaction (MULTI), also one that frees memory; and as the letter is compared in the same
 * step. `at` and `attempts` are those of the letter that is meant, or ''. → 1 if there was a letter, or an entry of the index. @lua
 */
export const dropScript = script(
  { keys: ['letter', 'index'], args: ['id', 'at', 'attempts'] },
  /* lua */ `
if at ~= '' then
  local found = redis.call('HMGET', letter, 'at', 'attempts')
  local foundAt = tonumber(found[1] or '')
  if foundAt and (foundAt ~= tonumber(at) or (tonumber(found[2] or '') or 0) ~= tonumber(attempts)) then return 0 end
end
local letters = redis.call('DEL', letter)
return math.max(letters, redis.call('ZREM', index, id))
`,
);

/** Each dead letter is in the shard that its message's row was in; lists are merged by the time of death. */
export function createDeadLetters(
  redis: RedisClient,
  { all }: Shards,
  sealing: () => Sealing = () => unsealed,
): DeadLetters {
  const over = <T>(ask: (keys: ShardKeys) => Promise<T>): Promise<T[]> => Promise.all(all.map(ask));
  const count = async (): Promise<number> =>
    (await over(({ dead }) => redis.zcard(dead))).reduce((sum, each) => sum + each, 0);
  const oldest = async (limit: number): Promise<{ readonly id: string; readonly at: number }[]> => {
    const found = await over(({ dead }) => redis.zrange(dead, 0, String(limit - 1), 'WITHSCORES'));
    return found
      .flatMap((flat) => flat.flatMap((id, i) => (i % 2 === 0 ? [{ id, at: Number(flat[i + 1]) }] : [])))
      .sort((a, b) => a.at - b.at)
      .slice(0, limit);
  };
  return {
    count,
    oldest,
    page: (asked) => letterPage(redis, all, asked),
    list: (filter) => merged(all.map((keys) => listOf(redis, keys, filter))),

    async get(id) {
      const hashes = await over((keys) => redis.hgetall(keys.deadLetter(id)));
      for (const hash of hashes) {
        const row = parseSummary(id, hash);
        if (row === null) continue;
        return { ...row, ...readData(id, hash['form'], hash['data'] ?? '', sealing()) };
      }
      return null;
    },

    async summary(id) {
      const rows = await over((keys) => summaryOf(redis, keys, id));
      return rows.find((row) => row !== null) ?? null;
    },

    async form(id) {
      const found = await over((keys) => redis.hmget(keys.deadLetter(id), 'reason', 'form'));
      const [, form] = found.find(([reason]) => reason) ?? [null, null];
      return found.some(([reason]) => reason) ? plainFormOf(form) : null;
    },

    async drop(id, read) {
      // What is no number in Redis is not compared, so that it can be dropped.
      const known = read !== undefined && Number.isFinite(read.at) && Number.isFinite(read.attempts) ? read : null;
      const args = { id, at: known?.at ?? '', attempts: known?.attempts ?? '' };
      const dropped = await over(async (keys) =>
        run(redis, dropScript, { keys: { letter: keys.deadLetter(id), index: keys.dead }, args }),
      );
      return dropped.includes(1);
    },

    async overdue({ now, maxAgeMs, maxCount, limit }) {
      const old = await over(({ dead }) => redis.zrangebyscore(dead, '-inf', now - maxAgeMs, 'LIMIT', 0, limit));
      const excess = (await count()) - maxCount;
      const many = excess > 0 ? await oldest(Math.min(excess, limit)) : [];
      return [...new Set([...old.flat(), ...many.map(({ id }) => id)])];
    },
  };
}

async function summaryOf(redis: RedisClient, keys: ShardKeys, id: string): Promise<DeadLetterSummary | null> {
  const values = await redis.hmget(keys.deadLetter(id), ...summaryFields);
  return parseSummary(id, Object.fromEntries(summaryFields.map((field, i) => [field, values[i] ?? ''])));
}

async function* listOf(
  redis: RedisClient,
  keys: ShardKeys,
  { reason, connector, since, until }: DeadLetterFilter,
): AsyncGenerator<DeadLetterSummary> {
  // Paged by score, not by rank: rows that are dropped meanwhile must not make the listing skip others.
  let from: number = since ?? 0;
  let seen = new Set<string>();
  for (;;) {
    const limit = pageSize + seen.size;
    const flat = await redis.zrangebyscore(keys.dead, from, until ?? '+inf', 'WITHSCORES', 'LIMIT', 0, limit);
    const page: [string, number][] = [];
    for (let i = 0; i + 1 < flat.length; i += 2) page.push([flat[i]!, Number(flat[i + 1])]);
    const fresh = page.filter(([id]) => !seen.has(id));
    if (fresh.length === 0) return;
    const rows = await Promise.all(fresh.map(([id]) => summaryOf(redis, keys, id)));
    for (const row of rows) {
      if (row === null) continue;
      if (reason !== undefined && row.reason !== reason) continue;
      if (connector !== undefined && row.connector !== connector) continue;
      yield row;
    }
    const last = fresh.at(-1)![1];
    seen = new Set([...(last === from ? seen : []), ...fresh.filter(([, at]) => at === last).map(([id]) => id)]);
    from = last;
  }
}

/** Each is sorted; so is what comes out. */
async function* merged(lists: AsyncGenerator<DeadLetterSummary>[]): AsyncGenerator<DeadLetterSummary> {
  const heads = await Promise.all(lists.map((list) => list.next()));
  for (;;) {
    let first: number | null = null;
    for (const [i, head] of heads.entries()) {
      if (head.done === true) continue;
      const best = first === null ? null : heads[first]!;
      if (best === null || best.done === true || head.value.at < best.value.at) first = i;
    }
    if (first === null) return;
    const head = heads[first]!;
    if (head.done !== true) yield head.value;
    heads[first] = await lists[first]!.next();
  }
}

function parseSummary(id: string, hash: Record<string, string>): DeadLetterSummary | null {
  const reason = deadReasons.find((name) => name === hash['reason']);
  if (reason === undefined) return null;
  const recipients = fromJson(hash['recipients']);
  return {
    id,
    reason,
    connector: hash['connector'] || null,
    recipients: Array.isArray(recipients) ? (recipients as DeadRecipient[]) : [],
    at: Number(hash['at']),
    reply: hash['reply'] || null,
    attempts: Number(hash['attempts'] ?? 0),
    acceptedAt: Number(hash['acceptedAt'] ?? hash['at']),
    from: hash['from'] || null,
  };
}

/** Nothing that comes out of Redis may break a reader. */
function fromJson(text: string | undefined): unknown {
  try {
    return text === undefined ? null : (JSON.parse(text) as unknown);
  } catch {
    return null;
  }
}
