/** Whether a form comes from a page of ours: what the browser says of its origin, which no page can change. */
import type { IncomingHttpHeaders } from 'node:http';
import type { Client } from '../client.ts';

/**
 * `Sec-Fetch-Site` where there is one (all browsers since 2023), else `Origin` against the name that the server was asked for. A form with
 * neither is refused: every browser sends `Origin` with a POST (Fetch standard section 3.2).
 */
export function isSameOrigin(headers: IncomingHttpHeaders, { host, secure }: Client): boolean {
  const site = headers['sec-fetch-site'];
  if (site !== undefined && site !== 'same-origin') return false;
  const { origin } = headers;
  if (origin === undefined) return site === 'same-origin';
  return origin === `${secure ? 'https' : 'http'}://${host ?? ''}`;
}
