/** `serve`: one process with the HTTP API, the health checks, and the metrics of the fleet. It sends nothing, and needs no worker. */
import { isDeepStrictEqual } from 'node:util';
import { destination } from 'pino';
import { asError } from '../errors.ts';
import type { Config } from '../config/config.ts';
import type { LoadResult } from '../config/load.ts';
import { watchConfig } from '../config/watch.ts';
import { workerName } from '../embed/compose.ts';
import { createMetrics, type Metrics } from '../metrics/metrics.ts';
import type { HealthAnswers } from '../observability/health.ts';
import { createLog, type Log } from '../observability/log.ts';
import type { ProcessEvent } from '../observability/process-events.ts';
import type { TraceIds } from '../tracing/tracing.ts';
import type { Call } from './command.ts';
import { load, openOperator, requireConfig } from './compose.ts';
import type { ExitCode } from './failure.ts';
import { createFleetSource } from './fleet-source.ts';
import { serveHttp, type ServedHttp } from './http-server.ts';
import { watchEndings } from './endings.ts';
import { keepReaching, shareOperator, type SharedOperator } from './shared-operator.ts';
import { heedSignals } from './signals.ts';
import { version } from './version.ts';

type Loaded = Extract<LoadResult, { ok: true }>;

export async function runServe(call: Call): Promise<ExitCode> {
  const loaded = await requireConfig(call, call.configFile);
  const output = destination({ dest: 1, sync: true });
  output.on('error', () => undefined);
  const log = createLog({ worker: `serve-${workerName()}`, level: loaded.config.log.level, destination: output });
  return serve(call, loaded, log);
}

async function serve(call: Call, loaded: Loaded, log: Log): Promise<ExitCode> {
  let config = loaded.config;
  const operator = shareOperator(() => openOperator(config));
  const fleet = createFleetSource({ operator: operator.get, config: () => config });
  const metrics = createMetrics({ version: version(), worker: null, fleet });
  const tell = (event: ProcessEvent, trace: TraceIds | null = null): void => {
    log(event, trace);
    metrics.onEvent(event);
  };
  tell({ event: 'starting', config: loaded.file, connectors: config.connectors.length, node: process.version });
  for (const warning of loaded.warnings) tell({ event: 'config-warning', ...warning });
  let server: ServedHttp | null = null;
  const watch = watchConfig({
    loaded,
    load: () => load(call, call.configFile),
    onChange(next, warnings) {
      for (const warning of warnings) tell({ event: 'config-warning', ...warning });
      const keys = restartKeys(config, next);
      if (keys.length > 0) tell({ event: 'restart-needed', keys });
      config = next;
      server?.apply(next);
      log.setLevel(next.log.level);
      const applied = { event: 'config-applied', worker: 'serve', connectors: next.connectors.length } as const;
      log(applied);
      metrics.onEvent(applied);
    },
    onError(mistakes) {
      server?.rejected(mistakes.length);
      tell({ event: 'config-rejected', mistakes });
    },
  });
  const signals = heedSignals(watch, log);
  const endEndings = watchEndings(() => config, tell);
  const ended = new AbortController();
  try {
    server = await serveHttp({
      config: () => config,
      operator,
      health: healthOf(operator, metrics),
      tell,
    });
    void keepReaching(operator, ended.signal);
    await signals.stopped;
    return 0;
  } catch (thrown) {
    tell({ event: 'start-failed', detail: asError(thrown).message });
    return 1;
  } finally {
    ended.abort();
    await server?.close();
    operator.close();
    endEndings();
    signals.close();
  }
}

/** Its loop has nothing to wait for: an answer shows that it turns. */
function healthOf({ connected }: SharedOperator, metrics: Metrics): HealthAnswers {
  return {
    health: () => ({ ok: connected(), live: true, redis: connected() ? 'ready' : 'away', idleForMs: 0 }),
    ready: () => true,
    metrics: () => metrics.show({ ready: connected(), redisUp: connected(), worker: null }),
  };
}

/** Tokens, names, proxies and certificates are those of the file in force; a connection and a listener are made at the start. */
function restartKeys(before: Config, next: Config): string[] {
  const settings = ({ redis, api }: Config) => ({ redis, 'api.listen': api.listen, 'api.tls': api.tls !== null });
  const [was, is] = [settings(before), settings(next)];
  return (Object.keys(is) as (keyof typeof is)[]).filter((key) => !isDeepStrictEqual(was[key], is[key]));
}
