/** From where a connector's mail reaches receivers, as far as its settings tell: a provider, or the server itself. */
import { BlockList, isIP } from 'node:net';
import type { ConnectorConfig } from '../config/config.ts';
import type { Lookup } from './lookup.ts';

/**
 * `provider`: the domain's SPF record must include that of the provider. `addresses`: the server may deliver from its own addresses.
 * `unknown`: the server is inside a network, or DNS does not know it.
 */
export type SendingHost =
  | { readonly kind: 'provider'; readonly name: string; readonly includes: readonly string[] }
  | { readonly kind: 'addresses'; readonly hosts: readonly string[]; readonly addresses: readonly string[] }
  | { readonly kind: 'unknown'; readonly why: string };

interface Provider {
  readonly host: RegExp;
  readonly name: string;
  readonly includes: readonly string[];
  readonly source: string;
}

const microsoft = {
  name: 'Exchange Online',
  includes: ['spf.protection.outlook.com', 'spf.protection.office365.us', 'spf.protection.partner.outlook.cn'],
  source: 'https://learn.microsoft.com/defender-office-365/email-authentication-spf-configure',
};

const providers: readonly Provider[] = [
  { host: /(?:^|\.)(?:office365\.com|outlook\.com|office365\.us|partner\.outlook\.cn)$/i, ...microsoft },
  {
    host: /(?:^|\.)(?:gmail\.com|googlemail\.com|google\.com)$/i,
    name: 'Google',
    includes: ['_spf.google.com'],
    source: 'https://support.google.com/a/answer/33786',
  },
  {
    host: /^email-smtp\.[\w-]+\.amazonaws\.com$/i,
    name: 'Amazon SES',
    includes: ['amazonses.com'],
    source: 'https://docs.aws.amazon.com/ses/latest/dg/send-email-authentication-spf.html',
  },
];

/** `some`: of several hosts, not all are Microsoft's. */
export function isMicrosoft({ transport }: ConnectorConfig): 'yes' | 'some' | 'no' {
  if (transport === null) return 'no';
  if (transport.kind === 'graph') return 'yes';
  const { host, hosts = [{ host }] } = transport.smtp;
  const found = hosts.filter((each) => providers[0]!.host.test(each.host)).length;
  return found === 0 ? 'no' : found === hosts.length ? 'yes' : 'some';
}

/** Whether a server is of the organization itself, and so known to deliver from its own addresses: one of a provider hands on to others. */
export function isOwn(host: SendingHost, organization: string): boolean {
  const isWithin = (name: string): boolean => name === organization || name.endsWith(`.${organization}`);
  return host.kind === 'addresses' && host.hosts.every((name) => isIP(name) !== 0 || isWithin(name.toLowerCase()));
}

export async function sendingHostOf({ transport }: ConnectorConfig, lookup: Lookup): Promise<SendingHost> {
  if (transport === null) return { kind: 'unknown', why: 'it never sends' };
  if (transport.kind === 'graph') return { kind: 'provider', ...microsoft };
  const all: SendingHost[] = [];
  const { host, hosts = [{ host }] } = transport.smtp;
  for (const each of hosts) all.push(await ofHost(each.host, lookup));
  return joined(all);
}

/** A mail may leave by any of several hosts. */
function joined([first, ...others]: readonly SendingHost[]): SendingHost {
  if (first === undefined) return { kind: 'unknown', why: 'it has no server' };
  return others.reduce((one, other) => {
    if (one.kind === 'unknown') return one;
    if (other.kind === 'unknown') return other;
    if (one.kind === 'provider' && other.kind === 'provider' && one.name === other.name) return one;
    if (one.kind === 'addresses' && other.kind === 'addresses') {
      const addresses = [...new Set([...one.addresses, ...other.addresses])];
      return { kind: 'addresses', hosts: [...one.hosts, ...other.hosts], addresses };
    }
    return { kind: 'unknown', why: 'its hosts are of different providers' };
  }, first);
}

async function ofHost(host: string, lookup: Lookup): Promise<SendingHost> {
  const provider = providers.find((each) => each.host.test(host));
  if (provider !== undefined) return { kind: 'provider', name: provider.name, includes: provider.includes };
  const found = isIP(host) === 0 ? await lookup.addresses(host) : { kind: 'found' as const, records: [host] };
  if (found.kind !== 'found') return { kind: 'unknown', why: `DNS has no address of ${host}` };
  const addresses = found.records.filter((address) => !isPrivate(address));
  return addresses.length === 0
    ? { kind: 'unknown', why: `${host} is inside a network, so the address that receivers see is not known` }
    : { kind: 'addresses', hosts: [host], addresses };
}

function isPrivate(address: string): boolean {
  const list = new BlockList();
  for (const [net, bits] of [
    ['10.0.0.0', 8],
    ['100.64.0.0', 10],
    ['127.0.0.0', 8],
    ['169.254.0.0', 16],
    ['172.16.0.0', 12],
    ['192.168.0.0', 16],
  ] as const) {
    list.addSubnet(net, bits, 'ipv4');
  }
  list.addSubnet('fc00::', 7, 'ipv6');
  list.addSubnet('fe80::', 10, 'ipv6');
  list.addAddress('::1', 'ipv6');
  return list.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
}
