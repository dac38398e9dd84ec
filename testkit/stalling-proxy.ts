/** A TCP proxy to an SMTP server that stops reading in the middle of the first message, so that the client's buffers fill up. */
import net from 'node:net';

export interface StallingProxy {
  readonly port: number;
  /** It has stopped reading. Only the first connection with a message is affected. */
  readonly stalled: () => boolean;
  stop(): Promise<void>;
}

export async function startStallingProxy(port: number): Promise<StallingProxy> {
  let stalled = false;
  const sockets = new Set<net.Socket>();
  const proxy = net.createServer((client) => {
    const server = net.connect(port, '127.0.0.1');
    for (const socket of [client, server]) {
      sockets.add(socket);
      socket.on('error', () => socket.destroy()).on('close', () => sockets.delete(socket));
    }
    server.pipe(client);
    let commands = '';
    client.on('data', (chunk) => {
      commands += chunk.toString('latin1').slice(0, 1_000);
      server.write(chunk);
      if (!stalled && commands.includes('Message-ID')) {
        stalled = true;
        client.pause();
      }
    });
    client.on('close', () => server.destroy());
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  return {
    port: (proxy.address() as net.AddressInfo).port,
    stalled: () => stalled,
    stop: () =>
      new Promise((resolve) => {
        proxy.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}
