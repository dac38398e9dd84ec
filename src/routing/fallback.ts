/** Which connectors stand in for one that is at fault, and for whose mail each may. Pure. */
import { matchesPattern } from '../message/address.ts';
import { sends, type Connector, type Route } from './connector.ts';
import { explain } from './resolve.ts';
import type { RouteTable } from './table.ts';

/** Stands for every address. */
export const everyAddress = '*';

/**
 * Whether a connector may send for this From in the place of another one: it is the system default gateway; or the address is among its own,
 * or those that it is told to stand in for (`fallbackFor`); or it has neither, and so relays for everyone.
 */
export function mayStandIn(connector: Connector, from: string, defaultGateway: string | null): boolean {
  if (!sends(connector.direction)) return false;
  const patterns = new Set([...connector.addresses, ...(connector.fallbackFor ?? [])]);
  if (connector.id === defaultGateway || patterns.size === 0 || patterns.has(everyAddress)) return true;
  return matchesPattern(patterns, from);
}

/** A connector that is asked in the place of the one that sends for a From, in the order in which they are asked. */
interface StandIn {
  readonly connector: string;
  readonly maySend: boolean;
}

/** A route with those that stand in for its connector while that is at fault. */
export type RouteWithFallback = Route & {
  readonly from: string;
  readonly fallback: readonly StandIn[];
  /** How long the connector is at fault before; null if no connector stands in. */
  readonly fallbackAfterMs: number | null;
  /** Faults that are not waited for. */
  readonly fallbackAtOnce: readonly string[];
};

/** What `postlane explain` prints: the address as it was asked for, its route, and who stands in. */
export function explainRoute(table: RouteTable, connectors: readonly Connector[], from: string): RouteWithFallback {
  const route = explain(table, from);
  const fallback = connectors.find(({ id }) => id === route.connector)?.fallback ?? null;
  const standIns = (fallback?.to ?? []).map((id): StandIn => {
    const found = connectors.find((each) => each.id === id);
    return { connector: id, maySend: found !== undefined && mayStandIn(found, from, table.defaultGateway) };
  });
  const { afterMs = null, atOnce = [] } = fallback ?? {};
  return { ...route, fallback: standIns, fallbackAfterMs: afterMs, fallbackAtOnce: atOnce };
}

/** The ids of a loop that begins and ends with this one: each falls back on the next. Null if there is none. */
export function loopFrom(id: string, fallbackOf: (id: string) => readonly string[]): string[] | null {
  const seen = new Set<string>();
  const walk = (path: readonly string[]): string[] | null => {
    for (const next of fallbackOf(path.at(-1)!)) {
      if (next === id) return [...path, next];
      if (seen.has(next)) continue;
      seen.add(next);
      const found = walk([...path, next]);
      if (found !== null) return found;
    }
    return null;
  };
  return walk([id]);
}
