/** The worker of the quick start: the real program in a process of its own, with its log in a file. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export interface WorkerProcess {
  readonly pid: number;
  /** Drains and ends it (SIGTERM). → its exit code. */
  stop(): Promise<number | null>;
  /** Resolves when it has ended by itself or by `stop`. */
  readonly ended: Promise<void>;
}

const readyTimeoutMs = 20_000;

const script = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/**
 * Resolves when the worker's log says that it serves. `directory` is removed should this process die before it stops the
 * worker. @throws Error if it ends before, or takes too long.
 */
export async function startWorker(configFile: string, logFile: string, directory: string): Promise<WorkerProcess> {
  const program = [process.execPath, script('../../src/cli/main.ts'), 'worker', '--config', configFile];
  // The guard ends the worker with this process, however that dies, and keeps a terminal's Ctrl-C from it, so that it can
  // drain before the servers go. The guard passes on stderr only, hence the shell.
  const toStderr = ['/bin/sh', '-c', 'exec "$@" 1>&2', 'sh'];
  const guard = spawn(process.execPath, [script('../../testkit/guard.mjs'), directory, ...toStderr, ...program], {
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  guard.stdin.on('error', () => undefined);
  const exited = once(guard, 'exit') as Promise<[number | null]>;
  const log = createWriteStream(logFile);
  guard.stderr.pipe(log);

  const ready = Promise.withResolvers<void>();
  createInterface({ input: guard.stderr }).on('line', (line) => {
    if (line.includes('"event":"ready"')) ready.resolve();
  });
  const timer = setTimeout(() => ready.reject(new Error('the worker did not say that it is ready')), readyTimeoutMs);
  void exited.then(([code]) => ready.reject(new Error(`the worker ended with exit code ${code} before it was ready`)));
  const [pid] = (await Promise.race([once(guard.stdout, 'data'), exited])) as [unknown];
  try {
    await ready.promise;
  } catch (error) {
    guard.stdin.end('keep\n');
    await exited;
    throw error;
  } finally {
    clearTimeout(timer);
  }
  return {
    pid: Number(String(pid).trim()),
    ended: exited.then(() => undefined),
    async stop() {
      guard.stdin.end('keep\n');
      const [code] = await exited;
      return code;
    },
  };
}
