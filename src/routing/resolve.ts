/** From address to connector: exact address, then the domain's wildcard, then the system default gateway, else none. */
import { routingKey } from '../message/address.ts';
import type { Route, RouteRule } from './connector.ts';
import type { Claim, RouteTable } from './table.ts';

/**
 * Two look-ups whatever the number of connectors. `from` is a bare, valid address (no display name); its case and the
 * form of its domain do not matter. `passedOver` names every connector that claims the address but only receives.
 */
export function resolve(table: RouteTable, from: string): Route {
  const key = routingKey(from);
  const domainKey = key.slice(key.lastIndexOf('@') + 1);
  const exact = table.exact.get(key);
  const domain = table.domain.get(domainKey);
  const [connector, rule] = choose(exact, domain, table.defaultGateway);
  return { connector, rule, passedOver: passedOver(exact, key, domain, `*@${domainKey}`) };
}

/** The address as it was asked for, and its route. */
export function explain(table: RouteTable, from: string): Route & { readonly from: string } {
  return { from, ...resolve(table, from) };
}

function choose(
  exact: Claim | undefined,
  domain: Claim | undefined,
  defaultGateway: string | null,
): [string | null, RouteRule] {
  if (exact?.sender !== undefined && exact.sender !== null) return [exact.sender, 'exact'];
  if (domain?.sender !== undefined && domain.sender !== null) return [domain.sender, 'domain'];
  return defaultGateway === null ? [null, 'none'] : [defaultGateway, 'default'];
}

function passedOver(
  exact: Claim | undefined,
  exactPattern: string,
  domain: Claim | undefined,
  domainPattern: string,
): Route['passedOver'] {
  const matches = new Map<string, string>();
  for (const id of domain?.incomingOnly ?? []) matches.set(id, domainPattern);
  for (const id of exact?.incomingOnly ?? []) matches.set(id, exactPattern);
  return [...matches].map(([connector, pattern]) => ({
    connector,
    why: `matches ${pattern} but its direction is incoming, so it never sends`,
  }));
}
