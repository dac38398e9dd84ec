/** What an operator sees of the routes: the table of patterns, where a From goes and why, and which connectors are never chosen. */
import type { Mailbox } from '../message/message.ts';
import { sends, type Connector, type RouteRule } from '../routing/connector.ts';
import { explainRoute, type RouteWithFallback } from '../routing/fallback.ts';
import { resolve } from '../routing/resolve.ts';
import { buildRouteTable, type Claim } from '../routing/table.ts';

/** The part of a configuration that decides. */
export interface RoutingConfig {
  readonly connectors: readonly Connector[];
  /** A connector's id; null is `disabled`. */
  readonly systemDefaultGateway: string | null;
  readonly unmonitoredAddress: Mailbox | null;
}

interface RoutePattern {
  /** `local@domain` or `*@domain`; `*` is everything else. */
  readonly pattern: string;
  readonly rule: Exclude<RouteRule, 'none'>;
  readonly connector: string;
}

export interface Routes {
  /** Which connector would send for a From now; null if none. A message without one is the unmonitored address's. */
  target(from: string | null): string | null;
  /** The same with the rule, why not the others, and who stands in. `from` is a valid address. */
  explain(from: string): RouteWithFallback;
  /** In the order in which they are asked: addresses, domains, the default. */
  patterns(): readonly RoutePattern[];
  /** Connectors that no From leads to, and why. */
  neverChosen(): readonly { readonly connector: string; readonly why: string }[];
  /** Whether a connector of this id sends. */
  sends(connector: string): boolean;
  /** Ids of those that send. */
  readonly senders: readonly string[];
}

export function createRoutes({ connectors, systemDefaultGateway, unmonitoredAddress }: RoutingConfig): Routes {
  const table = buildRouteTable(connectors, systemDefaultGateway);
  const senders = new Set(connectors.filter(({ direction }) => sends(direction)).map(({ id }) => id));
  const targets = new Map<string, string | null>();
  const patternsOf = (claims: ReadonlyMap<string, Claim>, rule: 'exact' | 'domain'): RoutePattern[] =>
    [...claims]
      .flatMap(([key, { sender }]) =>
        sender === null ? [] : [{ pattern: rule === 'domain' ? `*@${key}` : key, rule, connector: sender }],
      )
      .sort((a, b) => (a.pattern < b.pattern ? -1 : 1));
  return {
    target(from) {
      const asked = from ?? unmonitoredAddress?.address ?? null;
      if (asked === null) return null;
      const known = targets.get(asked);
      if (known !== undefined) return known;
      // Thousands of dead letters have a few addresses.
      if (targets.size >= 10_000) targets.clear();
      const { connector } = resolve(table, asked);
      targets.set(asked, connector);
      return connector;
    },
    explain: (from) => explainRoute(table, connectors, from),
    patterns: () => [
      ...patternsOf(table.exact, 'exact'),
      ...patternsOf(table.domain, 'domain'),
      ...(systemDefaultGateway === null
        ? []
        : [{ pattern: '*', rule: 'default' as const, connector: systemDefaultGateway }]),
    ],
    neverChosen: () =>
      connectors.flatMap(({ id, direction, addresses }) => {
        if (!senders.has(id)) return [{ connector: id, why: `its direction is ${direction}, so it never sends` }];
        const isFallback = connectors.some(({ fallback }) => fallback?.to.includes(id));
        if (addresses.length > 0 || id === systemDefaultGateway || isFallback) return [];
        return [{ connector: id, why: 'it has no addresses, and is not the system default gateway' }];
      }),
    sends: (connector) => senders.has(connector),
    senders: [...senders],
  };
}
