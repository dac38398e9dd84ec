/** What a replay or a drop of many dead letters would do: counted before anything happens, and kept as a selection for a while. */
import { randomBytes } from 'node:crypto';
import type { DeadLetters } from '../queue/ledger/dead-letters.ts';
import type { LetterDigest } from '../queue/ledger/letter-pages.ts';
import { write } from '../queue/lua/script.ts';
import type { RedisClient } from '../queue/redis/connection.ts';
import type { HomeKeys } from '../queue/redis/keys.ts';
import { letterDigests, readFilter, type LetterFilter } from './dead-filter.ts';
import { targetOf } from './dead-groups.ts';
import type { Routes } from './routes.ts';

export type BulkKind = 'replay' | 'drop';

/**
 * Why a letter is not replayed with others. `held`: it may have arrived, and is for `resolve`. `unreadable`: its content cannot be enqueued.
 * `invalid-message`: it would be refused again. `no-route`: no connector would send it.
 */
const exclusions = ['held', 'unreadable', 'invalid-message', 'no-route'] as const;
type Exclusion = (typeof exclusions)[number];

export interface DeadPreview {
  /** Letters that fit the filter. */
  readonly selected: number;
  /** Of those, the ones that would be replayed or dropped, and their recipients. */
  readonly count: number;
  readonly recipients: number;
  /** By the connector that would send them, the most first; for a drop, by the one that had them. */
  readonly byConnector: readonly { readonly connector: string | null; readonly count: number }[];
  readonly excluded: readonly { readonly reason: Exclusion; readonly count: number }[];
  /** Letters whose message may have arrived: its last attempt has no known result. */
  readonly possibleDuplicates: number;
  /** Connectors that could send all of them instead. */
  readonly viaCandidates: readonly string[];
  /** Some of those that are counted, from all over. */
  readonly samples: readonly LetterDigest[];
}

export interface BulkAsked {
  readonly kind: BulkKind;
  readonly filter: LetterFilter;
  /** The connector to send through instead of that of the From. */
  readonly via: string | null;
}

/** A filter at a moment: letters of later are not in it. */
export interface Selection extends BulkAsked {
  /** ms since the epoch. */
  readonly until: number;
}

const mostSamples = 20;
export const selectionMs = 15 * 60_000;

/** null if the letter would be taken. */
export function exclusionOf(digest: LetterDigest, { kind, filter, via }: BulkAsked, routes: Routes): Exclusion | null {
  if (kind === 'drop') return null;
  if (digest.held) return 'held';
  if (digest.form !== 'json' && digest.form !== 'text') return 'unreadable';
  // An operator who asks for these may have changed the limits.
  if (digest.reason === 'invalid-message') return filter.reason === 'invalid-message' ? null : 'invalid-message';
  return via === null && targetOf(digest, routes) === null ? 'no-route' : null;
}

export async function previewDeadLetters(
  letters: Pick<DeadLetters, 'page'>,
  asked: Selection,
  routes: Routes,
): Promise<DeadPreview> {
  const byConnector = new Map<string | null, number>();
  const excluded = new Map<Exclusion, number>();
  const samples: LetterDigest[] = [];
  let [selected, count, recipients, possibleDuplicates] = [0, 0, 0, 0];
  const filter = { ...asked.filter, until: Math.min(asked.filter.until ?? Infinity, asked.until) };
  for await (const digest of letterDigests(letters, filter)) {
    selected += 1;
    const exclusion = exclusionOf(digest, asked, routes);
    if (exclusion !== null) {
      excluded.set(exclusion, (excluded.get(exclusion) ?? 0) + 1);
      continue;
    }
    count += 1;
    recipients += digest.recipients;
    if (digest.reason === 'uncertain' || digest.reason === 'stalled') possibleDuplicates += 1;
    const target = asked.kind === 'drop' ? digest.connector : (asked.via ?? targetOf(digest, routes));
    byConnector.set(target, (byConnector.get(target) ?? 0) + 1);
    // The first ones, then every so often one instead: from all over, whatever their number.
    if (samples.length < mostSamples) samples.push(digest);
    else if (count % Math.ceil(count / mostSamples) === 0) samples[count % mostSamples] = digest;
  }
  return {
    selected,
    count,
    recipients,
    byConnector: [...byConnector]
      .map(([connector, each]) => ({ connector, count: each }))
      .sort((a, b) => b.count - a.count),
    excluded: exclusions.flatMap((reason) => {
      const each = excluded.get(reason) ?? 0;
      return each === 0 ? [] : [{ reason, count: each }];
    }),
    possibleDuplicates: asked.kind === 'drop' ? 0 : possibleDuplicates,
    viaCandidates: routes.senders,
    samples,
  };
}

/** What previews have selected, in Redis: any process of this installation may carry it out. */
export interface Selections {
  keep(selection: Selection): Promise<string>;
  /** null if it is unknown, or its time is over. */
  read(id: string): Promise<Selection | null>;
}

export function createSelections(redis: RedisClient, keys: Pick<HomeKeys, 'selection'>): Selections {
  return {
    async keep(selection) {
      const id = `sel_${randomBytes(16).toString('base64url')}`;
      await write(redis, 'SET', keys.selection(id), JSON.stringify(selection), 'PX', selectionMs);
      return id;
    },
    async read(id) {
      if (!/^sel_[\w-]{22}$/.test(id)) return null;
      const text = await redis.get(keys.selection(id));
      if (text === null) return null;
      let found: Record<string, unknown>;
      try {
        found = JSON.parse(text) as Record<string, unknown>;
      } catch {
        return null;
      }
      const filter = readFilter(found['filter']);
      const { kind, via, until } = found;
      if (filter === null || typeof until !== 'number') return null;
      return { kind: kind === 'drop' ? 'drop' : 'replay', filter, via: typeof via === 'string' ? via : null, until };
    },
  };
}
