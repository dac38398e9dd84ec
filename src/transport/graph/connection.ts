/** What everything that talks to Graph for a connector shares: tokens, connections, the client, and the mask of its secrets. */
import { createHttpClient, type HttpClient } from '../http.ts';
import { createMask } from '../mask.ts';
import { requestToken, secretsOf } from '../oauth/entra.ts';
import { createTokenSource, type TokenSource } from '../oauth/token-source.ts';
import { createGraphClient, type GraphClient } from './client.ts';
import type { GraphSettings } from './settings.ts';
import type { TokenListener } from '../transport.ts';

export interface GraphConnection {
  readonly tokens: TokenSource;
  readonly mask: (text: string) => string;
  readonly http: HttpClient;
  readonly client: GraphClient;
}

/** Requests a token and connects when the first call comes. `now`: ms since the epoch. */
export function openGraph(
  settings: GraphSettings,
  maxConnections: number,
  now: () => number,
  onToken?: TokenListener,
): GraphConnection {
  const { cloud, timeouts, tls, tenantId, clientId, credential, proxy = null } = settings;
  const { graphBaseUrl, authorityHost } = cloud;
  const identity = { tenantId, clientId, credential, authorityHost, ca: tls.ca, proxy, tokenMs: timeouts.tokenMs };
  const scope = `${new URL(graphBaseUrl).origin}/.default`;
  const tokens = createTokenSource({
    request: (signal) => requestToken(identity, scope, signal),
    timeoutMs: timeouts.tokenMs,
    now,
    told: (outcome) => onToken?.('microsoft', outcome),
  });
  const ownSecrets = secretsOf(credential);
  const mask = createMask(() => [...ownSecrets, ...tokens.secrets]);
  const http = createHttpClient(tls.ca, maxConnections, { proxy });
  return { tokens, mask, http, client: createGraphClient(graphBaseUrl, tokens, http) };
}
