/** Owns running the command line as a real process: a folder with a configuration, single commands, and whole workers. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { onTestFinished } from 'vitest';
import { run as runHere } from '../../src/cli/program.ts';
import { redisUrl } from './redis.ts';
import { root } from './source.ts';
import { until } from '../../testkit/until.ts';

const program = join(root, 'src/cli/main.ts');

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

type JsonRow = Readonly<Record<string, unknown>>;

interface LogLine {
  readonly event: string;
  readonly level: string;
  readonly time: string;
  readonly [field: string]: unknown;
}

interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string | Buffer;
}

export interface WorkerProcess {
  readonly child: ChildProcess;
  /** Everything it has said on stdout so far, parsed; a line that is no JSON fails the test. */
  lines(): LogLine[];
  of(event: string): LogLine[];
  /** Waits until `count` lines of the event are there; gives the last of them. */
  said(event: string, count?: number): Promise<LogLine>;
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
  /** The same within this process, without starting one: quicker, and as good for what needs no signals. */
  call(args: readonly string[], options?: RunOptions): Promise<Ended>;
  /** As `run`, with --json; stdout must hold nothing but JSON lines. */
  json(args: readonly string[], options?: RunOptions): Promise<Ended & { readonly values: JsonRow[] }>;
  /** As `call`, with --json. */
  callJson(args: readonly string[], options?: RunOptions): Promise<Ended & { readonly values: JsonRow[] }>;
  /** Starts `worker` and waits until it serves, unless told not to. */
  worker(options?: RunOptions & { readonly wait?: boolean }): Promise<WorkerProcess>;
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

  const start = (args: readonly string[], env: Readonly<Record<string, string>> = {}): ChildProcess => {
    const { POSTLANE_CONFIG: _config, NO_COLOR: _colour, ...inherited } = process.env;
    const environment = { ...inherited, REDIS_URL: redisUrl(), ...env };
    return spawn(process.execPath, [program, ...args], { cwd: folder, env: environment, stdio: 'pipe' });
  };

  const run: Project['run'] = async (args, { env, input } = {}) => {
    const child = start(args, env);
    onTestFinished(() => void child.kill('SIGKILL'));
    child.stdin?.end(input);
    const stdout = collect(child, 'stdout');
    const stderr = collect(child, 'stderr');
    const code = await closed(child);
    return { code, stdout: stdout(), stderr: stderr() };
  };

  const call: Project['call'] = async (args, { env = {}, input = '' } = {}) => {
    const [stdout, stderr] = [new PassThrough(), new PassThrough()];
    const streams = { stdin: Readable.from([Buffer.from(input)]), stdout, stderr };
    const code = await runHere({ args, cwd: folder, env: { REDIS_URL: redisUrl(), ...env }, streams });
    stdout.end();
    stderr.end();
    return { code, stdout: await text(stdout), stderr: await text(stderr) };
  };

  return {
    folder,
    write,
    run,
    call,
    json: async (args, options) => withValues(await run([...args, '--json'], options)),
    callJson: async (args, options) => withValues(await call([...args, '--json'], options)),
    async worker({ env, wait = true } = {}) {
      const child = start(['worker'], env);
      const output = collect(child, 'stdout');
      const errors = collect(child, 'stderr');
      const ended = closed(child);
      onTestFinished(async () => {
        child.kill('SIGKILL');
        await ended;
      });
      const lines = (): LogLine[] =>
        output()
          .split('\n')
          .slice(0, -1)
          .map((line) => JSON.parse(line) as LogLine);
      const of = (event: string): LogLine[] => lines().filter((line) => line.event === event);
      const worker: WorkerProcess = {
        child,
        lines,
        of,
        ended: () => ended,
        output: () => output() + errors(),
        async said(event, count = 1) {
          await until(() => of(event).length >= count || child.exitCode !== null, {
            what: `the worker to say ${event}`,
            timeoutMs: 20_000,
          });
          const found = of(event)[count - 1];
          if (found === undefined) throw new Error(`the worker ended without ${event}: ${output()}${errors()}`);
          return found;
        },
        async end(signal = 'SIGTERM') {
          child.kill(signal);
          return ended;
        },
      };
      if (wait) await worker.said('ready');
      return worker;
    },
  };
}

function collect(child: ChildProcess, stream: 'stdout' | 'stderr'): () => string {
  const chunks: Buffer[] = [];
  child[stream]?.on('data', (chunk: Buffer) => chunks.push(chunk));
  return () => Buffer.concat(chunks).toString();
}

function closed(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    // Not `exit`: the pipes may still hold what it said last.
    child.once('close', (code) => resolve(code));
  });
}

/** Throws if anything on stdout is no JSON line. */
function withValues(ended: Ended): Ended & { readonly values: JsonRow[] } {
  const lines = ended.stdout.split('\n').filter((line) => line !== '');
  return { ...ended, values: lines.map((line) => JSON.parse(line) as JsonRow) };
}
