/** What an operator does with the suppression list: adds and removes addresses, each step with its entry in the audit; and how an entry is shown. */
import { shownTime } from '../errors.ts';
import { routingKey } from '../message/address.ts';
import type { AddedSuppression, NewSuppression, Suppression, Suppressions } from '../queue/suppressions.ts';
import type { Actor, Recorded } from './audit.ts';

/** Entries that are added at once. */
export const maxSuppressedAtOnce = 1_000;

export type SuppressionCounts = Readonly<Record<AddedSuppression, number>>;

export interface SuppressionActions {
  /** Adds these, or replaces those that are there. `origin`: what the operator says of them all. */
  suppress(
    entries: readonly Pick<NewSuppression, 'address' | 'reason' | 'until'>[],
    origin: 'operator' | 'import',
  ): Promise<SuppressionCounts>;
  /** → the entry that was there. */
  unsuppress(address: string, reason: string | null): Promise<Suppression | null>;
}

export function createSuppressionActions(
  suppressions: Pick<Suppressions, 'add' | 'remove'>,
  { by }: Actor,
  recorded: Recorded,
): SuppressionActions {
  return {
    suppress(entries, origin) {
      const [first] = entries;
      const one = entries.length === 1 && first !== undefined ? first : null;
      const note = { target: one === null ? null : routingKey(one.address), reason: one?.reason ?? null };
      const add = async (): Promise<SuppressionCounts> => {
        const counts = { added: 0, replaced: 0, kept: 0, full: 0 };
        for (const entry of entries) counts[await suppressions.add({ ...entry, origin, by })] += 1;
        return counts;
      };
      return recorded({ action: 'suppress', ...note }, add, ({ added, replaced, full }) => ({
        result: full > 0 ? 'refused' : 'done',
        detail: `${added} added, ${replaced} replaced${full > 0 ? `, ${full} refused: the list is full` : ''}`,
      }));
    },

    unsuppress: (address, reason) =>
      recorded(
        { action: 'unsuppress', target: routingKey(address), reason },
        () => suppressions.remove(address),
        (before) =>
          before === null
            ? { result: 'not-found' }
            : {
                result: 'done',
                detail: `${before.origin}${before.reason === null ? '' : `: ${before.reason}`}`,
              },
      ),
  };
}

/** Times are RFC 3339 in UTC. */
export function suppressionJson({ at, until, ...entry }: Suppression) {
  return { ...entry, at: shownTime(at), until: until === null ? null : shownTime(until) };
}
