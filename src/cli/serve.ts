/** `serve`: one process that answers health checks and shows the metrics of the fleet. It takes no mail, and needs no worker. */
import { isDeepStrictEqual } from 'node:util';
import { destination } from 'pino';
import { sleep } from '../async/timeout.ts';
import { asError } from '../errors.ts';
import type { Config } from '../config/config.ts';
import type { LoadResult } from '../config/load.ts';
import { watchConfig } from '../config/watch.ts';
import { workerName } from '../embed/compose.ts';
import { createMetrics, type Metrics } from '../metrics/metrics.ts';
import { startHealthServer, type HealthServer } from '../observability/health.ts';
import { createLog, type Log } from '../observability/log.ts';
import type { ProcessEvent } from '../observability/process-events.ts';
import type { Call } from './command.ts';
import { load, openOperator, requireConfig } from './compose.ts';
import type { ExitCode } from './failure.ts';
import { createFleetSource } from './fleet-source.ts';
import { heedSignals } from './signals.ts';
import { version } from './version.ts';

type Loaded = Extract<LoadResult, { ok: true }>;

/** Between two tries to reach Redis while no one asks for metrics, in ms: the health check must not wait for the first scrape. */
const tryAgainMs = 2_000;

export async function runServe(call: Call): Promise<ExitCode> {
  const loaded = await requireConfig(call, call.configFile);
  const output = destination({ dest: 1, sync: true });
  output.on('error', () => undefined);
  const log = createLog({ worker: `serve-${workerName()}`, level: loaded.config.log.level, destination: output });
  return serve(call, loaded, log);
}

async function serve(call: Call, loaded: Loaded, log: Log): Promise<ExitCode> {
  let config = loaded.config;
  const fleet = createFleetSource({ open: () => openOperator(config), config: () => config });
  const metrics = createMetrics({ version: version(), worker: null, fleet });
  const tell = (event: ProcessEvent): void => {
    log(event);
    metrics.onEvent(event);
  };
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
      const applied = { event: 'config-applied', worker: 'serve', connectors: next.connectors.length } as const;
      log(applied);
      metrics.onEvent(applied);
    },
    onError: (mistakes) => tell({ event: 'config-rejected', mistakes }),
  });
  const signals = heedSignals(watch, log);
  const ended = new AbortController();
  let server: HealthServer | null = null;
  try {
    server = await startServer(config, metrics, () => fleet.connected());
    tell({ event: 'serving', host: config.api.listen.host, port: server.port });
    void reach(fleet, ended.signal);
    await signals.stopped;
    return 0;
  } catch (thrown) {
    tell({ event: 'start-failed', detail: asError(thrown).message });
    return 1;
  } finally {
    ended.abort();
    fleet.close();
    await server?.close();
    tell({ event: 'served' });
    signals.close();
  }
}

/** Its loop has nothing to wait for: an answer shows that it turns. */
function startServer({ api }: Config, metrics: Metrics, connected: () => boolean): Promise<HealthServer> {
  const health = () => ({ ok: connected(), live: true, redis: connected() ? 'ready' : 'away', idleForMs: 0 });
  const show = (): ReturnType<Metrics['show']> =>
    metrics.show({ ready: connected(), redisUp: connected(), worker: null });
  return startHealthServer({ ...api.listen, hosts: api.hosts, health, ready: () => true, metrics: show });
}

async function reach(
  fleet: { connected(): boolean; readonly read: () => Promise<unknown> },
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    if (!fleet.connected()) await fleet.read();
    await sleep(tryAgainMs, signal);
  }
}

function restartKeys(before: Config, next: Config): string[] {
  return (['redis', 'api'] as const).filter((key) => !isDeepStrictEqual(before[key], next[key]));
}
