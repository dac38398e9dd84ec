/**
 * A TCP proxy to Redis that stops at one command: before Redis gets it, or before its answer gets back. What the client had sent by
 * then has been done or not, and the client does not know: the places at which a process can die.
 */
import net from 'node:net';

export interface StepProxy {
  readonly port: number;
  /** Before that everything passes. */
  arm(): void;
  /** The command has come. From now on nothing passes on its connection. */
  readonly reached: () => boolean;
  /** Cuts every connection, and passes everything from now on: the client connects again, and sends what had no answer once more. */
  cut(): void;
  stop(): Promise<void>;
}

/** `text`: a piece of the command that no other has. `where`: `before` Redis gets it, or `after`. */
export async function startStepProxy(port: number, text: string, where: 'before' | 'after'): Promise<StepProxy> {
  const pairs = new Set<readonly [net.Socket, net.Socket]>();
  let armed = false;
  let reached = false;
  const proxy = net.createServer({ noDelay: true }, (client) => {
    const server = net.connect({ port, host: '127.0.0.1', noDelay: true });
    const pair = [client, server] as const;
    pairs.add(pair);
    let silent: 'no' | 'answers' | 'all' = 'no';
    for (const socket of pair) {
      socket
        .on('error', () => socket.destroy())
        .on('close', () => {
          pairs.delete(pair);
          for (const each of pair) each.destroy();
        });
    }
    // A command may come in several pieces; what is kept of one must not be a whole one.
    let seen = '';
    client.on('data', (chunk: Buffer) => {
      seen = `${seen}${chunk.toString('latin1')}`.slice(-chunk.length - text.length + 1);
      if (armed && silent === 'no' && seen.includes(text)) {
        reached = true;
        silent = where === 'before' ? 'all' : 'answers';
      }
      if (silent !== 'all') server.write(chunk);
    });
    server.on('data', (chunk: Buffer) => {
      if (silent === 'no') client.write(chunk);
    });
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const cutAll = (): void => {
    for (const [client] of pairs) client.resetAndDestroy();
  };
  return {
    port: (proxy.address() as net.AddressInfo).port,
    arm() {
      armed = true;
    },
    reached: () => reached,
    cut() {
      armed = false;
      cutAll();
    },
    stop: () =>
      new Promise((resolve) => {
        proxy.close(() => resolve());
        cutAll();
      }),
  };
}
