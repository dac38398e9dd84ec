/** Pages of dead letters as they are counted, grouped and selected: what is short of each, without recipients and message. */
import { run, script } from '../lua/script.ts';
import { plainFormOf } from './letter-data.ts';
import type { RedisClient } from '../redis/connection.ts';
import type { ShardKeys } from '../redis/keys.ts';

export interface LetterDigest {
  readonly id: string;
  /** When it died, ms since the epoch. */
  readonly at: number;
  readonly reason: string;
  readonly connector: string | null;
  readonly reply: string | null;
  readonly recipients: number;
  /** Address; null where it is not known: of an invalid message, or a letter of an earlier release. */
  readonly from: string | null;
  readonly form: string;
  /** Its message may have arrived, and is for an operator to resolve. */
  readonly held: boolean;
}

/** A place between two dead letters. */
export interface LetterPlace {
  readonly at: number;
  readonly id: string;
}

export interface LetterPageAsked {
  readonly order: 'oldest' | 'newest';
  /** Behind this one, in that order; null is the beginning. */
  readonly after: LetterPlace | null;
  /** ms since the epoch, inclusive. */
  readonly since?: number;
  readonly until?: number;
  /** Only letters that name this address. */
  readonly recipient?: string;
}

export interface LetterPage {
  readonly digests: readonly LetterDigest[];
  /** Where to go on; null at the end. */
  readonly next: LetterPlace | null;
}

/** Of one script: about two milliseconds of Redis' time, in which it serves no other client. */
const pageSize = 500;

/**
 * By rank, from the first that is behind the place: letters of one millisecond are sorted by their id. → the place where to go on, '' at the
 * end, then id, time, reason, connector, reply, number of recipients, From, form and 1 if it is held. @lua
 */
export const letterPageScript = script(
  {
    keys: ['index'],
    args: ['letters', 'rows', 'order', 'at', 'id', 'since', 'till', 'count', 'recipient'],
  },
  /* lua */ `
local newest, place = order == 'newest', tonumber(at)
local function behind(letter, score)
  if not place or score ~= place then return true end
  if newest then return letter < id end
  return letter > id
end
local rank
if place and tonumber(redis.call('ZSCORE', index, id) or '') == place then
  rank = redis.call(newest and 'ZREVRANK' or 'ZRANK', index, id) + 1
elseif newest then rank = redis.call('ZCOUNT', index, (place and '(' .. at) or (till == '+inf' and '+inf' or '(' .. till), '+inf')
else rank = redis.call('ZCOUNT', index, '-inf', (place and '(' .. at) or (since == '-inf' and '-inf' or '(' .. since)) end
local function recipientsOf(text)
  local count, from = 0, 1
  while true do
    local _, last = string.find(text, '"address":', from, true)
    if not last then return count end
    count, from = count + 1, last + 1
  end
end
local wanted = recipient ~= '' and string.lower(cjson.encode(recipient)) or nil
local found, last = { '', '' }, nil
local ids
repeat
  ids = redis.call(newest and 'ZREVRANGE' or 'ZRANGE', index, rank, rank + count, 'WITHSCORES')
  rank = rank + count
  -- The letter of the place is gone, and more than a page died in its millisecond.
until #ids == 0 or behind(ids[#ids - 1], tonumber(ids[#ids]))
local low, high = tonumber(since) or -math.huge, tonumber(till) or math.huge
for i = 1, #ids, 2 do
  local letter, score = ids[i], tonumber(ids[i + 1])
  if (newest and score < low) or (not newest and score > high) then return found end
  if i > 2 * count then
    found[1], found[2] = last[2], last[1]
    return found
  end
  last = { letter, ids[i + 1] }
  local fields = behind(letter, score) and redis.pcall('HMGET', letters .. letter, 'reason', 'connector', 'reply', 'recipients', 'from', 'form')
  if fields and not fields.err and fields[1] then
    local text = fields[4] or ''
    if not wanted or string.find(string.lower(text), '"address":' .. wanted, 1, true) then
      local held = 0
      if fields[1] == 'uncertain' and redis.call('HGET', rows .. letter, 'state') == 'held' then held = 1 end
      for _, value in ipairs({ letter, ids[i + 1], fields[1], fields[2] or '', fields[3] or '', recipientsOf(text),
        fields[5] or '', fields[6] or '', held }) do found[#found + 1] = value end
    end
  end
end
return found
`,
);

/** Values of a digest in the answer of the script. */
const width = 9;

async function pageIn(redis: RedisClient, keys: ShardKeys, asked: LetterPageAsked): Promise<LetterPage> {
  const { order, after, since, until, recipient = '' } = asked;
  const args = {
    letters: keys.deadLetter(''),
    rows: keys.ledger(''),
    order,
    at: after?.at ?? '',
    id: after?.id ?? '',
    since: since ?? '-inf',
    till: until ?? '+inf',
    count: pageSize,
    recipient,
  };
  const [nextAt, nextId, ...flat] = (await run(redis, letterPageScript, { keys: { index: keys.dead }, args })) as (
    | string
    | number
  )[];
  const digests: LetterDigest[] = [];
  for (let i = 0; i + width <= flat.length; i += width) {
    const [id, at, reason, connector, reply, recipients, from, form, held] = flat.slice(i, i + width);
    digests.push({
      id: String(id),
      at: Number(at),
      reason: String(reason),
      connector: String(connector) || null,
      reply: String(reply) || null,
      recipients: Number(recipients),
      from: String(from) || null,
      form: plainFormOf(String(form)),
      held: held === 1,
    });
  }
  return { digests, next: nextAt === '' ? null : { at: Number(nextAt), id: String(nextId) } };
}

/** A page over all shards. It may be empty although more follows, where a filter fits few. */
export async function letterPage(
  redis: RedisClient,
  shards: readonly ShardKeys[],
  asked: LetterPageAsked,
): Promise<LetterPage> {
  if (shards.length === 1) return pageIn(redis, shards[0]!, asked);
  const sign = asked.order === 'newest' ? -1 : 1;
  const compare = (a: LetterPlace, b: LetterPlace): number =>
    sign * (a.at - b.at || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
  const pages = await Promise.all(shards.map((keys) => pageIn(redis, keys, asked)));
  // No shard has been read beyond the first of these.
  const [next = null] = pages.flatMap((page) => page.next ?? []).sort(compare);
  const digests = pages
    .flatMap((page) => page.digests)
    .filter((digest) => next === null || compare(digest, next) <= 0)
    .sort(compare);
  return { digests, next };
}
