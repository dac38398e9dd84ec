/** Starts any program under `guard.mjs`, which ends it with this process, even after a SIGKILL of this process. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

interface GuardOptions {
  /** Removed when the guard has to end the program. Default: none. */
  readonly folder?: string;
  /** Called with each piece of text that the program writes to stderr. */
  readonly onStderr?: (text: string) => void;
}

export interface Guarded {
  /** Process id of the program, not of its guard. */
  readonly pid: number;
  /** Resolves with the program's exit code; 1 after a signal. */
  readonly exited: Promise<number>;
  running(): boolean;
  /** What the program has written to stderr so far. */
  stderr(): string;
  /** Sends SIGTERM, and SIGKILL five seconds later; keeps the folder if asked to. → exit code. */
  end(how?: { readonly keepFolder?: boolean }): Promise<number>;
  /** Lets this process end although the program still runs: the guard then ends the program. */
  unref(): void;
}

/** @throws Error if the program cannot be started. */
export async function startGuarded(command: readonly string[], options: GuardOptions = {}): Promise<Guarded> {
  const { folder = '', onStderr } = options;
  const file = fileURLToPath(new URL('guard.mjs', import.meta.url));
  const guard = spawn(process.execPath, [file, folder, ...command], {
    // Its own process group: Ctrl-C in a terminal reaches the program through us, in our order.
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
    env: guardEnvironment(),
  });
  let stderr = '';
  guard.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
    onStderr?.(text);
  });
  guard.stdin.on('error', () => undefined);
  // Not `close`: processes that the program leaves behind may keep its stderr open.
  const exited = once(guard, 'exit').then(([code]) => (code as number | null) ?? 1);
  const closed = once(guard, 'close').then(() => null);
  const first = await Promise.race([once(guard.stdout, 'data'), closed]);
  if (first === null) throw new Error(`${command.join(' ')} did not start: ${stderr}`);
  const pid = Number(String(first[0]).trim());
  const running = (): boolean => guard.exitCode === null && guard.signalCode === null;
  const handles = [guard, guard.stdin, guard.stdout, guard.stderr] as { unref?(): void }[];
  return {
    pid,
    exited,
    running,
    stderr: () => stderr,
    end({ keepFolder = false } = {}) {
      guard.ref();
      if (running()) guard.stdin.end(keepFolder ? 'keep\n' : '');
      return exited;
    },
    unref() {
      for (const handle of handles) handle.unref?.();
    },
  };
}

/** The guard is a bare Node program: a test runner's loaders and inspectors are not meant for it. */
function guardEnvironment(): NodeJS.ProcessEnv {
  const { NODE_OPTIONS: _, ...rest } = process.env;
  return rest;
}
