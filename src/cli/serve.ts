/** `serve`: one process with the HTTP API, the health checks, and the metrics of the fleet. It sends nothing, and needs no worker. */
import { asError } from '../errors.ts';
import type { Config } from '../config/config.ts';
import { workerName } from '../embed/compose.ts';
import { createMetrics, type Metrics } from '../metrics/metrics.ts';
import type { HealthAnswers } from '../observability/health.ts';
import type { Log, LogEvent } from '../observability/log.ts';
import type { TraceIds } from '../tracing/tracing.ts';
import type { Call } from './command.ts';
import { openOperator, requireConfig } from './compose.ts';
import type { ExitCode } from './failure.ts';
import { createFleetSource } from './fleet-source.ts';
import { serveHttp, type ServedHttp } from './http-server.ts';
import { beginLongRun, changedKeys, openLog, type Loaded } from './long-run.ts';
import { keepReaching, shareOperator, type SharedOperator } from './shared-operator.ts';
import { version } from './version.ts';

export async function runServe(call: Call): Promise<ExitCode> {
  const loaded = await requireConfig(call, call.configFile);
  const log = openLog(`serve-${workerName()}`, loaded);
  return serve(call, loaded, log);
}

async function serve(call: Call, loaded: Loaded, log: Log): Promise<ExitCode> {
  let server: ServedHttp | null = null;
  const config = (): Config => run.config();
  const operator = shareOperator(() => openOperator(config()));
  const fleet = createFleetSource({ operator: operator.get, config });
  const metrics = createMetrics({ version: version(), worker: null, fleet });
  const tell = (event: LogEvent, trace: TraceIds | null = null): void => {
    log(event, trace);
    metrics.onEvent(event);
  };
  const run = beginLongRun({
    call,
    loaded,
    log,
    name: 'serve',
    tell,
    restartKeys,
    onChange: (next) => server?.apply(next),
    onRejected: (mistakes) => server?.rejected(mistakes),
  });
  const ended = new AbortController();
  try {
    server = await serveHttp({
      config,
      operator,
      health: healthOf(operator, metrics),
      tell,
    });
    void keepReaching(operator, ended.signal);
    await run.stopped;
    return 0;
  } catch (thrown) {
    tell({ event: 'start-failed', detail: asError(thrown).message });
    return 1;
  } finally {
    ended.abort();
    await server?.close();
    operator.close();
    run.close();
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

/**
 * Tokens, names, proxies and certificates are those of the file in force; connections, the listener and the producer with its keys are made
 * at the start.
 */
function restartKeys(before: Config, next: Config): string[] {
  const settings = ({ redis, encryption, tracing, api }: Config) => ({
    redis,
    encryption,
    tracing,
    'api.listen': api.listen,
    'api.tls': api.tls !== null,
  });
  return changedKeys(settings(before), settings(next));
}
