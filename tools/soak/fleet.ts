/** The worker processes of the soak: starts them, kills, stops and suspends them, and keeps their number. */
import { createWriteStream } from 'node:fs';
import type { JsonProcess } from '../../testkit/json-process.ts';
import { startWorkerProcess } from '../../testkit/worker-process.ts';
import type { WorkerSettings } from '../../testkit/worker.ts';

export interface Fleet {
  /** SIGKILL to the nth worker; another takes its place. */
  kill(nth: number): Promise<void>;
  /** SIGTERM; another takes its place after the drain. → exit code. */
  replace(nth: number): Promise<number | null>;
  /** SIGSTOP for a time, then SIGCONT. Longer than the lock, the worker resumes after others have taken over its jobs. */
  suspend(nth: number, ms: number): void;
  /** Workers that ended without a signal of ours, with how. */
  readonly crashes: readonly string[];
  stop(): Promise<void>;
}

/** The drain time of a worker, and more. */
const stopTimeoutMs = 20_000;

/** `logFile` gets the output of all workers, in the order in which it comes. */
export function startFleet(size: number, settings: Omit<WorkerSettings, 'name'>, logFile: string): Fleet {
  const log = createWriteStream(logFile);
  const workers: JsonProcess[] = [];
  const expected = new WeakSet<JsonProcess>();
  const crashes: string[] = [];
  const resumes = new Set<NodeJS.Timeout>();
  let started = 0;

  const start = (nth: number): void => {
    started += 1;
    const name = `w${started}`;
    const worker = startWorkerProcess(
      { ...settings, name },
      // Ctrl-C ends the load, and the workers are still needed to drain.
      { detached: true, onOutput: (text) => log.write(text.replaceAll(/^(?=.)/gm, `${name} `)) },
    );
    workers[nth] = worker;
    void watch(nth, name, worker);
  };
  const watch = async (nth: number, name: string, worker: JsonProcess): Promise<void> => {
    const { code, signal } = await worker.exited;
    log.write(`${name} ended with ${code ?? signal}\n`);
    if (expected.has(worker)) return;
    crashes.push(`${name} ended with ${code ?? signal}`);
    if (workers[nth] === worker) start(nth);
  };
  const end = async (worker: JsonProcess, how: 'kill' | 'stop'): Promise<number | null> => {
    expected.add(worker);
    worker.signal('SIGCONT');
    const timer = setTimeout(() => void worker.kill(), stopTimeoutMs);
    const { code } = await worker[how]();
    clearTimeout(timer);
    return code;
  };
  for (let nth = 0; nth < size; nth += 1) start(nth);

  return {
    crashes,
    async kill(nth) {
      await end(workers[nth]!, 'kill');
      start(nth);
    },
    async replace(nth) {
      const code = await end(workers[nth]!, 'stop');
      start(nth);
      return code;
    },
    suspend(nth, ms) {
      const worker = workers[nth]!;
      worker.signal('SIGSTOP');
      const resume = setTimeout(() => {
        resumes.delete(resume);
        worker.signal('SIGCONT');
      }, ms);
      resumes.add(resume);
    },
    async stop() {
      for (const resume of resumes) clearTimeout(resume);
      await Promise.all(workers.map((worker) => end(worker, 'stop')));
      log.end();
    },
  };
}
