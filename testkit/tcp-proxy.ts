/** A TCP proxy for tests that can lose its network: black-hole, cut or delay what passes between a client and a server. */
import net from 'node:net';

export interface TcpProxy {
  readonly port: number;
  /** Connections accepted so far. */
  readonly connections: number;
  /** Bytes go nowhere, in both directions, without a sign; new connections are accepted and stay silent. */
  blackHole(): void;
  /** The host behind is gone: bytes of the connections there go nowhere, without a sign; new ones reach another host. */
  vanish(): void;
  /** Passes again. Connections that lost bytes are cut, as they could not go on. */
  restore(): void;
  /** Resets every connection; new ones are refused until restore(), unless `refuse` is false. */
  cut(options?: { refuse?: boolean }): void;
  /** New connections go to this port; the others stay where they are, as when a name gets another address. */
  target(port: number): void;
  /** Adds this many ms to every chunk in each direction; 0 is none. */
  delay(ms: number): void;
  stop(): Promise<void>;
}

export async function startTcpProxy(target: { host?: string; port: number }): Promise<TcpProxy> {
  const host = target.host ?? '127.0.0.1';
  const pairs = new Set<{ client: net.Socket; server: net.Socket; lossy: boolean; gone: boolean }>();
  let mode: 'pass' | 'black-hole' | 'refuse' = 'pass';
  let port = target.port;
  let delayMs = 0;
  let connections = 0;

  const proxy = net.createServer({ noDelay: true }, (client) => {
    connections += 1;
    if (mode === 'refuse') {
      client.resetAndDestroy();
      return;
    }
    const server = net.connect({ host, port, noDelay: true });
    const pair = { client, server, lossy: mode === 'black-hole', gone: false };
    pairs.add(pair);
    const forward = (from: net.Socket, to: net.Socket): void => {
      from.on('data', (chunk: Buffer) => {
        if (mode === 'black-hole' || pair.gone) {
          pair.lossy = true;
        } else if (delayMs === 0) {
          to.write(chunk);
        } else {
          setTimeout(() => to.write(chunk), delayMs);
        }
      });
      from.on('error', () => from.destroy());
      from.on('close', () => {
        if (mode === 'black-hole') {
          // A network that is gone does not tell the other side either, before it is back.
          pair.lossy = true;
          return;
        }
        pairs.delete(pair);
        to.destroy();
      });
    };
    forward(client, server);
    forward(server, client);
  });
  await new Promise<void>((resolve, reject) => {
    proxy.once('error', reject);
    proxy.listen(0, '127.0.0.1', resolve);
  });
  const address = proxy.address();
  if (address === null || typeof address === 'string') throw new Error('no port');

  const reset = (which: (pair: { lossy: boolean }) => boolean): void => {
    for (const pair of pairs) {
      if (!which(pair)) continue;
      pair.client.resetAndDestroy();
      pair.server.resetAndDestroy();
    }
  };
  return {
    port: address.port,
    get connections() {
      return connections;
    },
    blackHole: () => {
      mode = 'black-hole';
    },
    vanish: () => {
      for (const pair of pairs) pair.gone = true;
    },
    restore: () => {
      mode = 'pass';
      reset((pair) => pair.lossy);
    },
    cut: ({ refuse = true } = {}) => {
      mode = refuse ? 'refuse' : 'pass';
      reset(() => true);
    },
    target: (next) => {
      port = next;
    },
    delay: (ms) => {
      delayMs = ms;
    },
    stop: () =>
      new Promise((resolve) => {
        proxy.close(() => resolve());
        mode = 'pass';
        reset(() => true);
      }),
  };
}
