/** Runs the command line for a test: a folder with a configuration, single commands, and whole workers. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { onTestFinished } from 'vitest';
import { run as runHere } from '../../src/cli/program.ts';
import { startJsonProcess, type ProcessEvent } from '../../testkit/json-process.ts';
import { redisUrl } from './redis.ts';
import { root } from './source.ts';

const program = join(root, 'src/cli/main.ts');

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

type JsonRow = Readonly<Record<string, unknown>>;

type LogLine = ProcessEvent & { readonly level: string; readonly time: string };

interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string | Buffer;
}

export interface WorkerProcess {
  readonly child: ChildProcess;
  /** Everything it has logged so far, parsed; a line that is not JSON fails the test. */
  lines(): LogLine[];
  of(event: string): LogLine[];
  /** Waits until `count` lines of the event are there. → the last of them. */
  logged(event: string, count?: number): Promise<LogLine>;
  /** Waits for the end. → exit code. */
  ended(): Promise<number | null>;
  /** Sends the signal and waits for the end. → exit code. */
  end(signal?: NodeJS.Signals): Promise<number | null>;
  output(): string;
}

export interface Project {
  readonly folder: string;
  write(name: string, text: string | Buffer): string;
  run(args: readonly string[], options?: RunOptions): Promise<Ended>;
  /** The same within this process: faster, and equivalent for everything but signals. */
  call(args: readonly string[], options?: RunOptions): Promise<Ended>;
  /** As `run`, with --json; stdout must hold nothing but JSON lines. */
  json(args: readonly string[], options?: RunOptions): Promise<Ended & { readonly values: JsonRow[] }>;
  /** As `call`, with --json. */
  callJson(args: readonly string[], options?: RunOptions): Promise<Ended & { readonly values: JsonRow[] }>;
  /** Starts `worker` and waits until it serves, unless told not to. */
  worker(options?: RunOptions & { readonly wait?: boolean; readonly args?: readonly string[] }): Promise<WorkerProcess>;
  /** The same with `serve`. */
  serve(options?: RunOptions & { readonly wait?: boolean }): Promise<WorkerProcess>;
  /** The same with `smtp`. */
  smtp(options?: RunOptions & { readonly wait?: boolean }): Promise<WorkerProcess>;
  /** The same with `outbox`. */
  outbox(options?: RunOptions & { readonly wait?: boolean }): Promise<WorkerProcess>;
}

/** A folder with `postlane.yaml`, removed at the end; its commands run there. The Redis is that of the test run. */
export function project(config: string): Project {
  const folder = mkdtempSync(join(tmpdir(), 'postlane-cli-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const write = (name: string, text: string | Buffer): string => {
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  };
  write('postlane.yaml', config);

  const environmentOf = (env: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv => {
    const { POSTLANE_CONFIG: _config, NO_COLOR: _colour, ...inherited } = process.env;
    return { ...inherited, REDIS_URL: redisUrl(), ...env };
  };

  const run: Project['run'] = async (args, { env, input } = {}) => {
    const child = spawn(process.execPath, [program, ...args], {
      cwd: folder,
      env: environmentOf(env),
      stdio: 'pipe',
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    const closed = once(child, 'close') as Promise<[number | null]>;
    child.stdin.end(input);
    const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), closed]);
    return { code, stdout, stderr };
  };

  const call: Project['call'] = async (args, { env = {}, input = '' } = {}) => {
    const [stdout, stderr] = [new PassThrough(), new PassThrough()];
    const streams = { stdin: Readable.from([Buffer.from(input)]), stdout, stderr };
    const code = await runHere({ args, cwd: folder, env: { REDIS_URL: redisUrl(), ...env }, streams });
    stdout.end();
    stderr.end();
    return { code, stdout: await text(stdout), stderr: await text(stderr) };
  };

  const start = async (
    command: string,
    sign: string,
    { env, wait = true, args = [] }: RunOptions & { readonly wait?: boolean; readonly args?: readonly string[] } = {},
  ): Promise<WorkerProcess> => {
    const running = startJsonProcess([program, command, ...args], { cwd: folder, env: environmentOf(env) });
    onTestFinished(async () => {
      await running.kill();
    });
    const ended = async (): Promise<number | null> => (await running.exited).code;
    const lines = (): LogLine[] => {
      const strange = running.of('not-json');
      if (strange.length > 0) throw new Error(`the log has a line that is not JSON: ${JSON.stringify(strange)}`);
      return running.events as LogLine[];
    };
    const worker: WorkerProcess = {
      child: running.child,
      lines,
      of: (event) => lines().filter((line) => line.event === event),
      logged: (event, count = 1) => running.waitFor(event, undefined, count) as Promise<LogLine>,
      ended,
      output: () => running.output(),
      end(signal = 'SIGTERM') {
        running.signal(signal);
        return ended();
      },
    };
    if (wait) await worker.logged(sign);
    return worker;
  };

  return {
    folder,
    write,
    run,
    call,
    json: async (args, options) => withValues(await run([...args, '--json'], options)),
    callJson: async (args, options) => withValues(await call([...args, '--json'], options)),
    worker: (options) => start('worker', 'ready', options),
    serve: (options) => start('serve', 'serving', options),
    smtp: (options) => start('smtp', 'smtp-listening', options),
    outbox: (options) => start('outbox', 'ready', options),
  };
}

/** @throws SyntaxError if a line of stdout is not JSON. */
function withValues(ended: Ended): Ended & { readonly values: JsonRow[] } {
  const lines = ended.stdout.split('\n').filter((line) => line !== '');
  return { ...ended, values: lines.map((line) => JSON.parse(line) as JsonRow) };
}
