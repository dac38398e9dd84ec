/** Proxies that a test scripts itself: one that says what no real one would, and one that passes on and can be cut. */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import { parseProxyUrl, type ProxyRoute } from '../../src/transport/proxy.ts';

export interface ScriptedProxy {
  readonly port: number;
  /** Connections so far. */
  readonly connections: () => number;
  /** Connections that are open now. */
  readonly open: () => number;
  /** Resets every connection. */
  reset(): void;
}

/** `serve` gets each connection. Everything ends with the test. */
export async function scriptedProxy(serve: (socket: Socket) => void): Promise<ScriptedProxy> {
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket));
    serve(socket);
    // The end of a connection is seen by who reads.
    socket.resume();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return {
    port: (server.address() as AddressInfo).port,
    connections: () => connections,
    open: () => sockets.size,
    reset() {
      for (const socket of sockets) socket.resetAndDestroy();
    },
  };
}

/** Takes every CONNECT, and tells each chunk that comes from the client. */
export function connectingProxy(onBytes: (bytes: Buffer) => void = () => undefined): Promise<ScriptedProxy> {
  return scriptedProxy((client) => {
    client.once('data', (request: Buffer) => {
      const [, port = ''] = /^CONNECT [^ ]+:(\d+) HTTP/.exec(request.toString('latin1')) ?? [];
      const server = connect({ host: '127.0.0.1', port: Number(port) }, () => {
        client.write('HTTP/1.1 200 OK\r\n\r\n');
        client.on('data', (bytes: Buffer) => {
          onBytes(bytes);
          server.write(bytes);
        });
        server.pipe(client);
      });
      server.on('error', () => client.destroy());
      client.on('close', () => server.destroy());
    });
  });
}

/** The way through this proxy, as the key of a connector says it. */
export function routeTo(url: string): ProxyRoute {
  const proxy = parseProxyUrl(url);
  if (proxy === null) throw new Error(`${url} is no proxy`);
  return { proxy, variable: null, except: [] };
}
