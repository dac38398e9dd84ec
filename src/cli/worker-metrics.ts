/** The metrics of a worker process: what it counts, and the address at which it shows them. Mail never waits for either. */
import { sleep } from '../async/timeout.ts';
import { asError } from '../errors.ts';
import type { Config } from '../config/config.ts';
import { createMetrics, type Metrics, type MetricsOptions } from '../metrics/metrics.ts';
import { startHealthServer, type HealthServer } from '../observability/health.ts';
import type { Log } from '../observability/log.ts';
import type { PostlaneWorker } from '../worker/worker.ts';
import { openOperator } from './compose.ts';
import { createFleetSource } from './fleet-source.ts';
import { shareOperator } from './shared-operator.ts';
import { version } from './version.ts';

export interface WorkerMetricsServer {
  /** A subscriber of events. */
  readonly onEvent: Metrics['onEvent'];
  /** What it shows, for another server of the process; once it is started. */
  readonly metrics: () => ReturnType<Metrics['show']>;
  /** Listens, as soon as the address is free. */
  start(worker: Pick<PostlaneWorker, 'health' | 'load'>, ready: () => boolean): void;
  close(): Promise<void>;
}

/** Between two tries to listen, in ms: the worker that this one replaces will give the address back. */
const tryAgainMs = 10_000;

/** null if `metrics.listen` is `none`. `config`: in force now. */
export function createWorkerMetricsServer(
  config: () => Config,
  log: Log,
  { submission, mailboxes }: Pick<MetricsOptions, 'submission' | 'mailboxes'>,
): WorkerMetricsServer | null {
  const { listen, global } = config().metrics;
  if (listen === null) return null;
  const operator = shareOperator(() => openOperator(config()));
  const fleet = global ? createFleetSource({ operator: operator.get, config }) : null;
  let kinds = new Map<string, string | null>();
  let kindsOf: Config | null = null;
  const transportOf = (connectorId: string): string | null => {
    if (kindsOf !== config()) {
      kindsOf = config();
      kinds = new Map(kindsOf.connectors.map(({ id, transport }) => [id, transport?.kind ?? null]));
    }
    return kinds.get(connectorId) ?? null;
  };
  const metrics = createMetrics({ version: version(), worker: { transportOf }, fleet, submission, mailboxes });
  const stop = new AbortController();
  let server: HealthServer | null = null;
  let shown: (() => ReturnType<Metrics['show']>) | null = null;
  let listening: Promise<void> = Promise.resolve();
  return {
    onEvent: metrics.onEvent,
    metrics: () => shown!(),

    start(worker, ready) {
      const show = (): ReturnType<Metrics['show']> => {
        const health = worker.health();
        const redisUp = health.redis === 'ready';
        return metrics.show({ ready: health.ok && ready(), redisUp, worker: { health, load: worker.load() } });
      };
      shown = show;
      const { hosts } = config().api;
      const options = { ...listen, hosts, health: () => worker.health(), ready, metrics: show };
      listening = listenUntil(stop.signal, options, log).then((started) => void (server = started));
    },

    async close() {
      stop.abort();
      operator.close();
      await listening;
      await server?.close();
    },
  };
}

interface MetricsListener {
  readonly config: Config;
  /** To Redis. */
  readonly connected: () => boolean;
  readonly ready: () => boolean;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** Health and metrics of a process that is no worker, at `metrics.listen`. → null if there is none, or the signal came first. */
export async function listenForMetrics(options: MetricsListener): Promise<HealthServer | null> {
  const { config, connected, ready, metrics, log, signal } = options;
  if (config.metrics.listen === null) return null;
  const show = () => metrics.show({ ready: ready() && connected(), redisUp: connected(), worker: null });
  return listenUntil(
    signal,
    {
      ...config.metrics.listen,
      hosts: config.api.hosts,
      health: () => ({ ok: connected(), live: true, redis: connected() ? 'ready' : 'away', idleForMs: 0 }),
      ready,
      metrics: show,
    },
    log,
  );
}

/** → null if the signal came first. Reported once: the address may be another worker's for good. */
async function listenUntil(
  signal: AbortSignal,
  options: Parameters<typeof startHealthServer>[0],
  log: Log,
): Promise<HealthServer | null> {
  const { host } = options;
  for (let tried = 0; !signal.aborted; tried += 1) {
    try {
      const server = await startHealthServer(options);
      log({ event: 'metrics-listening', host, port: server.port });
      return server;
    } catch (thrown) {
      if (tried === 0) {
        const { message: detail } = asError(thrown);
        log({ event: 'metrics-unavailable', host, port: options.port, detail });
      }
      await sleep(tryAgainMs, signal);
    }
  }
  return null;
}
