/**
 * What a worker knows of the suppression list. While there is none, no message pays for it: the fence says that there is one, and from then on
 * the worker looks before each attempt.
 */
import type { Suppression, Suppressions } from '../queue/suppressions.ts';

export interface SuppressionView {
  /** Those of the addresses that are suppressed now; null if nothing is known of a list, so that none was looked for. */
  among(addresses: readonly string[]): Promise<ReadonlyMap<string, Suppression> | null>;
  /** A fence has said that there is a list. */
  noticed(): void;
}

const none: ReadonlyMap<string, Suppression> = new Map();

/** `marked`: other shards have marks, which stay when the list is empty. */
export function createSuppressionView(
  suppressions: Pick<Suppressions, 'among'>,
  { now, marked }: { readonly now: () => number; readonly marked: boolean },
): SuppressionView {
  let isThere = false;
  return {
    async among(addresses) {
      if (!isThere) return null;
      const found = await suppressions.among(addresses, now());
      if (found === null && !marked) isThere = false;
      return found ?? none;
    },
    noticed() {
      isThere = true;
    },
  };
}
