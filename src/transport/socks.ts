/**
 * Asks a SOCKS5 proxy for a connection: RFC 1928, with user and password of RFC 1929. Names are sent to the proxy, which resolves them.
 *
 * Bytes are taken off the socket one answer at a time, so that what the server says behind the last answer stays in the socket.
 */
import { isIP, isIPv4, type Socket } from 'node:net';
import { authority, type ProxySettings, type Refusal } from './proxy.ts';

/** RFC 1928 section 6. */
const replies: Readonly<Record<number, string>> = {
  1: 'has a failure of its own',
  3: 'cannot reach the network of',
  4: 'cannot reach the host of',
  5: 'is refused a connection by',
  6: 'has waited too long for',
};

/** `null` once the server is connected. Rejects where the connection breaks off. */
export async function socksConnect(
  socket: Socket,
  login: ProxySettings['login'],
  { host, port }: { readonly host: string; readonly port: number },
): Promise<Refusal | null> {
  const server = authority(host, port);
  const destination = addressOf(host);
  if (destination === null)
    return { code: 'EPROXYNOTUNNEL', text: `cannot be told a name as long as that of ${server}` };
  const take = createTaker(socket);
  try {
    // No login, and with one the choice between both: a proxy that wants none refuses to be given one.
    socket.write(Buffer.from(login === null ? [5, 1, 0] : [5, 2, 0, 2]));
    const [version, method] = await take(2);
    if (version !== 5) return { code: 'EPROXYNOTUNNEL', text: 'does not speak SOCKS5: is the port the right one?' };
    if (method === 2 && login !== null) {
      socket.write(credentials(login));
      const [, status] = await take(2);
      if (status !== 0) {
        return { code: 'EPROXYAUTH', text: 'does not accept the login: check the user and password in its URL' };
      }
    } else if (method !== 0) {
      return login === null
        ? { code: 'EPROXYAUTH', text: 'wants a login: write socks5://USER:PASSWORD@HOST:PORT, with references' }
        : { code: 'EPROXYNOTUNNEL', text: 'takes no user and password, and nothing else is supported' };
    }
    socket.write(Buffer.concat([Buffer.from([5, 1, 0]), destination, Buffer.from([port >> 8, port & 255])]));
    const [answered, reply = 255, , type = 0] = await take(4);
    if (answered !== 5) return { code: 'EPROXY', text: 'answers with something that is no SOCKS5' };
    if (reply === 2) {
      const text = `does not allow connections to ${server}: permit this host and port there, or write proxy: none`;
      return { code: 'EPROXYDENIED', text };
    }
    if (reply !== 0) {
      const what = replies[reply] ?? `answers ${reply} to a connection to`;
      return { code: 'EPROXY', text: `${what} ${server}: check the name, and the way from the proxy to there` };
    }
    // The address from which the proxy connects, which tells nothing here.
    const length = type === 1 ? 4 : type === 4 ? 16 : type === 3 ? ((await take(1))[0] ?? 0) : null;
    if (length === null) return { code: 'EPROXY', text: 'answers with something that is no SOCKS5' };
    await take(length + 2);
    return null;
  } finally {
    take.end();
  }
}

interface Taker {
  /** Resolves with exactly so many bytes. */
  (count: number): Promise<Buffer>;
  end(): void;
}

function createTaker(socket: Socket): Taker {
  let wanted: { count: number; resolve: (bytes: Buffer) => void; reject: (error: Error) => void } | null = null;
  const look = (): void => {
    if (wanted === null) return;
    const bytes = socket.read(wanted.count) as Buffer | null;
    if (bytes === null) return;
    const { count, resolve, reject } = wanted;
    wanted = null;
    // The rest of a connection that has ended is handed out however short it is.
    if (bytes.length === count) resolve(bytes);
    else reject(new Error('the connection ended within an answer'));
  };
  const onEnd = (): void => wanted?.reject(new Error('the connection ended before the answer'));
  socket.on('readable', look).on('end', onEnd);
  const take = (count: number): Promise<Buffer> =>
    new Promise((resolve, reject) => {
      wanted = { count, resolve, reject };
      look();
    });
  return Object.assign(take, { end: () => void socket.off('readable', look).off('end', onEnd) });
}

/** RFC 1928 section 5; null for a name that does not fit into its byte of length. */
function addressOf(host: string): Buffer | null {
  if (isIPv4(host)) return Buffer.from([1, ...host.split('.').map(Number)]);
  if (isIP(host) === 6) return Buffer.concat([Buffer.from([4]), ipv6Bytes(host)]);
  const name = Buffer.from(host);
  return name.length > 255 ? null : Buffer.concat([Buffer.from([3, name.length]), name]);
}

/** URL writes an address in its one canonical form, without dots. */
function ipv6Bytes(host: string): Buffer {
  const canonical = new URL(`http://[${host}]`).hostname.slice(1, -1);
  const [head = '', tail = ''] = canonical.split('::');
  const groups = (text: string): string[] => (text === '' ? [] : text.split(':'));
  const [before, after] = [groups(head), groups(tail)];
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => '0');
  return Buffer.from([...before, ...zeros, ...after].map((group) => group.padStart(4, '0')).join(''), 'hex');
}

function credentials({ user, password }: NonNullable<ProxySettings['login']>): Buffer {
  const [name, secret] = [Buffer.from(user), Buffer.from(password)];
  return Buffer.concat([Buffer.from([1, name.length]), name, Buffer.from([secret.length]), secret]);
}
