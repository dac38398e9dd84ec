/** `smtp`: one process that takes mail by SMTP and enqueues it. It sends nothing; workers do. */
import { isDeepStrictEqual } from 'node:util';
import { destination } from 'pino';
import { asError } from '../errors.ts';
import type { Config } from '../config/config.ts';
import type { LoadResult } from '../config/load.ts';
import { watchConfig } from '../config/watch.ts';
import { workerName } from '../embed/compose.ts';
import { createMetrics, type Metrics } from '../metrics/metrics.ts';
import type { HealthServer } from '../observability/health.ts';
import { createLog, type Log, type LogEvent } from '../observability/log.ts';
import type { TraceIds } from '../tracing/tracing.ts';
import type { Call } from './command.ts';
import { load, requireConfig } from './compose.ts';
import { watchEndings } from './endings.ts';
import type { ExitCode } from './failure.ts';
import { heedSignals } from './signals.ts';
import { openSubmission, submissionRestartKeys, type RunningSubmission } from './submission.ts';
import { version } from './version.ts';
import { listenUntil } from './worker-metrics.ts';

type Loaded = Extract<LoadResult, { ok: true }>;

export async function runSmtp(call: Call): Promise<ExitCode> {
  const loaded = await requireConfig(call, call.configFile);
  const output = destination({ dest: 1, sync: true });
  output.on('error', () => undefined);
  const name = `smtp-${workerName()}`;
  return serve(call, loaded, name, createLog({ worker: name, level: loaded.config.log.level, destination: output }));
}

async function serve(call: Call, loaded: Loaded, name: string, log: Log): Promise<ExitCode> {
  let config = loaded.config;
  let running: RunningSubmission | null = null;
  const idle = { ready: false, clients: 0, maxClients: 0, bytesHeld: 0, maxBytes: 0 };
  const state = () => running?.state() ?? idle;
  const metrics = createMetrics({ version: version(), worker: null, fleet: null, submission: state });
  const tell = (event: LogEvent, trace: TraceIds | null = null): void => {
    log(event, trace);
    metrics.onEvent(event);
  };
  const submission = await openSubmission(config, tell);
  running = submission;
  tell({ event: 'starting', config: loaded.file, connectors: config.connectors.length, node: process.version });
  for (const warning of loaded.warnings) tell({ event: 'config-warning', ...warning });
  const watch = watchConfig({
    loaded,
    load: () => load(call, call.configFile),
    onChange(next, warnings) {
      for (const warning of warnings) tell({ event: 'config-warning', ...warning });
      const keys = restartKeys(config, next);
      if (keys.length > 0) tell({ event: 'restart-needed', keys });
      config = next;
      log.setLevel(next.log.level);
      submission.apply(next);
      tell({ event: 'config-applied', worker: name, connectors: next.connectors.length });
    },
    onError: (mistakes) => tell({ event: 'config-rejected', mistakes }),
  });
  const signals = heedSignals(watch, log);
  const endEndings = watchEndings(() => config, tell);
  const ended = new AbortController();
  let failed = false;
  const watching = watchOver({ config, submission, metrics, log, signal: ended.signal });
  try {
    await submission.start();
    await signals.stopped;
  } catch (thrown) {
    failed = true;
    tell({ event: 'start-failed', detail: asError(thrown).message });
  }
  ended.abort();
  const drained = await submission.stop();
  await (await watching)?.close();
  endEndings();
  signals.close();
  return drained && !failed ? 0 : 1;
}

interface Watched {
  readonly config: Config;
  readonly submission: RunningSubmission;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** Health and metrics, at `metrics.listen`. `/readyz` says whether a message would get its 250. */
async function watchOver({ config, submission, metrics, log, signal }: Watched): Promise<HealthServer | null> {
  const { listen } = config.metrics;
  if (listen === null) return null;
  const redisUp = (): boolean => submission.connected();
  const health = () => ({ ok: redisUp(), live: true, redis: redisUp() ? 'ready' : 'away', idleForMs: 0 });
  const ready = (): boolean => submission.state().ready;
  return listenUntil(
    signal,
    {
      ...listen,
      hosts: config.api.hosts,
      health,
      ready,
      metrics: () => metrics.show({ ready: ready(), redisUp: redisUp(), worker: null }),
    },
    log,
  );
}

function restartKeys(before: Config, next: Config): string[] {
  const changed = (['redis', 'metrics'] as const).filter((key) => !isDeepStrictEqual(before[key], next[key]));
  return [...changed, ...submissionRestartKeys(before, next)];
}
