/** `worker`: one process that routes and sends until it is told to stop. Joins configuration, transports, log and health check. */
import { asError } from '../errors.ts';
import { startHealthServer, type HealthServer } from '../observability/health.ts';
import type { Config } from '../config/config.ts';
import type { ProcessEvent } from '../observability/process-events.ts';
import { watchConfig } from '../config/watch.ts';
import type { Log } from '../observability/log.ts';
import { composeWorker, workerName } from '../embed/compose.ts';
import type { TraceIds } from '../tracing/tracing.ts';
import type { PostlaneWorker } from '../worker/worker.ts';
import type { Call } from './command.ts';
import { load, requireConfig } from './compose.ts';
import type { ExitCode } from './failure.ts';
import { watchEndings } from './endings.ts';
import { heedSignals } from './signals.ts';
import { createWorkerHttp, type WorkerHttp } from './http-server.ts';
import { changedKeys, openLog, type Loaded } from './long-run.ts';
import { openBounces, type RunningBounces } from './bounces.ts';
import { openSubmission, submissionRestartKeys, type RunningSubmission } from './submission.ts';
import { createWorkerMetricsServer, type WorkerMetricsServer } from './worker-metrics.ts';

/** What else the process does. */
interface Besides {
  readonly serve: boolean;
  readonly smtp: boolean;
}

export async function runWorker(call: Call, besides: Besides): Promise<ExitCode> {
  return serve(call, await requireConfig(call, call.configFile), besides);
}

async function serve(call: Call, loaded: Loaded, besides: Besides): Promise<ExitCode> {
  const name = workerName();
  const log = openLog(name, loaded);
  log({ event: 'starting', config: loaded.file, connectors: loaded.config.connectors.length, node: process.version });
  for (const warning of loaded.warnings) log({ event: 'config-warning', ...warning });

  let config = loaded.config;
  let submission: RunningSubmission | null = null;
  const metrics = createWorkerMetricsServer(() => config, log, {
    submission: besides.smtp ? () => submission!.state() : undefined,
    mailboxes: () => bounces.oldestReadAt(),
  });
  const listeners = metrics === null ? [log] : [log, metrics.onEvent];
  const tell = (event: ProcessEvent, trace: TraceIds | null = null): void => {
    log(event, trace);
    metrics?.onEvent(event);
  };
  const bounces = openBounces(config, {
    emit(event) {
      log(event);
      metrics?.onEvent(event);
    },
    onError: (error) => log({ event: 'error', id: null, where: 'mailboxes', detail: error.message }),
  });
  const http = besides.serve ? createWorkerHttp(() => config, tell) : null;
  if (besides.smtp) {
    submission = await openSubmission(config, (event, trace) => {
      log(event, trace);
      metrics?.onEvent(event);
    });
  }
  const { worker, apply } = await composeWorker({ config, listeners, name });
  const watch = watchConfig({
    loaded,
    load: () => load(call, call.configFile),
    onChange(next, warnings) {
      for (const warning of warnings) log({ event: 'config-warning', ...warning });
      const before = config;
      config = next;
      log.setLevel(next.log.level);
      http?.apply(next);
      submission?.apply(next);
      bounces.apply(next);
      const keys = restartKeys(before, next, besides);
      if (keys.length > 0) log({ event: 'restart-needed', keys });
      apply(next).catch((thrown: unknown) => {
        log({ event: 'error', id: null, where: 'reload', detail: asError(thrown).message });
      });
    },
    onError(mistakes) {
      http?.rejected(mistakes.length);
      log({ event: 'config-rejected', mistakes });
      metrics?.onEvent({ event: 'config-rejected', mistakes });
    },
  });

  const signals = heedSignals(watch, log);
  const endEndings = watchEndings(() => config, tell);
  try {
    return await serveUntilStopped({
      config: loaded.config,
      worker,
      submission,
      bounces,
      http,
      metrics,
      log,
      stopped: signals.stopped,
    });
  } finally {
    endEndings();
    signals.close();
  }
}

interface RunningWorker {
  readonly config: Config;
  readonly worker: PostlaneWorker;
  readonly http: WorkerHttp | null;
  readonly submission: RunningSubmission | null;
  readonly bounces: RunningBounces;
  readonly metrics: WorkerMetricsServer | null;
  readonly log: Log;
  /** Resolves when the process shall end. */
  readonly stopped: Promise<void>;
}

/** From the first connection to the last line of the log. */
async function serveUntilStopped({
  config,
  worker,
  submission,
  bounces,
  http,
  metrics,
  log,
  stopped,
}: RunningWorker): Promise<ExitCode> {
  let serving = false;
  let health: HealthServer | null = null;
  let failed = false;
  const start = async (): Promise<void> => {
    const { healthHost: host, healthPort: port } = config.worker;
    if (port !== null) {
      health = await startHealthServer({ host, port, health: () => worker.health(), ready: () => serving });
      log({ event: 'health-listening', host, port: health.port });
    }
    metrics?.start(worker, () => serving);
    await http?.start({ health: () => worker.health(), ready: () => serving, ...shownBy(metrics) });
    await submission?.start();
    // With Redis away this waits until it is there; the log says so.
    await worker.start();
    serving = true;
    // Reports are about mail that was sent before: nothing waits for them.
    await bounces.start();
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
  await http?.close();
  // What is taken until the end is in Redis, where another worker finds it.
  const submitted = (await submission?.stop()) ?? true;
  const [drained] = await Promise.all([worker.stop(), bounces.stop()]);
  await (health as HealthServer | null)?.close();
  await metrics?.close();
  return drained && submitted && !failed ? 0 : 1;
}

function shownBy(metrics: WorkerMetricsServer | null): Pick<WorkerMetricsServer, 'metrics'> | object {
  return metrics === null ? {} : { metrics: metrics.metrics };
}

/** Settings that are read once: a connection, a server and the slots are made at the start. */
function restartKeys(before: Config, next: Config, { serve, smtp }: Besides): string[] {
  const settings = ({
    redis: { prefix, ...servers },
    worker,
    metrics,
    api,
    encryption,
    tracing,
  }: Config): Record<string, unknown> => ({
    ...serverKeys(servers),
    'redis.prefix': prefix,
    'worker.slots': worker.slots,
    'worker.health.port': worker.healthPort,
    'worker.health.host': worker.healthHost,
    'metrics.listen': metrics.listen,
    'metrics.global': metrics.global,
    'api.hosts': api.hosts,
    ...(serve ? { encryption, tracing, 'api.listen': api.listen, 'api.tls': api.tls !== null } : {}),
  });
  const changed = changedKeys(settings(before), settings(next));
  return [...new Set([...changed, ...(smtp ? submissionRestartKeys(before, next) : [])])];
}

/** `redis.url`, `redis.cluster`, …: whatever is set. */
function serverKeys(servers: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(servers).map(([key, value]) => [`redis.${key}`, value]));
}
