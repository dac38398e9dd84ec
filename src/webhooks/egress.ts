/**
 * Where a webhook must not go: link-local and metadata addresses, from which a cloud hands out credentials (server-side request forgery).
 * The decision is made for the address of each connection: a name that was checked before may resolve to another one since. Loopback and
 * private addresses are allowed: those who run this notify their neighbours.
 */
import { lookup as resolveName, type LookupAddress } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';

/** RFC 3927, and the metadata services of Azure, Alibaba and Oracle. AWS, Google, Azure and others use 169.254.169.254. */
const refused4 = [
  ['169.254.0.0', 16],
  ['168.63.129.16', 32],
  ['100.100.100.200', 32],
  ['192.0.0.192', 32],
] as const;
/** RFC 4291 section 2.5.6, and the metadata services of AWS and Google. */
const refused6 = [
  ['fe80::', 10],
  ['fd00:ec2::254', 128],
  ['fd20:ce::254', 128],
] as const;
/** Where an IPv4 address stands within an IPv6 one: NAT64 (RFC 6052), translated (RFC 2765) and compatible (RFC 4291). Mapped ones Node knows. */
const embedding = ['64:ff9b::', '::ffff:0:', '::'];

const hex = (address: string): string => {
  const [a = 0, b = 0, c = 0, d = 0] = address.split('.').map(Number);
  return `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
};

function createRefused(): BlockList {
  const list = new BlockList();
  for (const [net, prefix] of refused6) list.addSubnet(net, prefix, 'ipv6');
  for (const [net, prefix] of refused4) {
    list.addSubnet(net, prefix, 'ipv4');
    for (const before of embedding) list.addSubnet(`${before}${hex(net)}`, 96 + prefix, 'ipv6');
    // 6to4 (RFC 3056): the address follows the first 16 bits.
    list.addSubnet(`2002:${hex(net)}::`, 16 + prefix, 'ipv6');
  }
  return list;
}

export interface Egress {
  /** The host of a URL: Node asks `lookup` for names only, so an address is judged here. */
  refuses(hostname: string): boolean;
  /** For the options of a request. */
  readonly lookup: LookupFunction;
}

export class RefusedAddress extends Error {
  constructor(address: string) {
    super(`${address} is a link-local or metadata address`);
    this.name = 'RefusedAddress';
  }
}

/** `resolve` is that of Node, but in tests. */
export function createEgress(resolve: typeof resolveName = resolveName): Egress {
  const refused = createRefused();
  const isRefused = (address: string): boolean => {
    const [bare = ''] = address.replace(/^\[|\]$/g, '').split('%');
    const version = isIP(bare);
    return version !== 0 && refused.check(bare, version === 4 ? 'ipv4' : 'ipv6');
  };
  return {
    refuses: isRefused,
    lookup(hostname, options, callback) {
      resolve(hostname, { ...options, all: true }, (error, found) => {
        if (error !== null) return callback(error, []);
        // One such address among good ones is an attack, too: Node tries them one after the other.
        const bad = found.find(({ address }) => isRefused(address));
        if (bad !== undefined) return callback(new RefusedAddress(bad.address), []);
        if (options.all === true) return callback(null, found);
        const [first] = found as [LookupAddress, ...LookupAddress[]];
        return callback(null, first.address, first.family);
      });
    },
  };
}
