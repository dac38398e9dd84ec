/** A worker inside an application: `postlane/worker`. */
import { PostlaneError } from '../errors.ts';
import type { Config } from '../config/config.ts';
import { loadConfig, type LoadResult } from '../config/load.ts';
import type { TraceIds } from '../tracing/tracing.ts';
import type { WorkerEvent } from '../worker/events.ts';
import { composeWorker, workerName, type ComposedWorker, type CreateTransport } from './compose.ts';

export interface EmbeddedWorkerOptions {
  /** The path of a `postlane.yaml`, whose references are resolved as the command line does it, or a loaded configuration. */
  readonly config: string | Config;
  /**
   * Replaces the transport of a connector, for example by one of your own. undefined keeps the built-in one. Default: the
   * built-in transports.
   */
  readonly createTransport?: CreateTransport;
  /** Called with each event of the worker, such as `sent`, `deferred`, `dead`, and the span in which it happened, if it is traced. It must not throw. */
  readonly onEvent?: (event: WorkerEvent, trace?: TraceIds) => void;
  /** Name in the ledger and in events; must differ between processes. Default: host, process id and a random part. */
  readonly name?: string;
}

export interface EmbeddedWorker {
  /**
   * Resolves once the worker serves; waits for a Redis that is away. Rejects with `config-invalid`, whose `issues` name every
   * mistake, or with the error that kept the worker from starting.
   */
  readonly ready: Promise<void>;
  /**
   * Stops taking messages, lets running sends finish within `worker.drain`, and hands back the rest. Signals are the
   * application's: call this on SIGTERM. → whether all running sends finished.
   */
  close(): Promise<boolean>;
  /** The same as `close()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Starts a worker in this process. It shares work, limits and order with all other workers of the same Redis. */
export function createWorker(options: EmbeddedWorkerOptions): EmbeddedWorker {
  const { createTransport, onEvent, name = workerName() } = options;
  const listeners = onEvent === undefined ? [] : [onEvent];
  const composed = configOf(options.config).then((config) =>
    composeWorker({ config, listeners, name, ...(createTransport === undefined ? {} : { createTransport }) }),
  );
  const ready = composed.then(({ worker }) => worker.start());
  // The application may look at `ready` later, or only call close().
  ready.catch(() => undefined);
  const close = async (): Promise<boolean> => {
    const made: ComposedWorker | null = await composed.catch(() => null);
    return made === null ? true : made.worker.stop();
  };
  return {
    ready,
    close,
    async [Symbol.asyncDispose]() {
      await close();
    },
  };
}

async function configOf(config: string | Config): Promise<Config> {
  if (typeof config !== 'string') return config;
  const loaded = await loadConfig({ file: config, env: process.env, cwd: process.cwd() });
  if (loaded.ok) return loaded.config;
  throw invalid(loaded);
}

function invalid({ file, issues }: Extract<LoadResult, { ok: false }>): PostlaneError {
  const count = issues.length === 1 ? '1 mistake' : `${issues.length} mistakes`;
  return new PostlaneError('config-invalid', `${file}: ${count} in the configuration`, {
    issues: issues.map(({ key, rule, message }) => ({ field: key, rule, message })),
  });
}
