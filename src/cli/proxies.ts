/** Which connectors go through which proxy, for `check`. */
import type { Config } from '../config/config.ts';
import { wayOf } from '../transport/proxy.ts';

interface ProxyUse {
  /** Without its login. */
  readonly proxy: string;
  readonly connectors: readonly string[];
  /** Of several hosts of a connector those that are reached without it. */
  readonly direct: readonly { readonly connector: string; readonly hosts: readonly string[] }[];
}

/** Which connectors go through which proxy. An operator may not know of one in the environment. */
export function proxiesOf({ connectors }: Config): ProxyUse[] {
  const ways = connectors.map(({ id, transport }) => ({ id, ...wayOf(transport) }));
  const proxies = new Set(ways.flatMap(({ proxy }) => proxy ?? []));
  return [...proxies].map((proxy) => {
    const users = ways.filter((way) => way.proxy === proxy);
    const mixed = users.filter(({ directHosts }) => directHosts.length > 0);
    return {
      proxy,
      connectors: users.map(({ id }) => id),
      direct: mixed.map(({ id, directHosts }) => ({ connector: id, hosts: directHosts })),
    };
  });
}

const shownConnectors = 5;

/** `webhooks`: their ids. Where connectors need a proxy, one may expect that webhooks use it, too. */
export function proxyLines(uses: readonly ProxyUse[], webhooks: readonly string[]): string[] {
  if (uses.length === 0) return [];
  const direct = webhooks.length === 0 ? [] : [`not through a proxy: the ${webhooksText(webhooks)}`];
  const lines = uses.map(({ proxy, connectors: ids, direct }) => {
    const named = (id: string): string => {
      const hosts = direct.find(({ connector }) => connector === id)?.hosts ?? [];
      return hosts.length === 0 ? id : `${id} (but not for ${hosts.join(', ')})`;
    };
    const rest = ids.length - shownConnectors;
    return `through the proxy ${proxy}: ${ids.slice(0, shownConnectors).map(named).join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
  });
  return [...lines, ...direct];
}

function webhooksText(ids: readonly string[]): string {
  const rest = ids.length - shownConnectors;
  const shown = ids.slice(0, shownConnectors).join(', ');
  return `webhook${ids.length === 1 ? '' : 's'} ${shown}${rest > 0 ? ` and ${rest} more` : ''}`;
}
