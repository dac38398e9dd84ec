/** `worker`: one process that routes and sends until it is told to stop. Joins configuration, transports, log and health check. */
import { isDeepStrictEqual } from 'node:util';
import { destination } from 'pino';
import { asError } from '../errors.ts';
import { startHealthServer, type HealthServer } from '../observability/health.ts';
import type { Config } from '../config/config.ts';
import type { LoadResult } from '../config/load.ts';
import { watchConfig, type ConfigWatch } from '../config/watch.ts';
import { createLog, type Log } from '../observability/log.ts';
import { composeWorker, workerName } from '../embed/compose.ts';
import type { PostlaneWorker } from '../worker/worker.ts';
import type { Call } from './command.ts';
import { load, requireConfig } from './compose.ts';
import type { ExitCode } from './failure.ts';

/** The process does not wait longer than this, in ms, for what keeps it alive after its last line, such as a socket without an answer. */
const lingerMs = 2_000;

export async function runWorker(call: Call): Promise<ExitCode> {
  return serve(call, await requireConfig(call, call.configFile));
}

type Loaded = Extract<LoadResult, { ok: true }>;

async function serve(call: Call, loaded: Loaded): Promise<ExitCode> {
  const name = workerName();
  // Synchronous: the last lines of a killed process are the ones that matter.
  const output = destination({ dest: 1, sync: true });
  output.on('error', () => undefined);
  const log = createLog({ worker: name, level: loaded.config.log.level, destination: output });
  log({ event: 'starting', config: loaded.file, connectors: loaded.config.connectors.length, node: process.version });
  for (const warning of loaded.warnings) log({ event: 'config-warning', ...warning });

  let config = loaded.config;
  const { worker, apply } = await composeWorker({ config, listeners: [log], name });
  const watch = watchConfig({
    loaded,
    load: () => load(call, call.configFile),
    onChange(next, warnings) {
      for (const warning of warnings) log({ event: 'config-warning', ...warning });
      const before = config;
      config = next;
      log.setLevel(next.log.level);
      const keys = restartKeys(before, next);
      if (keys.length > 0) log({ event: 'restart-needed', keys });
      apply(next).catch((thrown: unknown) => {
        log({ event: 'error', id: null, where: 'reload', detail: asError(thrown).message });
      });
    },
    onError: (mistakes) => log({ event: 'config-rejected', mistakes }),
  });

  const stop = stopOnSignals(log);
  const reload = (): void => void reloadNow(watch, log);
  process.on('SIGHUP', reload);
  try {
    return await serveUntilStopped({ config: loaded.config, worker, log, stopped: stop.requested });
  } finally {
    watch.close();
    process.off('SIGHUP', reload);
    stop.close();
    setTimeout(() => process.exit(), lingerMs).unref();
  }
}

interface RunningWorker {
  readonly config: Config;
  readonly worker: PostlaneWorker;
  readonly log: Log;
  /** Resolves when the process shall end. */
  readonly stopped: Promise<void>;
}

/** From the first connection to the last line of the log. */
async function serveUntilStopped({ config, worker, log, stopped }: RunningWorker): Promise<ExitCode> {
  let serving = false;
  let health: HealthServer | null = null;
  let failed = false;
  const start = async (): Promise<void> => {
    const { healthHost: host, healthPort: port } = config.worker;
    if (port !== null) {
      health = await startHealthServer({ host, port, health: () => worker.health(), ready: () => serving });
      log({ event: 'health-listening', host, port: health.port });
    }
    // With Redis away this waits until it is there; the log says so.
    await worker.start();
    serving = true;
  };
  const started = start().then(() => stopped);
  try {
    await Promise.race([started, stopped]);
  } catch (thrown) {
    failed = true;
    log({ event: 'start-failed', detail: asError(thrown).message });
  }
  // A start that the stop interrupts may still fail; that failure no longer matters.
  started.catch(() => undefined);
  serving = false;
  const drained = await worker.stop();
  await (health as HealthServer | null)?.close();
  return drained && !failed ? 0 : 1;
}

/** Settings that are read once: a connection, a server and the slots are made at the start. */
function restartKeys(before: Config, next: Config): string[] {
  const settings = ({ redis: { prefix, ...servers }, worker }: Config): Record<string, unknown> => ({
    ...serverKeys(servers),
    'redis.prefix': prefix,
    'worker.slots': worker.slots,
    'worker.health.port': worker.healthPort,
    'worker.health.host': worker.healthHost,
  });
  const [was, is] = [settings(before), settings(next)];
  const keys = new Set([...Object.keys(was), ...Object.keys(is)]);
  return [...keys].filter((key) => !isDeepStrictEqual(was[key], is[key]));
}

/** `redis.url`, `redis.cluster`, …: whatever is set. */
function serverKeys(servers: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(servers).map(([key, value]) => [`redis.${key}`, value]));
}

async function reloadNow(watch: ConfigWatch, log: Log): Promise<void> {
  log({ event: 'signal', signal: 'SIGHUP' });
  try {
    if ((await watch.reload()) === 'unchanged') log({ event: 'config-unchanged' });
  } catch (thrown) {
    log({ event: 'error', id: null, where: 'reload', detail: asError(thrown).message });
  }
}

/** The first signal asks for a stop; the second ends the process at once. */
function stopOnSignals(log: Log): { readonly requested: Promise<void>; close: () => void } {
  const first = Promise.withResolvers<void>();
  let asked = false;
  const onSignal = (signal: NodeJS.Signals): void => {
    log({ event: 'signal', signal });
    if (asked) process.exit(1);
    asked = true;
    first.resolve();
  };
  const signals: NodeJS.Signals[] = ['SIGTERM', 'SIGINT'];
  for (const signal of signals) process.on(signal, onSignal);
  return {
    requested: first.promise,
    close: () => {
      for (const signal of signals) process.off(signal, onSignal);
    },
  };
}
