/** `outbox`: one process that relays rows of an application's database. It sends nothing; workers do. */
import { asError } from '../errors.ts';
import type { Config } from '../config/config.ts';
import { workerName } from '../embed/compose.ts';
import { createMetrics } from '../metrics/metrics.ts';
import type { Log, LogEvent } from '../observability/log.ts';
import { startRelay, type Relay } from '../outbox/relay.ts';
import type { Call } from './command.ts';
import { openOperator, openProducer, requireConfig, requireDatabase } from './compose.ts';
import type { ExitCode } from './failure.ts';
import { beginLongRun, changedKeys, openLog, type Loaded } from './long-run.ts';
import { keepReaching, shareOperator } from './shared-operator.ts';
import { version } from './version.ts';
import { listenForMetrics } from './worker-metrics.ts';

/** Until a message must be in Redis, in ms: the rows of a batch are locked meanwhile. */
const storeMs = 20_000;

export async function runOutbox(call: Call): Promise<ExitCode> {
  const loaded = await requireConfig(call, call.configFile);
  requireDatabase(loaded.config.outbox.database);
  const name = `outbox-${workerName()}`;
  return relay(call, loaded, name, openLog(name, loaded));
}

async function relay(call: Call, loaded: Loaded, name: string, log: Log): Promise<ExitCode> {
  let running: Relay | null = null;
  const state = () => running?.state() ?? { databaseUp: false, counts: null };
  const metrics = createMetrics({ version: version(), worker: null, fleet: null, outbox: state });
  const tell = (event: LogEvent): void => {
    log(event);
    metrics.onEvent(event);
  };
  const run = beginLongRun({ call, loaded, log, name, tell, restartKeys });
  const ended = new AbortController();
  const { config } = loaded;
  const operator = shareOperator(() => openOperator(config));
  const producer = await openProducer(config, { timeoutMs: storeMs, replicas: config.outbox.acknowledgeReplicas });
  const { message: limits, retention } = config;
  const started = startRelay({
    database: requireDatabase(config.outbox.database),
    producer,
    settings: () => ({ outbox: run.config().outbox, limits, rememberedMs: retention.ledgerMs }),
    onEvent: tell,
  });
  running = started;
  void keepReaching(operator, ended.signal);
  // Ready is a relay that reaches both, its database and Redis.
  const [connected, ready] = [() => operator.connected(), () => !ended.signal.aborted && started.state().databaseUp];
  const watching = listenForMetrics({ config, connected, ready, metrics, log, signal: ended.signal });
  let failed = false;
  try {
    await Promise.race([run.stopped, started.ended]);
  } catch (thrown) {
    failed = true;
    tell({ event: 'start-failed', detail: asError(thrown).message });
  }
  ended.abort();
  const drained = await started.stop(run.config().worker.drainMs);
  await producer.close();
  operator.close();
  await (await watching)?.close();
  run.close();
  return drained && !failed ? 0 : 1;
}

/** What is read once: addresses, and what connections and the producer were made with. */
function restartKeys(before: Config, next: Config): string[] {
  const settings = ({ redis, encryption, tracing, metrics, message, retention, outbox }: Config) => ({
    redis,
    encryption,
    tracing,
    metrics,
    message,
    'retention.ledger': retention.ledgerMs,
    'outbox.url': outbox.database,
    'outbox.listen': outbox.listen,
    'outbox.acknowledgeReplicas': outbox.acknowledgeReplicas,
  });
  return changedKeys(settings(before), settings(next));
}
