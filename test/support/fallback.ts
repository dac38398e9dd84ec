/** Workers whose connectors have fallbacks, on a clock that runs faster, and servers that go away and come back. */
import { onTestFinished } from 'vitest';
import { sink } from './accounting.ts';
import { configOf, startWorker, type TestWorker } from './postlane.ts';
import { redisUrl } from './redis.ts';
import type { Fallback } from '../../src/routing/connector.ts';
import { createSmtpTransport } from '../../src/transport/smtp/smtp.ts';
import type { ConnectorConfig, WorkerConfig } from '../../src/worker/settings.ts';
import type { Timing } from '../../src/worker/worker.ts';
import { smtpSettings } from '../../testkit/smtp/settings.ts';
import type { SmtpServer, SmtpServerOptions } from '../../testkit/smtp/server.ts';

/** An hour is 6 s: each pause, the time until the fallback takes over, and that of the trial. */
const scale = 1 / 600;
export const hourMs = 3_600_000 * scale;
export const timing = { pauseScale: scale, failoverMs: 50, returnMs: 300, maintenanceMs: 300 };
export const after = (ms: number, ...to: string[]): Fallback => ({ to, afterMs: ms * scale, atOnce: [] });

interface Switch {
  away: boolean;
}

/** A server that can go away: it closes each connection before its greeting. */
export async function switched(
  script: SmtpServerOptions['script'] = {},
): Promise<{ readonly server: SmtpServer; readonly is: Switch }> {
  const is = { away: true };
  const server = await sink({ script: { CONNECT: () => (is.away ? 'close' : undefined), ...script } });
  return { server, is };
}

interface Sender {
  readonly port: number;
  readonly connector?: Partial<ConnectorConfig>;
}

interface SenderOptions {
  readonly name?: string;
  readonly shards?: number;
  /** Beside that of all these tests. */
  readonly timing?: Partial<Timing>;
  /** Of Redis, instead of that of the run. */
  readonly url?: string;
  /** The connector of every From that is in no addresses; else it is the first one. */
  readonly default?: string;
}

/** The configuration of `startSender`, for one that is reloaded. */
export function senderConfig(senders: Readonly<Record<string, Sender>>, options: SenderOptions = {}): WorkerConfig {
  return configOf(
    Object.fromEntries(Object.entries(senders).map(([id, { connector = {} }]) => [id, connector])),
    options.default === undefined ? {} : { systemDefaultGateway: options.default },
  );
}

/** A worker that sends by these connectors. */
export function startSender(
  prefix: string,
  senders: Readonly<Record<string, Sender>>,
  options: SenderOptions = {},
): Promise<TestWorker> {
  const transports = Object.fromEntries(
    Object.entries(senders).map(([id, { port }]) => [
      id,
      createSmtpTransport({ settings: smtpSettings(port), hostname: 'worker.test', maxConnections: 5 }),
    ]),
  );
  onTestFinished(async () => {
    await Promise.all(Object.values(transports).map((transport) => transport.close()));
  });
  const config = senderConfig(senders, options);
  const name = options.name ?? 'w1';
  return startWorker({
    prefix,
    config,
    transports,
    name,
    timing: { ...timing, ...options.timing },
    ...redisOf(options.shards),
    ...urlOf(options),
  });
}

function urlOf({ url }: SenderOptions) {
  return url === undefined ? {} : { url };
}

export function redisOf(shards: number | undefined) {
  return shards === undefined ? {} : { redis: { url: redisUrl(), shards } };
}
