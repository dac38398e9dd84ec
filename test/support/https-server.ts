/** An HTTPS server with a certificate of the test's own CA, for answers that no library would give. */
import https from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import { createCertificates } from '../../testkit/certificates.ts';

export interface TestHttpsServer {
  readonly origin: string;
  readonly ca: string;
  /** Method and URL of every request so far. */
  readonly requests: string[];
  /** Connections that are open now. */
  readonly open: () => number;
  /** Bytes that all connections have sent. */
  readonly sent: () => number;
}

export async function httpsServer(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<TestHttpsServer> {
  const { ca, server: keys } = await createCertificates();
  const requests: string[] = [];
  const sockets = new Set<Socket>();
  let gone = 0;
  const server = https.createServer({ key: keys.key, cert: keys.cert }, (request, response) => {
    requests.push(`${request.method} ${request.url}`);
    response.on('error', () => undefined);
    answer(request, response);
  });
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket
      .on('error', () => undefined)
      .on('close', () => {
        gone += socket.bytesWritten;
        sockets.delete(socket);
      });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return {
    origin: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    ca,
    requests,
    open: () => sockets.size,
    sent: () => [...sockets].reduce((sum, { bytesWritten }) => sum + bytesWritten, gone),
  };
}

/** Writes `piece` until the client ends the connection. */
export function pourInto(response: ServerResponse, piece: string): void {
  const pour = (): void => {
    while (!response.destroyed && response.writable && response.write(piece)) continue;
  };
  response.on('drain', pour);
  pour();
}
