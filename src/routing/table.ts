/** The route table: which connectors an address or a domain belongs to, ready for look-up by key. */
import { type Connector, sends } from './connector.ts';

/** The connectors that claim one key: at most one sends; those that only receive are kept so that a route can name them. */
export interface Claim {
  readonly sender: string | null;
  readonly incomingOnly: readonly string[];
}

/** `exact` is keyed by `local@domain`, `domain` by the part after `*@`; keys as in `Connector.addresses`. */
export interface RouteTable {
  readonly exact: ReadonlyMap<string, Claim>;
  readonly domain: ReadonlyMap<string, Claim>;
  readonly defaultGateway: string | null;
}

/**
 * Builds the table once per configuration. `defaultGateway` is the id of the connector that sends where none matches, or
 * null for none. Of two sending connectors with one pattern the first wins; the configuration refuses such a pair.
 */
export function buildRouteTable(connectors: readonly Connector[], defaultGateway: string | null): RouteTable {
  const exact = new Map<string, Claim>();
  const domain = new Map<string, Claim>();
  for (const connector of connectors) {
    for (const pattern of connector.addresses) {
      if (pattern.startsWith('*@')) claim(domain, pattern.slice(2), connector);
      else claim(exact, pattern, connector);
    }
  }
  return { exact, domain, defaultGateway };
}

function claim(claims: Map<string, Claim>, key: string, connector: Connector): void {
  const { sender, incomingOnly } = claims.get(key) ?? { sender: null, incomingOnly: [] };
  claims.set(
    key,
    sends(connector.direction)
      ? { sender: sender ?? connector.id, incomingOnly }
      : { sender, incomingOnly: [...incomingOnly, connector.id] },
  );
}
