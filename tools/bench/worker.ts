/**
 * A worker process for the benchmarks: worker and SMTP transports as `postlane worker` joins them, without its log and
 * with all guarantees. It starts and stops on demand, so that a warm process can begin with a full queue.
 */
import { smtpSettings } from '../../testkit/smtp/settings.ts';
import { buildWorker, type ConfiguredWorker, type WorkerSettings } from '../../testkit/worker.ts';
import { defaultMessageLimits } from '../../src/message/message.ts';
import { defaultIndex } from '../../src/queue/journal/index-entries.ts';
import type { EncryptionKeys } from '../../src/index.ts';
import type { ConnectorConfig } from '../../src/worker/settings.ts';
import { answer, settingsOf } from './program.ts';

export interface BenchConnector {
  /** Sends for every address at `<id>.bench.test`. */
  readonly id: string;
  readonly port: number;
  readonly concurrency: number;
  readonly messagesPerMinute: number | null;
}

interface BenchWorkerSettings {
  readonly name: string;
  readonly redisUrl: string;
  readonly connectors: readonly BenchConnector[];
  /** false: no message can be found by what is in it. */
  readonly indexed?: boolean;
  /** Keys of bodies; null: they are stored as they are. */
  readonly encryption?: EncryptionKeys | null;
}

const { name, redisUrl, connectors, indexed = true, encryption = null } = await settingsOf<BenchWorkerSettings>();
const dayMs = 86_400_000;
// The defaults of the configuration.
const retry = { firstDelayMs: 30_000, maxDelayMs: 3_600_000, lifetimeMs: dayMs };
const settings: WorkerSettings = {
  name,
  redis: { url: redisUrl, prefix: '{postlane}' },
  config: {
    systemDefaultGateway: null,
    unmonitoredAddress: null,
    connectors: connectors.map(({ id, port, concurrency, messagesPerMinute }): ConnectorConfig => ({
      id,
      direction: 'outgoing',
      addresses: [`*@${id}.bench.test`],
      transport: { port },
      limits: { concurrency, messagesPerMinute },
      retry: { ...retry, onUncertain: 'retry' },
    })),
    message: defaultMessageLimits,
    retry,
    retention: { ledgerMs: 7 * dayMs, deadLetterMs: 30 * dayMs, deadLetterCount: 1_000_000 },
    worker: { slots: 64, drainMs: 10_000 },
    encryption,
    index: indexed ? defaultIndex : { ...defaultIndex, recipients: false, messageId: false },
  },
  smtp: Object.fromEntries(connectors.map(({ id, port }) => [id, smtpSettings(port)])),
};
const counts = { routed: 0, sent: 0, faults: 0 };
let running: ConfiguredWorker | null = null;

answer({
  async start() {
    running = buildWorker(settings, {
      listeners: [
        ({ event }) => {
          if (event === 'routed') counts.routed += 1;
          else if (event === 'sent') counts.sent += 1;
          else if (event === 'connector-fault') counts.faults += 1;
        },
      ],
    });
    await running.worker.start();
    return {};
  },
  async stop() {
    await running?.stop();
    running = null;
    return {};
  },
  counts: () => counts,
  /** What is alive after two collections, in bytes. */
  heap: () => {
    globalThis.gc?.();
    globalThis.gc?.();
    return { bytes: process.memoryUsage().heapUsed };
  },
});
