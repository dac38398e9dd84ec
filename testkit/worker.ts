/** A worker with its transports, built from plain JSON as `postlane worker` builds it from its configuration file. */
import type { RedisSettings } from '../src/queue/redis/settings.ts';
import { createGraphTransport } from '../src/transport/graph/graph.ts';
import type { GraphSettings } from '../src/transport/graph/settings.ts';
import type { SmtpSettings } from '../src/transport/smtp/settings.ts';
import { createSmtpTransport } from '../src/transport/smtp/smtp.ts';
import type { Transport } from '../src/transport/transport.ts';
import type { Listener } from '../src/worker/events.ts';
import type { WorkerConfig } from '../src/worker/settings.ts';
import { createWorker, type PostlaneWorker, type Timing } from '../src/worker/worker.ts';

/** Serialisable: it is the argument of a worker process. */
export interface WorkerSettings {
  readonly name: string;
  readonly redis: RedisSettings & { readonly prefix: string; readonly shards?: number };
  readonly config: WorkerConfig;
  /** By connector id; each sending connector is in one of the two. */
  readonly smtp: Readonly<Record<string, SmtpSettings>>;
  readonly graph?: Readonly<Record<string, GraphSettings>>;
  readonly timing?: Partial<Timing>;
}

export interface WorkerHooks {
  readonly listeners?: readonly Listener[];
  readonly now?: () => number;
  /** Replaces each transport, for example to observe it. */
  readonly wrap?: (transport: Transport) => Transport;
}

export interface ConfiguredWorker {
  readonly worker: PostlaneWorker;
  /** Stops the worker, then closes its transports. → whether all sends finished. */
  stop(): Promise<boolean>;
}

/** Not started yet. */
export function buildWorker(settings: WorkerSettings, hooks: WorkerHooks = {}): ConfiguredWorker {
  const { name, redis, config, smtp, graph = {}, timing = {} } = settings;
  const { listeners = [], now, wrap = (transport) => transport } = hooks;
  const worker = createWorker({
    redis,
    config,
    name,
    timing,
    createTransport({ id, limits: { concurrency: maxConnections } }, { leases }) {
      if (graph[id] !== undefined) return wrap(createGraphTransport({ settings: graph[id], maxConnections }));
      if (smtp[id] === undefined) return null;
      return wrap(createSmtpTransport({ settings: smtp[id], hostname: 'worker.test', maxConnections, leases }));
    },
    listeners,
    ...(now === undefined ? {} : { now }),
  });
  return { worker, stop: () => worker.stop() };
}
