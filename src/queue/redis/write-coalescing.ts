/**
 * Gathers the commands of one turn of the event loop into one write. ioredis writes each command by itself, which is a system
 * call each: a fifth of a worker's time under load. The price is that a command waits for the end of its turn, microseconds
 * where nothing else is going on. ioredis' own auto-pipelining does the same with an object and a promise per command.
 */
import type { Redis } from 'ioredis';

interface Corkable {
  cork(): void;
  uncork(): void;
  write(...args: unknown[]): boolean;
}

/** Applies to the current socket of the connection, and to each later one. */
export function coalesceWrites(redis: Redis): void {
  const apply = (): void => coalesce(redis.stream);
  if (redis.status === 'connect' || redis.status === 'ready') apply();
  // ioredis has set `stream` when it says so, and writes nothing before.
  redis.prependListener('connect', apply);
}

function coalesce(socket: Corkable): void {
  const write = socket.write.bind(socket);
  let corked = false;
  socket.write = (...args) => {
    if (!corked) {
      corked = true;
      socket.cork();
      setImmediate(() => {
        corked = false;
        socket.uncork();
      });
    }
    return write(...args);
  };
}
