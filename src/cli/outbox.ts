/** `outbox`: one process that relays rows of an application's database. It sends nothing; workers do. */
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
import { startRelay, type Relay } from '../outbox/relay.ts';
import type { Call } from './command.ts';
import { load, openOperator, openProducer, requireConfig, requireDatabase } from './compose.ts';
import { watchEndings } from './endings.ts';
import type { ExitCode } from './failure.ts';
import { keepReaching, shareOperator, type SharedOperator } from './shared-operator.ts';
import { heedSignals } from './signals.ts';
import { version } from './version.ts';
import { listenUntil } from './worker-metrics.ts';

type Loaded = Extract<LoadResult, { ok: true }>;

/** Until a message must be in Redis, in ms: the rows of a batch are locked meanwhile. */
const storeMs = 20_000;

export async function runOutbox(call: Call): Promise<ExitCode> {
  const loaded = await requireConfig(call, call.configFile);
  requireDatabase(loaded.config.outbox.database);
  const output = destination({ dest: 1, sync: true });
  output.on('error', () => undefined);
  const name = `outbox-${workerName()}`;
  return relay(call, loaded, name, createLog({ worker: name, level: loaded.config.log.level, destination: output }));
}

async function relay(call: Call, loaded: Loaded, name: string, log: Log): Promise<ExitCode> {
  let config = loaded.config;
  let running: Relay | null = null;
  const state = () => running?.state() ?? { databaseUp: false, counts: null };
  const metrics = createMetrics({ version: version(), worker: null, fleet: null, outbox: state });
  const tell = (event: LogEvent): void => {
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
      tell({ event: 'config-applied', worker: name, connectors: next.connectors.length });
    },
    onError: (mistakes) => tell({ event: 'config-rejected', mistakes }),
  });
  const signals = heedSignals(watch, log);
  const endEndings = watchEndings(() => config, tell);
  const ended = new AbortController();
  const operator = shareOperator(() => openOperator(config));
  const producer = await openProducer(config, { timeoutMs: storeMs, replicas: config.outbox.acknowledgeReplicas });
  const { message: limits, retention } = loaded.config;
  const started = startRelay({
    database: requireDatabase(loaded.config.outbox.database),
    producer,
    settings: () => ({ outbox: config.outbox, limits, rememberedMs: retention.ledgerMs }),
    onEvent: tell,
  });
  running = started;
  void keepReaching(operator, ended.signal);
  const watching = watchOver({ config, relay: started, operator, metrics, log, signal: ended.signal });
  let failed = false;
  try {
    await Promise.race([signals.stopped, started.ended]);
  } catch (thrown) {
    failed = true;
    tell({ event: 'start-failed', detail: asError(thrown).message });
  }
  ended.abort();
  const drained = await started.stop(config.worker.drainMs);
  await producer.close();
  operator.close();
  await (await watching)?.close();
  endEndings();
  signals.close();
  return drained && !failed ? 0 : 1;
}

interface Watched {
  readonly config: Config;
  readonly relay: Relay;
  readonly operator: SharedOperator;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** Health and metrics, at `metrics.listen`. Ready is a relay that reaches both, its database and Redis. */
async function watchOver({ config, relay, operator, metrics, log, signal }: Watched): Promise<HealthServer | null> {
  const { listen } = config.metrics;
  if (listen === null) return null;
  const redisUp = (): boolean => operator.connected();
  const ready = (): boolean => !signal.aborted && relay.state().databaseUp;
  return listenUntil(
    signal,
    {
      ...listen,
      hosts: config.api.hosts,
      health: () => ({ ok: redisUp(), live: true, redis: redisUp() ? 'ready' : 'away', idleForMs: 0 }),
      ready,
      metrics: () => metrics.show({ ready: ready() && redisUp(), redisUp: redisUp(), worker: null }),
    },
    log,
  );
}

/** What is read once: addresses, and what connections were made with. */
function restartKeys(before: Config, next: Config): string[] {
  const settings = ({ redis, metrics, message, retention, outbox }: Config) => ({
    redis,
    metrics,
    message,
    'retention.ledger': retention.ledgerMs,
    'outbox.url': outbox.database,
    'outbox.listen': outbox.listen,
    'outbox.acknowledgeReplicas': outbox.acknowledgeReplicas,
  });
  const [was, is] = [settings(before), settings(next)];
  return (Object.keys(is) as (keyof typeof is)[]).filter((key) => !isDeepStrictEqual(was[key], is[key]));
}
