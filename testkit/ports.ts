/** TCP ports on the loopback: finds free ones for servers that must be told theirs before they start, and sees whether one serves. */
import { randomInt } from 'node:crypto';
import { connect, createServer } from 'node:net';

/**
 * Below the ranges from which Linux (32768) and macOS (49152) take the ports of outgoing connections. While a server
 * restarts, its clients keep dialling; a client that happened to get the dialled port as its own would be connected to
 * itself and keep the port from the server.
 */
const range = { from: 20_000, to: 32_000 };

/** A Redis Cluster node also listens on its port plus 10,000. */
const busDistance = 10_000;

export function freePort(): Promise<number> {
  return find(() => randomInt(range.from, range.to), []);
}

/** A port that is free together with the one 10,000 above it. */
export function freePortPair(): Promise<number> {
  return find(() => randomInt(range.from, range.to + 700 - busDistance), [busDistance]);
}

async function find(draw: () => number, distances: readonly number[]): Promise<number> {
  for (;;) {
    const port = draw();
    const free = await Promise.all([0, ...distances].map((distance) => isFree(port + distance)));
    if (free.every(Boolean)) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  const probe = createServer();
  return new Promise((resolve) => {
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}

/** Whether a server at the port of this machine says something: a mail server does as soon as it serves. */
export function greets(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const end = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('data', () => end(true)).once('error', () => end(false));
    socket.setTimeout(5_000, () => end(false));
  });
}
