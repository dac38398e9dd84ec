/** Joins a configuration, the protocols that it needs, and a worker: what `postlane worker` runs and applications embed. */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type { Config, ConnectorConfig } from '../config/config.ts';
import type { Transport } from '../transport/transport.ts';
import type { Listener } from '../worker/events.ts';
import { createWorker, type PostlaneWorker, type TransportContext } from '../worker/worker.ts';
import { loadTransports } from './transports.ts';

/**
 * Makes a connector's transport, and opens no connection. undefined: the built-in transport of the connector's kind. null: this
 * process does not send for the connector; its messages wait for one that does.
 */
export type CreateTransport = (connector: ConnectorConfig, context: TransportContext) => Transport | null | undefined;

export interface ComposeOptions {
  readonly config: Config;
  readonly createTransport?: CreateTransport;
  readonly listeners: readonly Listener[];
  /** Must differ between processes. */
  readonly name: string;
}

export interface ComposedWorker {
  readonly worker: PostlaneWorker;
  /** Loads the protocols that are new in this configuration, and puts it in force. */
  readonly apply: (config: Config) => Promise<void>;
}

/** A name that no other process has. */
export function workerName(): string {
  return `${hostname()}-${process.pid}-${randomBytes(3).toString('hex')}`;
}

/** Nothing is started. */
export async function composeWorker({
  config,
  createTransport = () => undefined,
  listeners,
  name,
}: ComposeOptions): Promise<ComposedWorker> {
  let build = await loadTransports(config.connectors);
  const worker = createWorker({
    redis: config.redis,
    config,
    createTransport(given, context) {
      // The worker hands back what it was given: its own type knows less of a connector.
      const connector = given as ConnectorConfig;
      const own = createTransport(connector, context);
      return own === undefined ? build(connector, context.hostname, context) : own;
    },
    listeners,
    name,
  });
  return {
    worker,
    async apply(next) {
      build = await loadTransports(next.connectors);
      await worker.apply(next);
    },
  };
}
