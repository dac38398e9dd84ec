/** An HTTPS server on the loopback whose connections can be reset for real, under TLS. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { KeyAndCertificate } from '../certificates.ts';

export interface Listener {
  readonly port: number;
  /** RST instead of a close: what a crashed machine or a firewall looks like. */
  readonly reset: (request: IncomingMessage) => void;
  /** Ends every connection at once, as a restart would. */
  dropConnections(): void;
  stop(): Promise<void>;
}

export async function listen(
  { key, cert }: KeyAndCertificate,
  port: number,
  serve: (request: IncomingMessage, response: ServerResponse) => Promise<void>,
): Promise<Listener> {
  // Below TLS, by the port of the client: a TLS socket itself cannot send RST.
  const plain = new Map<number, Socket>();
  const server = createServer({ key, cert, keepAliveTimeout: 60_000 }, (request, response) => {
    serve(request, response).catch((error: unknown) => {
      response.writeHead(500, { 'content-type': 'text/plain' }).end(`The fake itself has failed: ${String(error)}`);
    });
  });
  server.on('connection', (socket: Socket) => {
    const client = socket.remotePort ?? 0;
    plain.set(client, socket);
    socket.once('close', () => plain.get(client) === socket && plain.delete(client));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  const dropConnections = (): void => {
    for (const socket of plain.values()) socket.destroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    reset(request) {
      plain.get(request.socket.remotePort ?? 0)?.resetAndDestroy();
    },
    dropConnections,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        dropConnections();
      }),
  };
}
