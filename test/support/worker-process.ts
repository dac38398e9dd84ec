/**
 * Worker processes for one test, with a small configuration. Each ends with its test.
 *
 * Times are short, so that a test sees in seconds what takes minutes in production: the order of the events is the same.
 */
import { randomBytes } from 'node:crypto';
import { onTestFinished } from 'vitest';
import { startJsonProcess, type JsonProcess } from '../../testkit/json-process.ts';
import { startWorkerProcess as startConfigured } from '../../testkit/worker-process.ts';
import type { RedisSettings } from '../../src/queue/redis/settings.ts';
import type { GraphSettings } from '../../src/transport/graph/settings.ts';
import type { SmtpTimeouts } from '../../src/transport/smtp/settings.ts';
import type { ConnectorConfig, SendPolicy, WorkerConfig } from '../../src/worker/settings.ts';
import type { Fallback } from '../../src/routing/connector.ts';
import type { Timing } from '../../src/worker/worker.ts';
import { configOf } from './postlane.ts';
import { redisUrl, shardCount, testEncryption } from './redis.ts';
import { smtpSettings } from '../../testkit/smtp/settings.ts';

export interface ProcessConnector {
  /** Of its server on the loopback. */
  readonly port: number;
  readonly addresses?: readonly string[];
  readonly concurrency?: number;
  /** Default: no limit. */
  readonly messagesPerMinute?: number;
  readonly timeouts?: Partial<SmtpTimeouts>;
  readonly fallback?: Fallback;
}

interface GraphProcessConnector {
  readonly graph: GraphSettings;
  readonly addresses?: readonly string[];
  readonly concurrency?: number;
}

export interface WorkerProcessOptions {
  readonly prefix: string;
  readonly connectors: Readonly<Record<string, ProcessConnector | GraphProcessConnector>>;
  /** Default: the shared Redis of the run. */
  readonly url?: string;
  /** Instead of `url`. */
  readonly redis?: RedisSettings & { readonly shards?: number };
  readonly timing?: Partial<Timing>;
  readonly retry?: Partial<SendPolicy>;
  readonly worker?: Partial<WorkerConfig['worker']>;
  /** Keys as text. Default: those of the run. */
  readonly encryption?: WorkerConfig['encryption'];
  /** The heap that it may have; it dies of more. Default: Node's. */
  readonly heapMiB?: number;
}

export interface WorkerProcess extends JsonProcess {
  readonly name: string;
  /** SIGSTOP: the process stands still, and its connections stay open. */
  pause(): void;
  /** SIGCONT. */
  resume(): void;
}

/** The lock is that of production: a busy machine must not end it. A test that needs a lost lock calls `endLocks`. */
const defaultTiming = { lockMs: 30_000, maintenanceMs: 250, lateResultMs: 400 };
const defaultRetry: SendPolicy = { firstDelayMs: 50, maxDelayMs: 200, lifetimeMs: 3_600_000, onUncertain: 'retry' };

/** Ends with the test. The program prints JSON lines. */
export function startProcess(args: readonly string[], env?: NodeJS.ProcessEnv): JsonProcess {
  return endWithTest(startJsonProcess(args, env === undefined ? {} : { env }));
}

/** Starts a worker process, which ends with the test; resolves once it serves. */
export async function startWorkerProcess(options: WorkerProcessOptions): Promise<WorkerProcess> {
  const name = `p-${randomBytes(4).toString('hex')}`;
  const entries = Object.entries(options.connectors);
  const { NODE_OPTIONS = '' } = process.env;
  const heap = { ...process.env, NODE_OPTIONS: `${NODE_OPTIONS} --max-old-space-size=${options.heapMiB}` };
  const running = endWithTest(
    startConfigured(
      {
        redis: {
          shards: shardCount(),
          ...(options.redis ?? { url: options.url ?? redisUrl() }),
          prefix: options.prefix,
        },
        name,
        config: configFor(options),
        smtp: Object.fromEntries(
          entries.flatMap(([id, connector]) =>
            'port' in connector ? [[id, smtpSettings(connector.port, { timeouts: connector.timeouts ?? {} })]] : [],
          ),
        ),
        graph: Object.fromEntries(
          entries.flatMap(([id, connector]) => ('graph' in connector ? [[id, connector.graph]] : [])),
        ),
        timing: { ...defaultTiming, ...options.timing },
      },
      options.heapMiB === undefined ? {} : { env: heap },
    ),
  );
  await running.waitFor('ready');
  return { ...running, name, pause: () => running.signal('SIGSTOP'), resume: () => running.signal('SIGCONT') };
}

function endWithTest(running: JsonProcess): JsonProcess {
  onTestFinished(async () => {
    await running.kill();
  });
  return running;
}

function configFor({ connectors, retry, worker, encryption }: WorkerProcessOptions): WorkerConfig {
  const policy = { ...defaultRetry, ...retry };
  const list = Object.entries(connectors).map(([id, settings]) => {
    const { addresses = [], concurrency = 5 } = settings;
    const messagesPerMinute = 'messagesPerMinute' in settings ? (settings.messagesPerMinute ?? null) : null;
    const connector: Partial<ConnectorConfig> = {
      addresses,
      retry: policy,
      limits: { concurrency, messagesPerMinute },
      ...('fallback' in settings ? { fallback: settings.fallback } : {}),
    };
    return [id, connector] as const;
  });
  return configOf(Object.fromEntries(list), {
    retry: policy,
    worker: { slots: 40, drainMs: 5_000, ...worker },
    encryption: encryption === undefined ? testEncryption() : encryption,
  });
}
