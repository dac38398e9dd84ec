/** Starts a worker in a process of its own, which can be killed, suspended, blocked and moved in time. */
import { fileURLToPath } from 'node:url';
import { startJsonProcess, type JsonProcess, type JsonProcessOptions } from './json-process.ts';
import type { WorkerSettings } from './worker.ts';

/** Its events are the worker's, and `outcome`, `told` and `unblocked` of worker-main.ts. */
export function startWorkerProcess(settings: WorkerSettings, options: JsonProcessOptions = {}): JsonProcess {
  const program = fileURLToPath(new URL('worker-main.ts', import.meta.url));
  return startJsonProcess([program, JSON.stringify(settings)], options);
}
