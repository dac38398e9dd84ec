/** The worker processes of the soak: starts them, kills, stops and freezes them, and keeps their number. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { SoakWorkerSettings } from './worker.ts';

export interface Fleet {
  /** SIGKILL to the nth one; another takes its place. */
  kill(nth: number): Promise<void>;
  /** SIGTERM; another takes its place when it has ended. → its exit code. */
  replace(nth: number): Promise<number | null>;
  /** SIGSTOP for a time, then SIGCONT: longer than the lock, it wakes up in a world that went on without it. */
  freeze(nth: number, ms: number): void;
  /** Workers that ended although nobody asked them to, with how. */
  readonly crashes: readonly string[];
  stop(): Promise<void>;
}

/** `logFile` gets what all of them say, in the order in which it comes. */
export function startFleet(size: number, settings: Omit<SoakWorkerSettings, 'name'>, logFile: string): Fleet {
  const log = createWriteStream(logFile);
  const program = fileURLToPath(new URL('worker.ts', import.meta.url));
  const workers: ChildProcess[] = [];
  const asked = new WeakSet<ChildProcess>();
  const crashes: string[] = [];
  const thaws = new Set<NodeJS.Timeout>();
  let started = 0;

  const start = (nth: number): void => {
    started += 1;
    const name = `w${started}`;
    const worker = spawn(process.execPath, [program, JSON.stringify({ ...settings, name })], {
      stdio: ['pipe', 'pipe', 'pipe'],
      // Its own process group: Ctrl-C ends the load, and the workers are still needed to drain.
      detached: true,
    });
    worker.stdin.on('error', () => undefined);
    for (const stream of [worker.stdout, worker.stderr]) {
      stream.on('data', (text: Buffer) => log.write(text.toString().replaceAll(/^(?=.)/gm, `${name} `)));
    }
    worker.once('exit', (code, signal) => {
      log.write(`${name} ended with ${code ?? signal}\n`);
      if (asked.has(worker)) return;
      crashes.push(`${name} ended with ${code ?? signal}`);
      if (workers[nth] === worker) start(nth);
    });
    workers[nth] = worker;
  };
  const end = async (worker: ChildProcess, signal: NodeJS.Signals): Promise<number | null> => {
    asked.add(worker);
    if (worker.exitCode !== null || worker.signalCode !== null) return worker.exitCode;
    const ended = once(worker, 'exit');
    worker.kill('SIGCONT');
    worker.kill(signal);
    const impatience = setTimeout(() => worker.kill('SIGKILL'), 20_000);
    await ended;
    clearTimeout(impatience);
    return worker.exitCode;
  };
  for (let nth = 0; nth < size; nth += 1) start(nth);

  return {
    crashes,
    async kill(nth) {
      const worker = workers[nth];
      if (worker !== undefined) await end(worker, 'SIGKILL');
      start(nth);
    },
    async replace(nth) {
      const worker = workers[nth];
      const code = worker === undefined ? null : await end(worker, 'SIGTERM');
      start(nth);
      return code;
    },
    freeze(nth, ms) {
      const worker = workers[nth];
      worker?.kill('SIGSTOP');
      const thaw = setTimeout(() => {
        thaws.delete(thaw);
        worker?.kill('SIGCONT');
      }, ms);
      thaws.add(thaw);
    },
    async stop() {
      for (const thaw of thaws) clearTimeout(thaw);
      await Promise.all(workers.map((worker) => end(worker, 'SIGTERM')));
      log.end();
    },
  };
}
