/** A DNS server of one's own on the loopback, by UDP and TCP: answers from a table, and misbehaves on request. */
import dgram from 'node:dgram';
import net from 'node:net';

/** `loop`: a CNAME to itself. `drop`: no answer. `garbage`: bytes that are no answer. */
export type DnsRecord =
  | { readonly txt: string | readonly string[] }
  | { readonly a: string }
  | { readonly mx: string }
  | { readonly cname: string }
  | { readonly fault: 'servfail' | 'drop' | 'garbage' };

export interface DnsServer {
  /** `127.0.0.1:PORT`. */
  readonly address: string;
  /** `TYPE name`, in the order in which they came. */
  readonly questions: readonly string[];
  stop(): Promise<void>;
}

const types: Readonly<Record<number, string>> = { 1: 'A', 5: 'CNAME', 15: 'MX', 16: 'TXT', 28: 'AAAA' };

/** Name in lower case → its records. */
export async function startDnsServer(table: Readonly<Record<string, readonly DnsRecord[]>>): Promise<DnsServer> {
  const questions: string[] = [];
  const answer = (query: Buffer, most: number): Buffer | null => {
    const { name, type, end } = questionOf(query);
    questions.push(`${types[type] ?? type} ${name}`);
    const records = table[name];
    const fault = records?.find((record) => 'fault' in record);
    if (fault?.fault === 'drop') return null;
    if (fault?.fault === 'garbage') return Buffer.from('this is no DNS');
    const answers = fault === undefined ? answersOf(name, type, table) : [];
    const code = fault !== undefined ? 2 : records === undefined ? 3 : 0;
    const body = Buffer.concat(answers);
    const isCut = end + body.length > most;
    const head = Buffer.alloc(12);
    query.copy(head, 0, 0, 2);
    head.writeUInt16BE(0x8180 | (isCut ? 0x0200 : 0) | code, 2);
    head.writeUInt16BE(1, 4);
    head.writeUInt16BE(isCut ? 0 : answers.length, 6);
    return Buffer.concat([head, query.subarray(12, end), ...(isCut ? [] : [body])]);
  };
  const sockets = new Set<net.Socket>();
  const tcp = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
    socket.on('data', (chunk: Buffer) => {
      const reply = answer(chunk.subarray(2), 65_535);
      if (reply === null) return;
      const length = Buffer.alloc(2);
      length.writeUInt16BE(reply.length);
      socket.write(Buffer.concat([length, reply]));
    });
  });
  const { udp, port } = await listen(tcp);
  udp.on('message', (query, { port: from, address }) => {
    const reply = answer(query, 512);
    if (reply !== null) udp.send(reply, from, address);
  });
  return {
    address: `127.0.0.1:${port}`,
    questions,
    async stop() {
      for (const socket of sockets) socket.destroy();
      await Promise.all([
        new Promise<void>((resolve) => udp.close(() => resolve())),
        new Promise<void>((resolve) => tcp.close(() => resolve())),
      ]);
    },
  };
}

/** One port for both, which another process may have for one of them. */
async function listen(tcp: net.Server, tries = 20): Promise<{ udp: dgram.Socket; port: number }> {
  await new Promise<void>((resolve, reject) => {
    tcp.once('error', reject);
    tcp.listen(0, '127.0.0.1', resolve);
  });
  const { port } = tcp.address() as net.AddressInfo;
  const udp = dgram.createSocket('udp4');
  const isBound = await new Promise<boolean>((resolve) => {
    udp.once('error', () => resolve(false));
    udp.bind(port, '127.0.0.1', () => resolve(true));
  });
  if (isBound) return { udp, port };
  udp.close();
  await new Promise<void>((resolve) => tcp.close(() => resolve()));
  if (tries <= 1) throw new Error('no port is free for UDP and TCP');
  return listen(tcp, tries - 1);
}

function questionOf(query: Buffer): { name: string; type: number; end: number } {
  const labels: string[] = [];
  let at = 12;
  while (query[at] !== 0) {
    const length = query[at]!;
    labels.push(query.subarray(at + 1, at + 1 + length).toString('latin1'));
    at += 1 + length;
  }
  return { name: labels.join('.').toLowerCase(), type: query.readUInt16BE(at + 1), end: at + 5 };
}

/** Follows aliases, and ends with a loop as a resolver would find it: in the answer. */
function answersOf(
  name: string,
  type: number,
  table: Readonly<Record<string, readonly DnsRecord[]>>,
  depth = 0,
): Buffer[] {
  return (table[name] ?? []).flatMap((record): Buffer[] => {
    if ('cname' in record) {
      const further = depth > 8 ? [] : answersOf(record.cname, type, table, depth + 1);
      return [resource(name, 5, nameOf(record.cname)), ...further];
    }
    if ('txt' in record && type === 16) {
      const strings = typeof record.txt === 'string' ? (record.txt.match(/[^]{1,255}/g) ?? ['']) : record.txt;
      const data = strings.map((text) => Buffer.concat([Buffer.from([text.length]), Buffer.from(text, 'latin1')]));
      return [resource(name, 16, Buffer.concat(data))];
    }
    if ('a' in record && type === 1) return [resource(name, 1, Buffer.from(record.a.split('.').map(Number)))];
    if ('mx' in record && type === 15) {
      return [resource(name, 15, Buffer.concat([Buffer.from([0, 10]), nameOf(record.mx)]))];
    }
    return [];
  });
}

function nameOf(name: string): Buffer {
  const labels = name.split('.').map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]));
  return Buffer.concat([...labels, Buffer.from([0])]);
}

function resource(name: string, type: number, data: Buffer): Buffer {
  const head = Buffer.alloc(10);
  head.writeUInt16BE(type, 0);
  head.writeUInt16BE(1, 2);
  head.writeUInt32BE(60, 4);
  head.writeUInt16BE(data.length, 8);
  return Buffer.concat([nameOf(name), head, data]);
}
