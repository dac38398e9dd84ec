/**
 * Fails a test file that leaves something running: a connection it opened, a server it listens with, a process it
 * started. A worker that was not closed shows as its connection to Redis.
 *
 * It asks Node itself (diagnostics channels net.client.socket, tracing:net.server.listen, child_process), not Redis'
 * CLIENT LIST, because test files that run at the same moment share one Redis.
 */
import type { ChildProcess } from 'node:child_process';
import { channel } from 'node:diagnostics_channel';
import type { Server, Socket } from 'node:net';
import { afterAll } from 'vitest';
import { until } from '../../testkit/until.ts';

const open = new Map<object, string>();

channel('net.client.socket').subscribe((event) => {
  const { socket } = event as { socket: Socket };
  open.set(socket, 'a connection');
  socket.once('connect', () => open.set(socket, `a connection to ${socket.remoteAddress}:${socket.remotePort}`));
  socket.once('close', () => open.delete(socket));
});

channel('tracing:net.server.listen:asyncEnd').subscribe((event) => {
  const { server } = event as { server: Server };
  open.set(server, `a server on ${JSON.stringify(server.address())}`);
  server.once('close', () => open.delete(server));
});

channel('child_process').subscribe((event) => {
  const { process: child } = event as { process: ChildProcess };
  open.set(child, 'a process');
  child.once('spawn', () => open.set(child, `a process: ${child.spawnargs.join(' ')}`));
  child.once('exit', () => open.delete(child));
  child.once('error', () => open.delete(child));
});

// The first afterAll that is registered runs last: after those of the test file.
afterAll(async () => {
  // What was just told to close needs a moment; it is not a leak.
  await until(() => open.size === 0, { what: 'the end of all that the tests started', timeoutMs: 30_000 }).catch(() => {
    throw new Error(`left running by this test file: ${[...open.values()].join('; ')}`);
  });
});
