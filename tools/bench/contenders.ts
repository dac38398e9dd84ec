/** The contenders: Postlane and each peer, as processes that take a number of messages. */
import { Queue } from 'bullmq';
import { createProducer, type EncryptionKeys } from '../../src/index.ts';
import { startChild, type Child } from './child.ts';
import type { Contender } from './contender.ts';
import type { EnqueueWay } from './enqueue.ts';
import { connectorId, mailsOf, smallBytes, type BenchMail } from './mail.ts';
import type { Part } from './processes.ts';
import type { Disposables } from '../../testkit/disposables.ts';
import type { Lap, Sink } from './sink.ts';
import type { Store } from './store.ts';
import type { BenchConnector } from './worker.ts';

/** More than a process has slots for, so that the connectors' limits do not matter. */
const generous = 64;

export function tenConnectors(port: number): BenchConnector[] {
  return Array.from({ length: 10 }, (_, nth) => ({
    id: connectorId(nth),
    port,
    concurrency: generous,
    messagesPerMinute: null,
  }));
}

export interface PostlaneOptions {
  readonly name?: string;
  readonly store: Store;
  readonly sink: Sink;
  readonly connectors?: readonly BenchConnector[];
  /** The worker process, if it is that of an earlier commit. */
  readonly program?: string;
  /** Worker processes. Default 1. */
  readonly workers?: number;
  readonly bytes?: number;
  /** Whether messages are indexed. Default: as configured by default. */
  readonly indexed?: boolean;
  /** Keys of bodies. Default: bodies are stored as they are. */
  readonly encryption?: EncryptionKeys;
  /** Puts a number of messages into the queue. Default: Postlane's `sendMany`. */
  readonly fill?: (count: number) => Promise<unknown>;
}

/** Everything is in the queue before the first worker starts, so the time includes routing. */
export async function postlane(
  disposables: Disposables,
  options: PostlaneOptions,
): Promise<Contender & { workers: Child[] }> {
  const { name = 'Postlane', store, sink, connectors = tenConnectors(sink.port), bytes = smallBytes } = options;
  const workers: Child[] = [];
  for (let nth = 1; nth <= (options.workers ?? 1); nth += 1) {
    const { indexed = true, encryption = null } = options;
    const settings = { name: `w${nth}`, redisUrl: store.url, connectors, indexed, encryption };
    workers.push(disposables.add(await startChild(options.program ?? 'worker.ts', settings)));
  }
  const fill = options.fill ?? sendMany(disposables, store.url, bytes, 10, options.encryption);
  const lap = async (messages: number, begins: () => Promise<void>): Promise<Lap> => {
    await fill(messages);
    await begins();
    const lap = await sink.lap(messages, () => Promise.all(workers.map((worker) => worker.ask('start'))));
    await Promise.all(workers.map((worker) => worker.ask('stop')));
    return lap;
  };
  const parts = [...workers.map(({ pid }): Part => ({ role: 'sender', pid })), redisPart(store), sinkPart(sink)];
  return { name, ours: options.program === undefined, store, parts, lap, tuning: null, workers };
}

/** Enqueues through the public producer, one portion after the other. */
export function sendMany(
  disposables: Disposables,
  url: string,
  bytes: number,
  senders = 10,
  encryption: EncryptionKeys | null = null,
): (count: number) => Promise<void> {
  const producer = createProducer({ redis: { url }, timeoutMs: 60_000, encryption });
  disposables.defer('producer', () => producer.close());
  return async (count) => {
    for (const mails of portions(count, bytes, senders)) {
      const failed = (await producer.sendMany(mails)).find((result) => !result.ok);
      if (failed !== undefined && !failed.ok) throw failed.error;
    }
  };
}

function* portions(count: number, bytes: number, senders = 10): Generator<BenchMail[]> {
  const all = mailsOf(count, bytes, senders);
  for (let start = 0; start < count; start += 500) yield all.slice(start, start + 500);
}

export async function pooled(disposables: Disposables, sink: Sink, bytes = smallBytes): Promise<Contender> {
  const child = disposables.add(await startChild('peers/pooled.ts', { port: sink.port, bytes }));
  return direct(`nodemailer pool, no queue${sized(bytes)}`, child, sink, [50, 20, 10, 5]);
}

