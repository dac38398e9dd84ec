/** Preloaded into a program (`node --import`): writes every address that it connects to, and every name that it looks up, into a file. */
import dns from 'node:dns';
import { appendFileSync } from 'node:fs';
import net from 'node:net';

const file = process.env['CONNECTIONS_FILE'] ?? '';
const note = (what: string): void => appendFileSync(file, `${what}\n`);

interface Target {
  readonly host?: string;
  readonly port?: number | string;
  readonly path?: string | null;
}

const connect = Reflect.get(net.Socket.prototype, 'connect') as (...args: unknown[]) => net.Socket;
net.Socket.prototype.connect = function (this: net.Socket, ...args: unknown[]): net.Socket {
  // Within Node it is called with its arguments in an array already.
  const [first, second] = Array.isArray(args[0]) ? (args[0] as unknown[]) : args;
  const {
    host = 'localhost',
    port,
    path,
  } = (
    typeof first === 'object' ? first : { port: first, host: typeof second === 'string' ? second : 'localhost' }
  ) as Target;
  note(path ?? `${host}:${port}`);
  return connect.apply(this, args);
};

const lookup = Reflect.get(dns, 'lookup') as (...args: unknown[]) => void;
dns.lookup = function (...args: unknown[]): void {
  // An address asks no name server: a program that listens on one looks it up as well.
  if (net.isIP(String(args[0])) === 0) note(`name ${String(args[0])}`);
  lookup(...args);
} as typeof dns.lookup;
