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
}

/** Of the list in `X-Forwarded-For`: proxies before proxies are few. */
const maxHops = 10;

/** `peer`: the address of the socket. */
export function createClientReader(
  proxies: readonly Network[],
): (headers: IncomingHttpHeaders, peer: string) => Client {
  const isProxy = createNetworkTest(proxies);
  return (headers, peer) => {
    const own = plainAddress(peer);
    if (!isProxy(own)) return { address: own, host: headers.host };
    // The last address that no proxy of ours has: what stands before it is the client's own word.
    let address = own;
    for (const hop of listOf(headers['x-forwarded-for']).slice(-maxHops).toReversed()) {
      if (!isProxy(address) || isIP(hop) === 0) break;
      address = plainAddress(hop);
    }
    return { address, host: listOf(headers['x-forwarded-host']).at(-1) ?? headers.host };
  };
}

function listOf(header: string | string[] | undefined): string[] {
  return String(header ?? '')
    .split(',')
    .map((each) => each.trim().replace(/^\[|\]$/g, ''))
    .filter((each) => each !== '');
}
