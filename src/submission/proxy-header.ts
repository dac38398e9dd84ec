/**
 * Reads the PROXY header with which a load balancer begins a connection: versions 1 and 2 of HAProxy's protocol
 * (https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt). Only what comes from a listed proxy is read here.
 */
import { isIP, isIPv4, isIPv6, type Socket } from 'node:net';

/** The client behind the proxy; null where the proxy speaks for itself, such as in a health check. */
export type ProxiedClient = { readonly address: string; readonly port: number } | null;

type ReadHeader =
  | { readonly kind: 'more' }
  | { readonly kind: 'bad'; readonly problem: string }
  | { readonly kind: 'read'; readonly client: ProxiedClient; readonly bytes: number };

const signature = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
/** Section 2.1: 107 characters with CRLF. */
const maxTextBytes = 107;
/** Section 2.2: 16 bytes, and then addresses and additions, of which servers add some hundred bytes. */
const maxBinaryBytes = 16 + 2_048;

/** What the first bytes of a connection say. */
export function readProxyHeader(bytes: Buffer): ReadHeader {
  const start = bytes.subarray(0, signature.length);
  if (start.equals(signature.subarray(0, start.length))) return readBinary(bytes);
  const text = bytes.toString('latin1', 0, maxTextBytes);
  const end = text.indexOf('\r\n');
  if (!'PROXY '.startsWith(text.slice(0, 6))) return bad('it does not begin with one');
  if (end < 0) return bytes.length < maxTextBytes ? { kind: 'more' } : bad('its line is too long');
  const [, family = '', from = '', to = '', port = '', ...rest] = text.slice(0, end).split(' ');
  const read = (client: ProxiedClient): ReadHeader => ({ kind: 'read', client, bytes: end + 2 });
  if (family === 'UNKNOWN') return read(null);
  const isRight = family === 'TCP4' ? isIPv4(from) && isIPv4(to) : family === 'TCP6' && isIPv6(from) && isIPv6(to);
  const isPort = /^\d{1,5}$/.test(port) && Number(port) <= 65_535;
  return isRight && isPort && rest.length === 1
    ? read({ address: from, port: Number(port) })
    : bad('it is not well-formed');
}

function readBinary(bytes: Buffer): ReadHeader {
  if (bytes.length < 16) return { kind: 'more' };
  const [version, family] = [bytes[12] ?? 0, bytes[13] ?? 0];
  const length = 16 + bytes.readUInt16BE(14);
  if (version >> 4 !== 2 || (version & 0x0f) > 1) return bad('its version or command is unknown');
  if (length > maxBinaryBytes) return bad('it is too long');
  if (bytes.length < length) return { kind: 'more' };
  const read = (client: ProxiedClient): ReadHeader => ({ kind: 'read', client, bytes: length });
  // LOCAL, or a family without addresses.
  if ((version & 0x0f) === 0 || family >> 4 === 0) return read(null);
  const body = bytes.subarray(16, length);
  if (family >> 4 === 1 && body.length >= 12) {
    return read({ address: [...body.subarray(0, 4)].join('.'), port: body.readUInt16BE(8) });
  }
  if (family >> 4 === 2 && body.length >= 36) {
    const groups = Array.from({ length: 8 }, (_, i) => body.readUInt16BE(2 * i).toString(16));
    return read({ address: groups.join(':'), port: body.readUInt16BE(32) });
  }
  return bad('its addresses are not of the internet');
}

function bad(problem: string): ReadHeader {
  return { kind: 'bad', problem };
}

/** Takes the header off the socket; what follows it stays there. Rejects if it is not there in time, or is none. */
export function takeProxyHeader(socket: Socket, timeoutMs: number): Promise<ProxiedClient> {
  return new Promise((resolve, reject) => {
    let bytes = Buffer.alloc(0);
    const end = (settle: () => void): void => {
      clearTimeout(timer);
      socket.off('readable', onReadable).off('end', onGone).off('close', onGone);
      settle();
    };
    const fail = (problem: string): void => end(() => reject(new Error(`PROXY header: ${problem}`)));
    const onGone = (): void => fail('the connection ended before it');
    const onReadable = (): void => {
      for (let chunk = socket.read() as Buffer | null; chunk !== null; chunk = socket.read() as Buffer | null) {
        bytes = Buffer.concat([bytes, chunk]);
        const header = readProxyHeader(bytes);
        if (header.kind === 'bad') return fail(header.problem);
        if (header.kind === 'more') continue;
        const rest = bytes.subarray(header.bytes);
        const { client } = header;
        end(() => {
          if (rest.length > 0) socket.unshift(rest);
          resolve(client !== null && isIP(client.address) === 0 ? null : client);
        });
        return;
      }
    };
    const timer = setTimeout(() => fail('it did not come in time'), timeoutMs);
    socket.on('readable', onReadable).once('end', onGone).once('close', onGone);
  });
}
