/** Who has sent a request, and by which name it asks for the server: what proxies say of both is believed if they are ours. */
import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';
import { createNetworkTest, type Network } from '../config/networks.ts';
import { plainAddress } from '../observability/host.ts';

export interface Client {
  /** IP address. */
  readonly address: string;
  /** The header `Host`, or what the proxy was asked for. */
  readonly host: string | undefined;
  /** Whether it speaks TLS: with the proxy, where there is one. */
  readonly secure: boolean;
}

/** Of the list in `X-Forwarded-For`: proxies before proxies are few. */
const maxHops = 10;

/** `peer`: the address of the socket; `encrypted`: whether it speaks TLS. */
export function createClientReader(
  proxies: readonly Network[],
): (headers: IncomingHttpHeaders, peer: string, encrypted: boolean) => Client {
  const isProxy = createNetworkTest(proxies);
  return (headers, peer, encrypted) => {
    const own = plainAddress(peer);
    if (!isProxy(own)) return { address: own, host: headers.host, secure: encrypted };
    // The last address that no proxy of ours has: what stands before it is the client's own word.
    let address = own;
    for (const hop of listOf(headers['x-forwarded-for']).slice(-maxHops).toReversed()) {
      if (!isProxy(address) || isIP(hop) === 0) break;
      address = plainAddress(hop);
    }
    const scheme = listOf(headers['x-forwarded-proto']).at(-1);
    const secure = scheme === undefined ? encrypted : scheme.toLowerCase() === 'https';
    return { address, host: listOf(headers['x-forwarded-host']).at(-1) ?? headers.host, secure };
  };
}

function listOf(header: string | string[] | undefined): string[] {
  return String(header ?? '')
    .split(',')
    .map((each) => each.trim().replace(/^\[|\]$/g, ''))
    .filter((each) => each !== '');
}
