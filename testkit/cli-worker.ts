/** Runs `postlane worker` for a program: under a guard, with its log in a file, ready when the log says so. */
import { appendFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { startGuarded } from './guarded.ts';

export interface CliWorkerOptions {
  readonly configFile: string;
  /** Put before the command, such as `nsenter`. Default: nothing. */
  readonly within?: readonly string[];
  /** Further arguments of `worker`. */
  readonly args?: readonly string[];
  /** Gets the log. */
  readonly logFile: string;
  /** Removed should this process die before it stops the worker. */
  readonly folder: string;
  /** Called with each line of the log. */
  readonly onLine?: (line: string) => void;
}

export interface CliWorker {
  readonly pid: number;
  /** Resolves when the worker has ended, with or without `stop`. */
  readonly ended: Promise<number>;
  /** Drains and ends it (SIGTERM). → exit code. */
  stop(): Promise<number>;
}

const readyTimeoutMs = 60_000;

/** Resolves when the worker's log says that it serves. @throws Error if it ends before, or takes too long. */
export async function startCliWorker({
  configFile,
  args = [],
  within = [],
  logFile,
  folder,
  onLine,
}: CliWorkerOptions): Promise<CliWorker> {
  const program = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url));
  // A guard passes on stderr only, hence the shell.
  const toStderr = ['/bin/sh', '-c', 'exec "$@" 1>&2', 'sh'];
  const ready = Promise.withResolvers<void>();
  let rest = '';
  const guarded = await startGuarded(
    [...toStderr, ...within, process.execPath, program, 'worker', ...args, '--config', configFile],
    {
      folder,
      onStderr(text) {
        appendFileSync(logFile, text);
        const lines = `${rest}${text}`.split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) {
          if (line.includes('"event":"ready"')) ready.resolve();
          onLine?.(line);
        }
      },
    },
  );
  const timer = setTimeout(() => ready.reject(new Error('the worker did not become ready')), readyTimeoutMs);
  void guarded.exited.then((code) =>
    ready.reject(new Error(`the worker ended with exit code ${code} before it was ready`)),
  );
  const stop = (): Promise<number> => guarded.end({ keepFolder: true });
  try {
    await ready.promise;
  } catch (error) {
    await stop();
    throw error;
  } finally {
    clearTimeout(timer);
  }
  return { pid: guarded.pid, ended: guarded.exited, stop };
}
