/** What was left under which key, and why. */

import { noneSealed, type SealedCounts, type SealedKind } from './doctor/findings.ts';

/** Ids that are told of each kind: to cancel or drop what cannot be opened any more. */
const mostIds = 1_000;

/**
 * `to-do`: nothing was changed, as that was only to be counted. `key-missing`: its key is not here. `busy`: a worker has it. `changed`: it
 * was changed each time. `damaged`: it is not what was sealed. `refused`: plain, and `encryption.require` is set. `too-large`: plain, and
 * it would be larger than a job may be. `plain-content`: stored before encryption, and its messages refer to it.
 */
export type Why = 'to-do' | 'key-missing' | 'busy' | 'changed' | 'damaged' | 'refused' | 'too-large' | 'plain-content';

export interface KeyTally extends Readonly<SealedCounts> {
  /** Its name; null: not sealed. */
  readonly key: string | null;
  readonly why: Why;
  /** Messages: the first 1,000 of each kind. */
  readonly ids: Readonly<Record<'waiting' | 'deadLetters', readonly string[]>>;
}

export interface Tally {
  readonly add: (kind: SealedKind, key: string | null, why: Why, id?: string) => void;
  readonly list: () => KeyTally[];
}

export function createTally(): Tally {
  type Counted = SealedCounts & { key: string | null; why: Why; ids: Record<'waiting' | 'deadLetters', string[]> };
  const counts = new Map<string, Counted>();
  return {
    add(kind, key, why, id) {
      const place = `${why} ${key ?? ''}`;
      const found = counts.get(place) ?? { key, why, ...noneSealed(), ids: { waiting: [], deadLetters: [] } };
      found[kind] += 1;
      if (id !== undefined && (kind === 'waiting' || kind === 'deadLetters') && found.ids[kind].length < mostIds) {
        found.ids[kind].push(id);
      }
      counts.set(place, found);
    },
    list: () => [...counts.values()],
  };
}
