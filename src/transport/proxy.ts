/** Which way the connections of a connector take: servers, proxy, which hosts NO_PROXY excepts, and what of it may be shown. Pure. */
import { BlockList, isIP, isIPv6 } from 'node:net';
import { shownTime } from '../errors.ts';

/** `http` and `https`: CONNECT (RFC 9110 section 9.3.6). `socks5`: RFC 1928. Each of them resolves the name of the server itself. */
export interface ProxySettings {
  readonly protocol: 'http' | 'https' | 'socks5';
  readonly host: string;
  readonly port: number;
  readonly login: { readonly user: string; readonly password: string } | null;
}

/** Why a proxy does not connect. `text` goes on after its name, and has no word of the proxy itself. */
export interface Refusal {
  readonly code: 'EPROXY' | 'EPROXYAUTH' | 'EPROXYDENIED' | 'EPROXYNOTUNNEL';
  readonly text: string;
}

/** How the connections of a connector leave this machine. */
export interface ProxyRoute {
  readonly proxy: ProxySettings;
  /** The variable of the environment that names it; null: the connector's own key, which holds for every host. */
  readonly variable: string | null;
  /** Entries of NO_PROXY; none of them counts for the connector's own key. */
  readonly except: readonly string[];
}

/** What the transport settings of a connector say of its way. */
export type Routed =
  | { readonly kind: 'smtp'; readonly smtp: SmtpServers & WithProxy }
  | { readonly kind: 'graph'; readonly graph: GraphServer & WithProxy };

interface HostPort {
  readonly host: string;
  readonly port: number;
}

interface SmtpServers extends HostPort {
  readonly hosts?: readonly HostPort[];
  readonly localAddress?: string | null;
}

interface GraphServer {
  readonly cloud: { readonly graphBaseUrl: string };
  readonly mailbox?: string | null;
}

interface WithProxy {
  readonly proxy?: ProxyRoute | null;
}

/** The proxy for a connection to this host; null: it goes directly. */
export function proxyFor(route: ProxyRoute | null | undefined, host: string, port: number): ProxySettings | null {
  if (route === null || route === undefined) return null;
  if (route.variable === null) return route.proxy;
  const name = bare(host.toLowerCase());
  return isOfThisMachine(name) || route.except.some((entry) => excepts(entry, name, port)) ? null : route.proxy;
}

/** For people: `http://proxy.example.com:3128`, never with a login. */
export function proxyName({ protocol, host, port }: ProxySettings): string {
  return `${protocol}://${authority(host, port)}`;
}

/** The way from a connector to its server, for people. */
export interface Way {
  /** Without its login; null: there is none. */
  readonly proxy: string | null;
  /** Of several hosts those that are reached directly, `host:port`, because of NO_PROXY. Empty without a proxy. */
  readonly directHosts: readonly string[];
}

export function wayOf(transport: Routed | null): Way {
  const direct: Way = { proxy: null, directHosts: [] };
  if (transport === null) return direct;
  if (transport.kind === 'graph') {
    const proxy = proxyForUrl(transport.graph.proxy, transport.graph.cloud.graphBaseUrl);
    return proxy === null ? direct : { proxy: proxyName(proxy), directHosts: [] };
  }
  const { host, port, hosts = [] } = transport.smtp;
  const ways = (hosts.length > 0 ? hosts : [{ host, port }]).map((each) => ({
    name: authority(each.host, each.port),
    proxy: proxyFor(transport.smtp.proxy, each.host, each.port),
  }));
  const proxy = ways.find((each) => each.proxy !== null)?.proxy ?? null;
  if (proxy === null) return direct;
  return { proxy: proxyName(proxy), directHosts: ways.filter((each) => each.proxy === null).map(({ name }) => name) };
}

/** `http://proxy.example.com:3128 (but not for b.example.com:25)`; null: there is none. */
export function wayText({ proxy, directHosts }: Way): string | null {
  if (proxy === null || directHosts.length === 0) return proxy;
  return `${proxy} (but not for ${directHosts.join(', ')})`;
}

/** What is shown is read from. */
interface Configured {
  readonly transport: Routed | null;
  readonly dkim?: { readonly domain: string; readonly selector: string } | null;
  readonly credentialEndsAt: number | null;
}

/** What is set for the way of a connector's mail, as people and programs are shown it. No secret is in it. */
export interface Sending extends Way {
  /** `host:port`, of each host where there are several, or the mailbox of Graph. */
  readonly server: string | null;
  /** The local IP address that its connections use; null: the system chooses. */
  readonly localAddress: string | null;
  readonly dkim: { readonly domain: string; readonly selector: string } | null;
  /** Of its certificate or secret, ms since the epoch. */
  readonly credentialExpiresAt: number | null;
}

export function sendingOf(configured: Configured | null): Sending {
  const transport = configured?.transport ?? null;
  const dkim = configured?.dkim ?? null;
  return {
    server: serverOf(configured),
    ...wayOf(transport),
    localAddress: transport?.kind === 'smtp' ? (transport.smtp.localAddress ?? null) : null,
    dkim: dkim === null ? null : { domain: dkim.domain, selector: dkim.selector },
    credentialExpiresAt: configured?.credentialEndsAt ?? null,
  };
}

export function sendingJson(sending: Sending) {
  const { credentialExpiresAt: at } = sending;
  return { ...sending, credentialExpiresAt: at === null ? null : shownTime(at) };
}

