/** Whether a request asks for us by a name of ours: a page in a browser that gives its own name our address (DNS rebinding) does not. */
import { isIPv6 } from 'node:net';

/**
 * `asked` is the header `Host`; RFC 9110 section 7.2: HTTP/1.1 requests have exactly one, which Node checks. `own` is the address that
 * the client has connected to, `hosts` further names.
 */
export function isOurs(asked: string | undefined, own: string | undefined, hosts: readonly string[]): boolean {
  const [, name = ''] = /^(\[[0-9A-Fa-f:.]+\]|[^:[\]]*)(?::\d{1,5})?$/.exec(asked ?? '') ?? [];
  const bare = name
    .replace(/^\[|\]$/g, '')
    .replace(/\.$/, '')
    .toLowerCase();
  return ['localhost', '127.0.0.1', '::1', plainAddress(own ?? ''), ...hosts].includes(bare);
}

/** A socket for both families names an IPv4 client's address `::ffff:127.0.0.1`. */
export function plainAddress(address: string): string {
  return isIPv6(address) ? address.replace(/^::ffff:(?=\d+\.)/, '') : address;
}
