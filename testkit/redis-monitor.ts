/** What Redis executes, by its own clock: the lines of MONITOR on a plain socket, as a library takes the first of them for an answer. */
import { connect } from 'node:net';

interface MonitoredCommand {
  /** ms since the epoch. */
  readonly at: number;
  readonly words: readonly string[];
}

export interface RedisMonitor {
  readonly commands: readonly MonitoredCommand[];
  readonly stop: () => void;
}

/** Resolves when Redis has confirmed it. `wanted`: which commands are kept. */
export async function monitorRedis(url: string, wanted: (words: readonly string[]) => boolean): Promise<RedisMonitor> {
  const { hostname, port } = new URL(url);
  const commands: MonitoredCommand[] = [];
  const begun = Promise.withResolvers<void>();
  const socket = connect(Number(port), hostname, () => socket.write('MONITOR\r\n'));
  socket.setEncoding('utf8');
  socket.on('error', begun.reject);
  let rest = '';
  socket.on('data', (chunk: string) => {
    const lines = `${rest}${chunk}`.split('\r\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line === '+OK') begun.resolve();
      const [, seconds, text = ''] = /^\+(\d+\.\d+) \[[^\]]*\] (.*)$/.exec(line) ?? [];
      if (seconds === undefined) continue;
      const words = [...text.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, word = '']) => word);
      if (wanted(words)) commands.push({ at: Number(seconds) * 1_000, words });
    }
  });
  await begun.promise;
  return { commands, stop: () => void socket.destroy() };
}