export async function wire(disposables: Disposables, sink: Sink): Promise<Contender> {
  const child = disposables.add(await startChild('peers/wire.ts', { port: sink.port }));
  return direct('bare SMTP client', child, sink, [5, 20, 50]);
}

function direct(name: string, child: Child, sink: Sink, values: readonly number[]): Contender {
  return {
    name,
    ours: false,
    store: null,
    parts: [{ role: 'sender', pid: child.pid }, sinkPart(sink)],
    async lap(messages, begins) {
      await begins();
      return sink.lap(messages, () => child.ask('send', messages));
    },
    tuning: { values, set: (value) => child.ask('tune', value) },
  };
}

/** As a part of a name: 4 KiB is what is not said. */
function sized(bytes: number): string {
  return bytes === smallBytes ? '' : `, ${bytes / 1_024} KiB`;
}

export async function tutorial(
  disposables: Disposables,
  store: Store,
  sink: Sink,
  bytes = smallBytes,
): Promise<Contender> {
  const queue = 'mail';
  const settings = { port: sink.port, redisUrl: store.url, queue };
  const child = disposables.add(await startChild('peers/tutorial.ts', settings));
  const fill = addBulk(disposables, store, queue, bytes);
  return {
    name: `tutorial worker${sized(bytes)}`,
    ours: false,
    store,
    parts: [{ role: 'sender', pid: child.pid }, redisPart(store), sinkPart(sink)],
    async lap(messages, begins) {
      await fill(messages);
      await begins();
      const lap = await sink.lap(messages, () => child.ask('start'));
      await child.ask('stop');
      return lap;
    },
    tuning: { values: [50, 20, 10], set: (value) => child.ask('tune', value) },
  };
}

export async function noop(disposables: Disposables, store: Store): Promise<Contender> {
  const queue = 'noop';
  const child = disposables.add(await startChild('peers/noop.ts', { redisUrl: store.url, queue }));
  const fill = addBulk(disposables, store, queue);
  return {
    name: 'BullMQ, doing nothing',
    ours: false,
    store,
    parts: [{ role: 'sender', pid: child.pid }, redisPart(store)],
    async lap(messages, begins) {
      await fill(messages);
      await begins();
      return child.ask<Lap>('run', messages);
    },
    tuning: { values: [100, 20], set: (value) => child.ask('tune', value) },
  };
}

/** The options that a careful reader of BullMQ's guide would use. */
export const carefulOptions = {
  attempts: 5,
  backoff: { type: 'exponential', delay: 30_000 },
  removeOnComplete: true,
};

function addBulk(
  disposables: Disposables,
  store: Store,
  name: string,
  bytes = smallBytes,
): (count: number) => Promise<void> {
  const queue = new Queue(name, { connection: { url: store.url } });
  queue.on('error', () => undefined);
  disposables.defer('queue', () => queue.close());
  return async (count) => {
    for (const mails of portions(count, bytes)) {
      await queue.addBulk(mails.map((data) => ({ name: 'mail', data, opts: carefulOptions })));
    }
  };
}

/** One way of enqueuing into a separate Redis. `clear` empties it before each lap. */
export async function enqueuer(
  disposables: Disposables,
  way: EnqueueWay,
  store: Store,
  clear: boolean,
  encryption: EncryptionKeys | null = null,
): Promise<Contender> {
  const child = disposables.add(await startChild('enqueue.ts', { way, redisUrl: store.url, encryption }));
  return {
    name: way,
    ours: way === 'send' || way === 'sendMany',
    store,
    parts: [{ role: 'sender', pid: child.pid }, redisPart(store)],
    async lap(messages, begins) {
      if (clear) await store.clear();
      await begins();
      return child.ask<Lap>('run', messages);
    },
    tuning: null,
  };
}

export function redisPart({ pid }: Store): Part {
  return { role: 'redis', pid };
}

export function sinkPart({ pid }: Sink): Part {
  return { role: 'sink', pid };
}
