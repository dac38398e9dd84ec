/**
 * A worker process of Postlane: the worker and SMTP transports as `postlane worker` joins them, without its log and with
 * all guarantees. Started and stopped as often as asked, so that a warm process can begin with a full queue.
 */
import { defaultMessageLimits } from '../../src/message/message.ts';
import { createRegistry, type TransportRegistry } from '../../src/transport/registry.ts';
import { smtpTimeouts } from '../../src/transport/smtp/settings.ts';
import { createSmtpTransport } from '../../src/transport/smtp/smtp.ts';
import type { ConnectorConfig } from '../../src/worker/settings.ts';
import { createWorker, type PostlaneWorker } from '../../src/worker/worker.ts';
import { answer, settingsOf } from './program.ts';

export interface BenchConnector {
  /** Sends for everybody at `<id>.bench.test`. */
  readonly id: string;
  readonly port: number;
  readonly concurrency: number;
  readonly messagesPerMinute: number | null;
}

export interface BenchWorkerSettings {
  readonly name: string;
  readonly redisUrl: string;
  readonly connectors: readonly BenchConnector[];
}

export interface WorkerCounts {
  readonly routed: number;
  readonly sent: number;
  readonly faults: number;
}

const { name, redisUrl, connectors } = await settingsOf<BenchWorkerSettings>();
const redis = { url: redisUrl, prefix: '{postlane}' };
// The defaults of the configuration.
const retry = { firstDelayMs: 30_000, maxDelayMs: 3_600_000, lifetimeMs: 86_400_000 };
const week = 7 * 86_400_000;
const counts = { routed: 0, sent: 0, faults: 0 };
let registry: TransportRegistry | null = null;
let worker: PostlaneWorker | null = null;

async function start(): Promise<void> {
  const transports = createRegistry((id) => {
    const connector = connectors.find((each) => each.id === id);
    return connector === undefined ? null : transportOf(connector);
  });
  registry = transports;
  worker = createWorker({
    redis,
    name,
    config: {
      systemDefaultGateway: null,
      unmonitoredAddress: null,
      connectors: connectors.map((connector) => configOf(connector)),
      message: defaultMessageLimits,
      retry,
      retention: { ledgerMs: week, deadLetterMs: 30 * 86_400_000, deadLetterCount: 1_000_000 },
      worker: { slots: 64, drainMs: 10_000 },
    },
    transport: (id) => transports.get(id),
    listeners: [
      ({ event }) => {
        if (event === 'routed') counts.routed += 1;
        else if (event === 'sent') counts.sent += 1;
        else if (event === 'connector-fault') counts.faults += 1;
      },
    ],
  });
  await worker.start();
}

async function stop(): Promise<void> {
  await worker?.stop();
  await registry?.close();
  worker = null;
  registry = null;
}

function configOf({ id, port, concurrency, messagesPerMinute }: BenchConnector): ConnectorConfig {
  return {
    id,
    direction: 'outgoing',
    addresses: [`*@${id}.bench.test`],
    transport: { port },
    limits: { concurrency, messagesPerMinute },
    retry: { ...retry, onUncertain: 'retry' },
  };
}

function transportOf({ port, concurrency }: BenchConnector): ReturnType<typeof createSmtpTransport> {
  return createSmtpTransport({
    settings: {
      host: '127.0.0.1',
      port,
      security: 'none',
      auth: null,
      allowInsecureAuth: false,
      tls: { ca: null, servername: null },
      timeouts: smtpTimeouts,
      replyRules: [],
    },
    hostname: 'bench.test',
    maxConnections: concurrency,
  });
}

answer({
  start: () => start().then(() => ({})),
  stop: () => stop().then(() => ({})),
  counts: () => counts,
  /** What lives after two collections, in bytes. */
  heap: () => {
    globalThis.gc?.();
    globalThis.gc?.();
    return { bytes: process.memoryUsage().heapUsed };
  },
});
