/**
 * Where a search finds messages that may match, the newest first: the index of a value, or, for a search without one, the sets of the
 * messages that were routed last, that are not settled, that are dead, and that came back last.
 */
import { unreachable } from '../../errors.ts';
import type { IndexDay, IndexState } from '../journal/days.ts';
import { dayOf, encodeTime, placeOf, readMember, setName, type IndexField } from '../journal/index-entries.ts';
import { mostRecent } from '../journal/upkeep.ts';
import type { RedisClient } from '../redis/connection.ts';
import type { ShardKeys } from '../redis/keys.ts';
import { byAge, isAfter, type Position, type Search } from './query.ts';
import { readTimes, timesPerStep, type RowFilter } from './rows.ts';

/** A message that may match, and the shard that named it. */
export interface Candidate extends Position {
  readonly shard: number;
  /** Of one that waits in the intake. */
  readonly jobId?: string;
}

/** A part of them, in order; the parts are in order, too. */
export type Candidates = AsyncGenerator<readonly Candidate[]>;

/** Members of one look-up. */
const membersPerLook = 100;
/** Days that are looked up together: those of the default retention, and some. */
const daysAtOnce = 16;
/** Ids of a set that are looked at, the newest first. */
const mostOfSet = mostRecent;

/** A sorted set of the index, from behind. */
interface Stream {
  readonly shard: number;
  readonly key: string;
  readonly day: number;
  readonly lowest: string;
  highest: string;
  found: Candidate[];
  ended: boolean;
}

/** `states`: the index of each shard. `salt`: the prefix of the installation. */
export async function* indexed(
  redis: RedisClient,
  shards: readonly ShardKeys[],
  states: readonly IndexState[],
  { field, value, salt }: { readonly field: IndexField; readonly value: string; readonly salt: string },
  search: Search,
): Candidates {
  const place = placeOf(salt, field, value);
  const streams = states.flatMap(({ days }, shard) =>
    days.flatMap((day) => streamOf(shards[shard]!, shard, day, place, field, search)),
  );
  const days = [...new Set(streams.map(({ day }) => day))].toSorted((a, b) => b - a);
  for (let from = 0; from < days.length; from += daysAtOnce) {
    const some = new Set(days.slice(from, from + daysAtOnce));
    const open = streams.filter(({ day }) => some.has(day));
    await Promise.all(open.map((stream) => fill(redis, stream)));
    for (const day of some) {
      yield* merge(
        redis,
        open.filter((stream) => stream.day === day),
      );
    }
  }
}

function streamOf(
  keys: ShardKeys,
  shard: number,
  { day, buckets }: IndexDay,
  place: ReturnType<typeof placeOf>,
  field: IndexField,
  { since, until, before }: Search,
): Stream[] {
  const last = before === null ? until : Math.min(until, before.at);
  if (day < dayOf(since) || day > dayOf(last)) return [];
  const { prefix } = place;
  // Members end with the id, whose bytes are all below 0xff.
  const ends = before !== null && before.at <= until && day === dayOf(before.at) ? before : null;
  const highest =
    ends !== null
      ? `(${prefix}${encodeTime(ends.at)}${ends.id}`
      : day === dayOf(last)
        ? `[${prefix}${encodeTime(last)}~`
        : `[${prefix}~`;
  const lowest = day === dayOf(since) ? `[${prefix}${encodeTime(since)}` : `[${prefix}`;
  const key = keys.find(setName(field, day, buckets, place.bucket(buckets)));
  return [{ shard, key, day, lowest, highest, found: [], ended: false }];
}

async function fill(redis: RedisClient, stream: Stream): Promise<void> {
  const { key, highest, lowest, day, shard } = stream;
  const members = await redis.zrevrangebylex(key, highest, lowest, 'LIMIT', 0, membersPerLook);
  stream.ended = members.length < membersPerLook;
  const last = members.at(-1);
  if (last !== undefined) stream.highest = `(${last}`;
  for (const member of members) {
    const read = readMember(member, day);
    if (read !== null) stream.found.push({ ...read, shard });
  }
}

