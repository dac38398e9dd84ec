/** Whom a proxy has signed in: its header counts if the connection itself comes from a proxy that is believed, and never otherwise. */
import type { IncomingMessage } from 'node:http';
import type { ApiToken } from '../../config/api.ts';
import { createNetworkTest } from '../../config/networks.ts';
import { proxiedUser, type UiSettings } from '../../config/ui.ts';
import { plainAddress } from '../../observability/host.ts';

/**
 * null: no user. What a client says of the way of its request (`X-Forwarded-For`) does not matter here: only who has opened the connection.
 * A field that is there twice names no user: one of the two is the client's own.
 */
export function userOf(
  { rawHeaders, socket }: IncomingMessage,
  settings: UiSettings['trustedHeader'],
): ApiToken | null {
  const { name, proxies } = settings;
  if (proxies.length === 0) return null;
  if (!createNetworkTest(proxies)(plainAddress(socket.remoteAddress ?? ''))) return null;
  const wanted = name.toLowerCase();
  const named = rawHeaders.filter((_, i) => i % 2 === 1 && rawHeaders[i - 1]!.toLowerCase() === wanted);
  return named.length === 1 ? proxiedUser(settings, named[0]!.trim()) : null;
}
