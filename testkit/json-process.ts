/** Runs a Node program that prints one JSON document per line, and waits for what it prints. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { until } from './until.ts';

/** One line of stdout. */
export type ProcessEvent = { readonly event: string } & Readonly<Record<string, unknown>>;

interface ProcessExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface JsonProcessOptions {
  readonly cwd?: string;
  /** Default: that of this process. */
  readonly env?: NodeJS.ProcessEnv;
  /** Its own process group: Ctrl-C in a terminal does not reach it. */
  readonly detached?: boolean;
  /** Gets each line of stdout and each piece of stderr, instead of `events` and `output()`. For runs of hours. */
  readonly onOutput?: (text: string) => void;
}

export interface JsonProcess {
  readonly child: ChildProcess;
  /** Everything it has printed on stdout so far. */
  readonly events: readonly ProcessEvent[];
  /** Its end, with all output read. */
  readonly exited: Promise<ProcessExit>;
  of(event: string): ProcessEvent[];
  /** Waits for the `count`th such event, of the message `id` if one is named. Fails at once when the process has ended. */
  waitFor(event: string, id?: string, count?: number): Promise<ProcessEvent>;
  /** Everything it has written to stdout and stderr. */
  output(): string;
  /** Writes a line to its stdin. */
  tell(line: string): void;
  signal(signal: NodeJS.Signals): void;
  /** SIGKILL: nothing is finished, nothing is reported. */
  kill(): Promise<ProcessExit>;
  /** SIGTERM: a drain. */
  stop(): Promise<ProcessExit>;
}

/** A process of a busy machine may take so long to start, to drain, or to notice something. */
const waitTimeoutMs = 60_000;

/** Halves the time that a worker needs to start, which is most of what tests with processes wait for. */
const compileCache = fileURLToPath(new URL('../node_modules/.cache/compile', import.meta.url));

/** `args`: the program's file and its arguments. */
export function startJsonProcess(args: readonly string[], options: JsonProcessOptions = {}): JsonProcess {
  const { cwd, env = process.env, detached = false, onOutput } = options;
  const child = spawn(process.execPath, [...args], {
    cwd,
    detached,
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { NODE_COMPILE_CACHE: compileCache, ...env },
  });
  const events: ProcessEvent[] = [];
  let output = '';
  const keep = onOutput ?? ((text: string): void => void (output += text));
  createInterface({ input: child.stdout }).on('line', (line) => {
    keep(`${line}\n`);
    if (onOutput === undefined) events.push(parse(line));
  });
  child.stderr.setEncoding('utf8').on('data', keep);
  // The process may end while a line is on its way.
  child.stdin.on('error', () => undefined);
  const exited: Promise<ProcessExit> = once(child, 'close').then(([code, signal]) => ({ code, signal }));
  let ended = false;
  void exited.then(() => (ended = true));

  const of = (name: string): ProcessEvent[] => events.filter(({ event }) => event === name);
  return {
    child,
    events,
    exited,
    of,
    async waitFor(name, id, count = 1) {
      const find = (): ProcessEvent | undefined =>
        of(name).filter((event) => id === undefined || event['id'] === id)[count - 1];
      await until(() => find() !== undefined || ended, {
        what: `the event ${name} of a process`,
        timeoutMs: waitTimeoutMs,
      }).catch((error: Error) => {
        throw new Error(`${error.message}\n${output}`, { cause: error });
      });
      const found = find();
      if (found === undefined) throw new Error(`the process ended without the event ${name}: ${output}`);
      return found;
    },
    output: () => output,
    tell: (line) => void child.stdin.write(`${line}\n`),
    signal: (signal) => void child.kill(signal),
    kill() {
      child.kill('SIGKILL');
      return exited;
    },
    stop() {
      child.kill('SIGTERM');
      return exited;
    },
  };
}

/** A line that is not JSON is an event of its own, so that a test that compares the events fails. */
function parse(line: string): ProcessEvent {
  try {
    return JSON.parse(line) as ProcessEvent;
  } catch {
    return { event: 'not-json', line };
  }
}