/** Of one day: several shards, or several numbers of buckets if the setting was changed. */
async function* merge(redis: RedisClient, streams: readonly Stream[]): Candidates {
  for (;;) {
    for (const stream of streams) if (stream.found.length === 0 && !stream.ended) await fill(redis, stream);
    const full = streams.filter(({ found }) => found.length > 0);
    if (full.length === 0) return;
    // As far as the first of them is used up, nothing that is not read yet can be newer.
    const bounds = full.filter(({ ended }) => !ended).map(({ found }) => found.at(-1)!);
    const bound = bounds.toSorted(byAge)[0];
    const some: Candidate[] = [];
    for (const stream of full) {
      const kept = stream.found.findIndex((each) => bound !== undefined && byAge(each, bound) > 0);
      some.push(...stream.found.splice(0, kept < 0 ? stream.found.length : kept));
    }
    yield some.toSorted(byAge);
  }
}

export interface SetCandidates {
  readonly candidates: readonly Candidate[];
  /** Nothing that could match is outside of the sets, or beyond what was read of them. */
  readonly complete: boolean;
}

type SetName = 'recent' | 'unsettled' | 'dead' | 'bounced';

/** The sets in which a message of this state is; of any state, if it is not given. */
function setsOf({ query: { state, connector, bounced } }: Search): readonly SetName[] {
  if (bounced === true) return ['bounced'];
  switch (state) {
    case undefined:
      // An old message that still waits, or died, is what an operator looks for at a connector.
      return connector === undefined ? ['recent'] : ['recent', 'unsettled', 'dead'];
    case 'sent':
    case 'cancelled':
      return ['recent'];
    case 'dead':
    case 'partial':
      return ['recent', 'dead'];
    case 'queued':
    case 'scheduled':
    case 'sending':
    case 'deferred':
    case 'held':
      return ['unsettled'];
    default:
      return unreachable(state);
  }
}

/** `recentSince`: since when the list of the last ones is written in each shard. */
export async function fromSets(
  redis: RedisClient,
  shards: readonly ShardKeys[],
  recentSince: readonly number[],
  search: Search,
): Promise<SetCandidates> {
  const names = setsOf(search);
  const parts = await Promise.all(
    shards.flatMap((keys, shard) =>
      names.map((name) => fromSet(redis, keys, { shard, name, recentSince: recentSince[shard] ?? 0 }, search)),
    ),
  );
  const byId = new Map<string, Candidate>();
  for (const { candidates } of parts) for (const each of candidates) byId.set(each.id, each);
  return {
    candidates: [...byId.values()].toSorted(byAge),
    complete: parts.every(({ complete }) => complete),
  };
}

async function fromSet(
  redis: RedisClient,
  keys: ShardKeys,
  { shard, name, recentSince }: { readonly shard: number; readonly name: SetName; readonly recentSince: number },
  search: Search,
): Promise<SetCandidates> {
  const end = mostOfSet - 1;
  const [ids, count] =
    name === 'recent'
      ? await Promise.all([redis.lrange(keys.recent, 0, end), redis.llen(keys.recent)])
      : await Promise.all([redis.zrevrange(keys[name], 0, end), redis.zcard(keys[name])]);
  const filter: RowFilter = { state: search.query.state, connector: search.query.connector };
  const candidates: Candidate[] = [];
  let oldest = Infinity;
  for (let from = 0; from < ids.length; from += timesPerStep) {
    const some = ids.slice(from, from + timesPerStep);
    const times = await readTimes(redis, keys, some, filter);
    for (const [i, at] of times.entries()) {
      if (at === null) continue;
      oldest = Math.min(oldest, at);
      const candidate = { at, id: some[i]!, shard };
      if (at >= search.since && at <= search.until && isAfter(search, candidate)) candidates.push(candidate);
    }
  }
  const isCut = name === 'recent' || name === 'bounced';
  const whole = isCut ? count < mostOfSet : count <= mostOfSet;
  const reaches = name === 'recent' && oldest <= search.since;
  const written = name !== 'recent' || recentSince <= Math.max(0, search.since);
  return { candidates, complete: (whole || reaches) && written };
}
