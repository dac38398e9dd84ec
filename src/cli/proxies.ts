/** Which connectors go through which proxy, for `check`. */
import type { Config } from '../config/config.ts';
import { proxyOf } from '../transport/proxy.ts';

interface ProxyUse {
  /** Without its login. */
  readonly proxy: string;
  readonly connectors: readonly string[];
}

/** Which connectors go through which proxy. An operator may not know of one in the environment. */
export function proxiesOf({ connectors }: Config): ProxyUse[] {
  const uses = new Map<string, string[]>();
  for (const { id, transport } of connectors) {
    const proxy = proxyOf(transport);
    if (proxy !== null) uses.set(proxy, [...(uses.get(proxy) ?? []), id]);
  }
  return [...uses].map(([proxy, ids]) => ({ proxy, connectors: ids }));
}

const shownConnectors = 5;

export function proxyLines(uses: readonly ProxyUse[]): string[] {
  return uses.map(({ proxy, connectors: ids }) => {
    const rest = ids.length - shownConnectors;
    return `through the proxy ${proxy}: ${ids.slice(0, shownConnectors).join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
  });
}
