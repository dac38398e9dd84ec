/**
 * A scripted SMTP server: answers exactly what the script says, byte for byte, and records everything it receives.
 *
 * It runs on raw sockets, because library servers neither break the rules on demand nor answer without delay.
 */
import net from 'node:net';
import { converse } from './conversation.ts';
import type { SmtpReceived, SmtpServerOptions } from './script.ts';

export type { SmtpAnswer, SmtpContext, SmtpScriptEntry, SmtpServerOptions } from './script.ts';

export interface SmtpServer {
  readonly port: number;
  readonly received: SmtpReceived;
  /** Destroys every connection, as a restart would. */
  dropConnections(): void;
  stop(): Promise<void>;
}

export async function startSmtpServer(options: SmtpServerOptions = {}): Promise<SmtpServer> {
  const received: SmtpReceived = {
    transactions: [],
    commands: [],
    authAttempts: [],
    connections: 0,
    openConnections: 0,
    highWater: 0,
  };
  const sockets = new Set<net.Socket>();
  const uses = new Map<string, number>();
  const server = net.createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    let ended = false;
    let counted = false;
    const onEnd = (): void => {
      if (counted && !ended) received.openConnections -= 1;
      ended = true;
    };
    // `end` comes a turn of the event loop before `close`.
    socket.once('end', onEnd).once('close', onEnd);
    socket.once('close', () => sockets.delete(socket)).on('error', () => socket.destroy());
    // After everything that has already arrived: the end of a connection that was closed before this one was opened may
    // still be unread, and must not be counted as open.
    setImmediate(() => {
      received.connections += 1;
      if (ended) return;
      counted = true;
      received.openConnections += 1;
      received.highWater = Math.max(received.highWater, received.openConnections);
      converse(socket, received.connections, options, received, uses);
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port: options.port ?? 0, host: '127.0.0.1', backlog: 4_096 }, resolve);
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const dropConnections = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: address.port,
    received,
    dropConnections,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        dropConnections();
      }),
  };
}
