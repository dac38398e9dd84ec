/** Opens a connection through a proxy: HTTP CONNECT, over TLS as well, or SOCKS5. What comes back is a socket to the server, nothing read from it. */
import http from 'node:http';
import net from 'node:net';
import tls from 'node:tls';
import { printable } from '../errors.ts';
import { authority, proxyName, type ProxySettings, type Refusal } from './proxy.ts';
import { checkServerIdentity } from './server-identity.ts';
import { socksConnect } from './socks.ts';

/** The proxy is to blame: nothing has reached the server. The text names the proxy, and has no word of its own in it. */
export class ProxyFailure extends Error {
  /** The socket's, or that of a `Refusal`. */
  readonly code: string;

  constructor(code: string, text: string) {
    super(printable(text, 500));
    this.name = 'ProxyFailure';
    this.code = code;
  }
}

interface Target {
  readonly host: string;
  readonly port: number;
}

interface TunnelLimits {
  readonly signal: AbortSignal;
  /** Until the server is connected, in ms. */
  readonly timeoutMs: number;
}

/** Of the proxy's answer. */
const maxAnswerBytes = 16 * 1024;
/** How long one address of the proxy is tried before the next, in ms. */
const perAddressMs = 2_000;

/** @throws ProxyFailure; then the connection is closed. */
export function openTunnel(
  proxy: ProxySettings,
  target: Target,
  { signal, timeoutMs }: TunnelLimits,
): Promise<net.Socket> {
  const name = `the proxy ${proxyName(proxy)}`;
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(new ProxyFailure('EPROXY', 'stopped before the proxy was asked'));
    const socket = connect(proxy);
    let connected = false;
    let settled = false;
    const settle = (): boolean => {
      if (settled) return false;
      settled = true;
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      socket.off('close', onClose);
      return true;
    };
    const fail = (failure: ProxyFailure): void => {
      if (!settle()) return;
      socket.destroy();
      reject(failure);
    };
    const answered = (refusal: Refusal | null): void => {
      if (refusal !== null) fail(new ProxyFailure(refusal.code, `${name} ${refusal.text}`));
      else if (settle()) resolve(socket);
    };
    const onAbort = (): void => fail(new ProxyFailure('EPROXY', `stopped while waiting for ${name}`));
    const onClose = (): void => fail(new ProxyFailure('EPROXY', `${name} closed the connection without an answer`));
    const timer = setTimeout(() => {
      const what = connected
        ? `${name} has not connected to ${authority(target.host, target.port)} within ${timeoutMs} ms`
        : `no connection to ${name} within ${timeoutMs} ms`;
      fail(new ProxyFailure('ETIMEDOUT', what));
    }, timeoutMs);
    signal.addEventListener('abort', onAbort);
    // It stays: until the next owner of the socket adds listeners, an error must not end the process.
    socket.on('error', (error: NodeJS.ErrnoException) => fail(brokenOff(error, name, connected)));
    socket.on('close', onClose);
    socket.once(proxy.protocol === 'https' ? 'secureConnect' : 'connect', () => {
      connected = true;
      const asked =
        proxy.protocol === 'socks5' ? socksConnect(socket, proxy.login, target) : httpConnect(socket, proxy, target);
      asked.then(answered, (error: NodeJS.ErrnoException) => fail(brokenOff(error, name, true)));
    });
  });
}

function connect({ protocol, host, port }: ProxySettings): net.Socket {
  const target = { host, port, noDelay: true, keepAlive: true, autoSelectFamilyAttemptTimeout: perAddressMs };
  if (protocol !== 'https') return net.connect(target);
  return tls.connect({
    ...target,
    minVersion: 'TLSv1.2',
    rejectUnauthorized: true,
    checkServerIdentity,
    ...(net.isIP(host) === 0 ? { servername: host } : {}),
  });
}

function brokenOff(error: NodeJS.ErrnoException, name: string, connected: boolean): ProxyFailure {
  const code = error.code ?? 'EPROXY';
  if (code.startsWith('HPE_'))
    return new ProxyFailure('EPROXY', `${name} answers with something that is no HTTP (${code})`);
  const text =
    error instanceof AggregateError ? error.errors.map((one: Error) => one.message).join('; ') : error.message;
  return new ProxyFailure(code, connected ? `${name} broke off: ${text}` : `${name} cannot be reached: ${text}`);
}

/** RFC 9110 section 9.3.6. Node's parser reads the answer: it bounds the header, and takes nothing that follows it. */
function httpConnect(socket: net.Socket, { login }: ProxySettings, { host, port }: Target): Promise<Refusal | null> {
  const server = authority(host, port);
  return new Promise((resolve, reject) => {
    const request = http.request({
      method: 'CONNECT',
      path: server,
      setHost: false,
      headers: {
        host: server,
        'user-agent': 'postlane',
        ...(login === null ? {} : { 'proxy-authorization': basic(login) }),
      },
      maxHeaderSize: maxAnswerBytes,
      createConnection: () => socket,
    });
    request.on('error', reject);
    request.on('connect', ({ statusCode = 0, headers }, _socket, head) => {
      if (statusCode >= 200 && statusCode <= 299) {
        // What a server says first, such as the greeting of SMTP, may have come with the answer.
        if (head.length > 0) socket.unshift(head);
        return resolve(null);
      }
      resolve(refusalOf(statusCode, headers['proxy-authenticate'] ?? '', login !== null, server));
    });
    request.end();
  });
}

function basic({ user, password }: NonNullable<ProxySettings['login']>): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
}

function refusalOf(status: number, challenge: string | readonly string[], hasLogin: boolean, server: string): Refusal {
  if (status === 407) {
    // RFC 9110 section 11.7.1.
    const takesBasic = /(?:^|[\s,])basic(?:[\s,]|$)/i.test(String(challenge));
    const text = !takesBasic
      ? 'wants a login that is not Basic (407), the only one that is supported; let it take Basic from this machine'
      : hasLogin
        ? 'does not accept the login (407): check the user and password in its URL'
        : 'wants a login (407): write http://USER:PASSWORD@HOST:PORT, with references';
    return { code: takesBasic ? 'EPROXYAUTH' : 'EPROXYNOTUNNEL', text };
  }
  if (status === 403) {
    const text = `does not allow connections to ${server} (403): permit CONNECT to this host and port there, or write proxy: none`;
    return { code: 'EPROXYDENIED', text };
  }
  if (status === 400 || status === 405 || status === 501) {
    return {
      code: 'EPROXYNOTUNNEL',
      text: `does not know CONNECT (${status}): is it a proxy, and is the port the right one?`,
    };
  }
  const text = `cannot connect to ${server} (${status}): check the name, and the way from the proxy to there`;
  return { code: 'EPROXY', text };
}
