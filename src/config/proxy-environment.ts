/** Proxies of the environment, for connectors that name none, and what no proxy can be combined with. */
import { parseNoProxy, parseProxyUrl, proxyFor, proxyName, type ProxyRoute } from '../transport/proxy.ts';
import type { ConfigIssue, Path, Problem } from './issues.ts';
import { portFor, readPartialConnectors } from './partial-connector.ts';
import { maxProxyUrlChars } from './proxy.ts';
import { valueAt } from './validate.ts';
import { writtenHosts } from './smtp-hosts.ts';

/** Of NO_PROXY: its entries are compared for each connection. */
const maxNoProxyChars = 10_000;

/** In this order, the lower-case form of each first. HTTP_PROXY is not among them: a web server sets it from a header of its clients. */
const variables = ['https_proxy', 'HTTPS_PROXY', 'all_proxy', 'ALL_PROXY'] as const;

export interface EnvironmentProxy {
  readonly route: ProxyRoute | null;
  readonly issues: readonly ConfigIssue[];
}

/** An empty variable is one that is not set. */
export function readEnvironmentProxy(env: Readonly<Record<string, string | undefined>>): EnvironmentProxy {
  const variable = variables.find((name) => (env[name] ?? '') !== '');
  if (variable === undefined) return { route: null, issues: [] };
  const issue = (name: string, message: string): EnvironmentProxy => ({
    route: null,
    issues: [{ key: 'connectors', rule: 'proxy', message, file: name, line: 0, column: 0 }],
  });
  const text = env[variable] ?? '';
  // Many write it without a scheme, and other programs take that for http.
  const read = text.length > maxProxyUrlChars ? null : parseProxyUrl(text, 'http');
  if (read === null) {
    return issue(
      variable,
      'must be http://HOST:PORT, https://HOST:PORT or socks5://HOST:PORT; connectors without `proxy` use it',
    );
  }
  const exceptions = (['no_proxy', 'NO_PROXY'] as const).find((name) => (env[name] ?? '') !== '');
  const except = exceptions === undefined ? '' : (env[exceptions] ?? '');
  if (exceptions !== undefined && except.length > maxNoProxyChars) {
    return issue(exceptions, `must have at most ${maxNoProxyChars} characters`);
  }
  return { route: { proxy: read, variable, except: parseNoProxy(except) }, issues: [] };
}

/** Whether a connector uses the environment: otherwise its mistakes do not matter. */
export function usesEnvironment(data: Readonly<Record<string, unknown>>): boolean {
  return readPartialConnectors(data).some(({ path }) => valueAt(data, [...path, 'proxy']) === undefined);
}

/** A proxy connects from an address of its own, so an address of this machine would promise what does not happen. */
export function proxyProblems(data: Readonly<Record<string, unknown>>, environment: ProxyRoute | null): Problem[] {
  return readPartialConnectors(data).flatMap(({ path, smtp }): Problem[] => {
    const at: Path = [...path, 'smtp', 'localAddress'];
    if (smtp === null || typeof valueAt(data, at) !== 'string') return [];
    const written = valueAt(data, [...path, 'proxy']);
    if (written === 'none') return [];
    if (written !== undefined) return [combined(at, 'proxy')];
    const used = writtenHosts(data, path, smtp.port ?? portFor(smtp.security))
      .map(({ host, port }) => proxyFor(environment, host, port))
      .find((proxy) => proxy !== null);
    return used === undefined ? [] : [combined(at, `${environment?.variable ?? ''} (${proxyName(used)})`)];
  });
}

function combined(path: Path, what: string): Problem {
  const message = `cannot be combined with ${what}: the server sees the address of the proxy; remove it, or write proxy: none`;
  return { path, rule: 'proxy-local-address', message, on: 'key' };
}
