/** Whole workers within a test: a small configuration, recording transports by default, everything stopped at the end. */
import { onTestFinished } from 'vitest';
import { createProducer, type Producer, type ProducerOptions } from '../../src/producer/producer.ts';
import { defaultMessageLimits } from '../../src/message/message.ts';
import { openOperator, type Operator, type OperatorOptions } from '../../src/admin/operator.ts';
import type { RedisSettings } from '../../src/queue/redis/settings.ts';
import {
  createRecordingTransport,
  type RecordingStep,
  type RecordingTransport,
} from '../../src/transport/recording.ts';
import type { Transport } from '../../src/transport/transport.ts';
import type { WorkerEvent } from '../../src/worker/events.ts';
import type { ConnectorConfig, WorkerConfig } from '../../src/worker/settings.ts';
import { createWorker, type PostlaneWorker, type Timing } from '../../src/worker/worker.ts';
import { redisUrl, shardCount, testEncryption } from './redis.ts';

type ConnectorInput = Partial<Omit<ConnectorConfig, 'id'>>;

/** A permanent refusal is believed at once: tests that are about something else have no other messages that could show whose it is. */
export const testRetry = {
  firstDelayMs: 40,
  maxDelayMs: 200,
  lifetimeMs: 3_600_000,
  attributeWithinMs: 0,
  onUncertain: 'retry',
} as const;

/** A worker's configuration: connectors by id; the first one that sends is the default gateway unless `rest` says otherwise. */
export function configOf(connectors: Record<string, ConnectorInput>, rest: Partial<WorkerConfig> = {}): WorkerConfig {
  const list = Object.entries(connectors).map(([id, connector]): ConnectorConfig => ({
    id,
    direction: 'outgoing',
    addresses: [],
    transport: {},
    limits: { concurrency: 5, messagesPerMinute: null },
    retry: testRetry,
    ...connector,
  }));
  const first = list.find(({ direction }) => direction !== 'incoming');
  return {
    systemDefaultGateway: first?.id ?? null,
    unmonitoredAddress: { address: 'system@example.com' },
    connectors: list,
    message: defaultMessageLimits,
    retry: testRetry,
    retention: { ledgerMs: 3_600_000, deadLetterMs: 3_600_000, deadLetterCount: 1_000 },
    worker: { slots: 20, drainMs: 5_000 },
    ...rest,
  };
}

export interface TestWorker {
  readonly worker: PostlaneWorker;
  readonly events: WorkerEvent[];
  /** The recording transport of a connector, where no other was given. */
  readonly recorded: (connectorId: string) => RecordingTransport;
  readonly of: <Name extends WorkerEvent['event']>(name: Name) => Extract<WorkerEvent, { event: Name }>[];
}

export interface TestWorkerOptions {
  readonly prefix: string;
  readonly config: WorkerConfig;
  readonly scripts?: Record<string, readonly RecordingStep[]>;
  readonly transports?: Record<string, Transport>;
  readonly timing?: Partial<Timing>;
  readonly name?: string;
  readonly url?: string;
  /** Instead of `url`. */
  readonly redis?: RedisSettings & { readonly shards?: number };
  readonly now?: () => number;
  /** Default: at random. */
  readonly random?: () => number;
}

/** Starts a worker and stops it when the test ends. */
export async function startWorker(options: TestWorkerOptions): Promise<TestWorker> {
  const events: WorkerEvent[] = [];
  const recordings = new Map<string, RecordingTransport>();
  const recorded = (id: string): RecordingTransport => {
    const known = recordings.get(id) ?? createRecordingTransport({ script: options.scripts?.[id] ?? [] });
    recordings.set(id, known);
    return known;
  };
  const worker = createWorker({
    redis: { shards: shardCount(), ...(options.redis ?? { url: options.url ?? redisUrl() }), prefix: options.prefix },
    config: sealedAs(options.config),
    createTransport: ({ id }) => outliving(options.transports?.[id] ?? recorded(id)),
    listeners: [(event) => events.push(event)],
    name: options.name ?? 'w1',
    // The lock is that of production: a busy machine must not end it.
    timing: { lockMs: 30_000, maintenanceMs: 300, lateResultMs: 500, ...options.timing },
    ...(options.now === undefined ? {} : { now: options.now }),
    ...(options.random === undefined ? {} : { random: options.random }),
  });
  onTestFinished(async () => {
    await worker.stop();
  });
  await worker.start();
  const apply = worker.apply.bind(worker);
  worker.apply = (config) => apply(sealedAs(config));
  const of: TestWorker['of'] = (name) => events.filter((event): event is never => event.event === name);
  return { worker, events, recorded, of };
}

/** With the keys of this run, unless the test has its own. */
function sealedAs(config: WorkerConfig): WorkerConfig {
  return 'encryption' in config ? config : { ...config, encryption: testEncryption() };
}

/** The same transport for a worker that closes it, at a reload or at its end: a test looks into it afterwards. */
function outliving(transport: Transport): Transport {
  return Object.assign(Object.create(transport) as Transport, { close: async () => undefined });
}

/** A producer that is closed when the test ends. */
export function testProducer(
  prefix: string,
  options: Omit<ProducerOptions, 'redis'> & {
    url?: string;
    redis?: RedisSettings & { readonly shards?: number; readonly reservePercent?: number };
  } = {},
): Producer {
  const { url = redisUrl(), redis = { url }, ...rest } = options;
  // Patient, as the machine may be busy: a test about the timeout gives its own.
  const producer = createProducer({
    redis: { shards: shardCount(), ...redis, prefix },
    timeoutMs: 30_000,
    encryption: testEncryption(),
    ...rest,
  });
  onTestFinished(() => producer.close());
  return producer;
}

/** An operator that is closed when the test ends. */
export async function testOperator(
  prefix: string,
  url = redisUrl(),
  redis: RedisSettings & { readonly shards?: number } = { url },
  rest: Partial<Pick<OperatorOptions, 'index' | 'limits' | 'encryption'>> = {},
): Promise<Operator> {
  const operator = await openOperator({
    redis: { shards: shardCount(), ...redis, prefix },
    timeoutMs: 30_000,
    limits: defaultMessageLimits,
    encryption: testEncryption(),
    ...rest,
  });
  onTestFinished(() => operator.close());
  return operator;
}