/** `host:port`, or the mailbox of Graph. */
export function serverOf(configured: Pick<Configured, 'transport'> | null): string | null {
  const transport = configured?.transport ?? null;
  if (transport === null) return null;
  if (transport.kind === 'graph') return transport.graph.mailbox ?? null;
  const { host, port, hosts = [{ host, port }] } = transport.smtp;
  return hosts.map((each) => authority(each.host, each.port)).join(', ');
}

/** The proxy for a request. Only `https:` goes through a proxy: what is asked in the open is a service of this machine itself. */
export function proxyForUrl(route: ProxyRoute | null | undefined, url: string): ProxySettings | null {
  const { protocol, hostname, port } = new URL(url);
  return protocol === 'https:' ? proxyFor(route, hostname, port === '' ? 443 : Number(port)) : null;
}

/** Host and port in one: IPv6 addresses stand in brackets. */
export function authority(host: string, port: number): string {
  return `${isIPv6(host) ? `[${host}]` : host}:${port}`;
}

const defaultPorts = { http: 80, https: 443, socks5: 1080 } as const;

/** RFC 1929: user and password have one byte for their length. Longer ones are taken for a mistake with HTTP as well. */
const maxLoginBytes = 255;

/** `http://user:password@host:port`; null if it is none. A scheme may only be left out with `defaultScheme`. */
export function parseProxyUrl(text: string, defaultScheme: 'http' | null = null): ProxySettings | null {
  const hasScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(text);
  if (!hasScheme && defaultScheme === null) return null;
  // Schemes that URL does not know as special keep escapes and letter case in the host.
  const [, scheme = '', rest = ''] =
    /^([a-z0-9]+):\/\/(.+)$/is.exec(hasScheme ? text : `${defaultScheme}://${text}`) ?? [];
  const protocol = { http: 'http', https: 'https', socks5: 'socks5', socks5h: 'socks5' }[scheme.toLowerCase()] as
    | ProxySettings['protocol']
    | undefined;
  const url = protocol === undefined ? null : URL.parse(`http://${rest}`);
  if (protocol === undefined || url === null || url.hostname === '') return null;
  if (!['', '/'].includes(url.pathname) || url.search !== '' || url.hash !== '') return null;
  const user = decoded(url.username);
  const password = decoded(url.password);
  if (user === null || password === null || (user === '' && password !== '')) return null;
  // RFC 7617 section 2: a colon would end the user. RFC 1929 has no empty password.
  if (protocol === 'socks5' ? user !== '' && password === '' : user.includes(':')) return null;
  // URL leaves out port 80, which it takes for the default.
  const written = /:(\d+)\/?$/.exec(rest)?.[1];
  const port = written === undefined ? defaultPorts[protocol] : Number(written);
  if (port < 1 || port > 65_535) return null;
  return { protocol, host: bare(url.hostname), port, login: user === '' ? null : { user, password } };
}

/** null: it encodes nothing, is too long, or has characters that end a line of a header. */
function decoded(text: string): string | null {
  try {
    const value = decodeURIComponent(text);
    // oxlint-disable-next-line no-control-regex -- control characters are what this refuses
    return Buffer.byteLength(value) > maxLoginBytes || /[\u0000-\u001f\u007f]/.test(value) ? null : value;
  } catch {
    return null;
  }
}

/** Separated by commas or spaces, as curl and others read them; letter case does not count. */
export function parseNoProxy(text: string): string[] {
  return text
    .toLowerCase()
    .split(/[\s,]+/)
    .filter((entry) => entry !== '');
}

/**
 * `*` is every host. `example.com`, `.example.com` and `*.example.com` are the domain and all below it. An address, or a network in
 * CIDR form, is compared with hosts that are written as an address: no name is resolved. A port behind a colon limits an entry to it.
 */
function excepts(entry: string, host: string, port: number): boolean {
  if (entry === '*') return true;
  const [, named = entry, digits] = /^(\[[^\]]+\]|[^:]+):(\d{1,5})$/.exec(entry) ?? [];
  if (digits !== undefined && Number(digits) !== port) return false;
  const pattern = bare(named);
  if (isIP(host) !== 0) return inNetwork(pattern, host);
  const domain = pattern.replace(/^\*?\./, '').replace(/\.$/, '');
  const name = host.replace(/\.$/, '');
  return domain !== '' && (name === domain || name.endsWith(`.${domain}`));
}

function inNetwork(pattern: string, address: string): boolean {
  const [network = '', digits, ...more] = pattern.split('/');
  const version = isIP(network);
  if (version === 0 || more.length > 0) return false;
  const bits = version === 4 ? 32 : 128;
  const prefix = digits === undefined ? bits : /^\d{1,3}$/.test(digits) ? Number(digits) : bits + 1;
  if (prefix > bits) return false;
  const list = new BlockList();
  list.addSubnet(network, prefix, version === 4 ? 'ipv4' : 'ipv6');
  return list.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
}

/** Loopback and link-local: the proxy would look for them on another machine, and there might find its metadata service. */
function isOfThisMachine(host: string): boolean {
  if (host === 'localhost' || host.endsWith('.localhost')) return true;
  return ['127.0.0.0/8', '169.254.0.0/16', '::1', 'fe80::/10'].some((network) => inNetwork(network, host));
}

function bare(host: string): string {
  return host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host;
}
