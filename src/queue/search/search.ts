/**
 * Finds messages: by recipient, sender, Message-ID or metadata through the index, by connector, state and time through the sets of the
 * ledger, and what waits in the intake by looking through it. Over all shards, the newest first, a page at a time.
 */
import type { RedisClient } from '../redis/connection.ts';
import type { Shards } from '../redis/shards.ts';
import { readIndexState, type IndexState } from '../journal/days.ts';
import type { IndexField, IndexSettings } from '../journal/index-entries.ts';
import type { Ledger, LedgerRow } from '../ledger/ledger.ts';
import { fromSets, indexed, type Candidate, type Candidates } from './candidates.ts';
import { byAge, encodeCursor, idIn, isAfter, matches, prepare, type MessageQuery, type Search } from './query.ts';
import { readRows } from './rows.ts';
import { findWaiting, readWaiting, type WaitingMessage } from './waiting.ts';

export type { MessageQuery } from './query.ts';

interface FoundMessages {
  readonly rows: readonly LedgerRow[];
  /** For the next page; null if there is none. */
  readonly next: string | null;
  /**
   * Whether all that match are on the pages. false: a message may be missing, as it was routed before the index was switched on, has more
   * recipients than are indexed, or is further back than a search without an index looks.
   */
  readonly complete: boolean;
}

export interface SearchOptions {
  readonly redis: RedisClient;
  readonly shards: Shards;
  readonly ledger: Pick<Ledger, 'read'>;
  /** The prefix of the installation. */
  readonly salt: string;
  readonly index: () => IndexSettings;
}

/** Rows that one page looks at. What is further back is for the next one. */
const mostRows = 5_000;

/** @throws PostlaneError `query-invalid`, `not-indexed` */
export type FindMessages = (query: MessageQuery) => Promise<FoundMessages>;

export function createSearch({ redis, shards, ledger, salt, index }: SearchOptions): FindMessages {
  const { all, home } = shards;

  const pageOf = async (search: Search, parts: Candidates, complete: boolean): Promise<FoundMessages> => {
    const rows: LedgerRow[] = [];
    const seen = new Set<string>();
    let looked = 0;
    for await (const part of parts) {
      for (let from = 0; from < part.length;) {
        // A page is full soon: no more rows are read than it may need.
        const some = part.slice(from, from + Math.max(20, search.limit + 1 - rows.length));
        from += some.length;
        looked += some.length;
        const read = await readCandidates(some);
        for (const [i, candidate] of some.entries()) {
          const row = read[i];
          if (!row || seen.has(row.id) || row.acceptedAt !== candidate.at || !matches(row, search)) continue;
          seen.add(row.id);
          if (rows.length === search.limit) return { rows, next: cursorAfter(rows.at(-1)!), complete };
          rows.push(row);
        }
        if (looked >= mostRows) return { rows, next: encodeCursor(some.at(-1)!), complete };
      }
    }
    return { rows, next: null, complete };
  };

  /** In the shard that named it: what has moved on to another one is named by that, too. */
  const readCandidates = async (candidates: readonly Candidate[]): Promise<(LedgerRow | null)[]> => {
    const found = new Map<Candidate, LedgerRow | null>();
    await Promise.all(
      all.map(async (keys, shard) => {
        const some = candidates.filter((candidate) => candidate.shard === shard);
        if (some.length === 0) return;
        const ids = some.map(({ id }) => id);
        for (const [i, row] of (await readRows(redis, keys, ids, {})).entries()) found.set(some[i]!, row);
      }),
    );
    // What was routed in between has a row.
    const waiting = candidates.filter((each): each is Waiting => each.jobId !== undefined && !found.get(each));
    for (const [i, row] of (await readWaiting(redis, home, waiting)).entries()) found.set(waiting[i]!, row);
    return candidates.map((candidate) => found.get(candidate) ?? null);
  };

  return async (query) => {
    const search = prepare(query, index());
    const named = query.messageId === undefined ? null : idIn(query.messageId);
    if (named !== null) {
      const row = await ledger.read(named);
      if (row !== null && matches(row, search))
        return { rows: isAfter(search, positionOf(row)) ? [row] : [], next: null, complete: true };
    }
    const [states, intake] = await Promise.all([
      Promise.all(all.map((keys) => readIndexState(redis, keys))),
      findWaiting(redis, home, search),
    ]);
    const waiting = intake.waiting.map((each) => ({ ...each, shard: all.indexOf(home) }));
    const value = narrowest(search);
    if (value === null) {
      const since = states.map((state) => sinceOf(state, 'recent'));
      const { candidates, complete } = await fromSets(redis, all, since, search);
      return pageOf(search, merged(waiting, whole(candidates)), complete && intake.complete);
    }
    const complete = intake.complete && states.every((state) => isComplete(state, value, search));
    return pageOf(search, merged(waiting, indexed(redis, all, states, { ...value, salt }, search)), complete);
  };
}

interface IndexedValue {
  readonly field: IndexField;
  readonly value: string;
  /** The field as it is noted since when it is indexed. */
  readonly name: string;
}

/** The filter that leaves the fewest: one of metadata may be shared by many, a sender is by most. */
function narrowest({ messageId, recipient, metadata, from }: Search): IndexedValue | null {
  if (messageId !== null) return { field: 'mid', value: messageId, name: 'mid' };
  if (recipient !== null) return { field: 'to', value: recipient, name: 'to' };
  const [first] = metadata;
  if (first !== undefined) return { field: 'meta', value: first[1], name: `meta:${first[0]}` };
  return from === null ? null : { field: 'from', value: from, name: 'from' };
}

/** Where nothing is noted, no worker has run yet, and there is nothing that could be missing. */
function sinceOf({ since }: IndexState, name: string): number {
  return since.get(name) ?? 0;
}

function isComplete(state: IndexState, { field, name }: IndexedValue, { since, until }: Search): boolean {
  if (sinceOf(state, name) > Math.max(0, since)) return false;
  if (field !== 'to') return true;
  const dayMs = 86_400_000;
  return !state.days.some(({ day, partial }) => partial && (day + 1) * dayMs > since && day * dayMs <= until);
}

function positionOf(row: LedgerRow): { readonly at: number; readonly id: string } {
  return { at: row.acceptedAt, id: row.id };
}

function cursorAfter(row: LedgerRow): string {
  return encodeCursor(positionOf(row));
}

type Waiting = Candidate & WaitingMessage;

/** Both are in order. */
async function* merged(waiting: readonly Waiting[], parts: Candidates): Candidates {
  let from = 0;
  for await (const part of parts) {
    const last = part.at(-1);
    if (last === undefined) continue;
    const before = waiting.slice(from).findIndex((each) => byAge(each, last) > 0);
    const till = before < 0 ? waiting.length : from + before;
    yield [...waiting.slice(from, till), ...part].toSorted(byAge);
    from = till;
  }
  yield waiting.slice(from);
}

async function* whole(candidates: readonly Candidate[]): Candidates {
  yield candidates;
}
