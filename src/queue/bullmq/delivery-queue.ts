/**
 * The queues of webhooks in BullMQ's terms: how a delivery becomes a job, how a worker serves them, and what its verdict does to the job.
 * Webhooks are few, so each has a Worker of BullMQ's own, with its blocking connection, its locks and its look for stalled jobs.
 */
import { DelayedError, RateLimitError, UnrecoverableError, WaitingError, Worker, type Job, type Queue } from 'bullmq';
import { unreachable } from '../../errors.ts';
import { settlesWithin } from '../../async/timeout.ts';
import type { RedisClient } from '../redis/connection.ts';

/** What a queue holds of an event: the body is the same at every attempt. */
export interface Delivery {
  /** The id of the event, and of the job. */
  readonly eventId: string;
  /** ms since the epoch. */
  readonly at: number;
  readonly type: string;
  /** The message that it is about, and the number of the event among its own. */
  readonly message: string | null;
  readonly sequence: number;
  readonly body: string;
}

/** What becomes of a job. */
export type DeliveryVerdict =
  | { readonly kind: 'delivered' }
  | { readonly kind: 'retry'; readonly delayMs: number; readonly reason: string }
  | { readonly kind: 'dead'; readonly reason: string }
  /** Not now; it counts as no attempt. */
  | { readonly kind: 'later'; readonly delayMs: number }
  | { readonly kind: 'hand-back' };

/** `attempt` counts from 1. */
export type DeliveryProcessor = (delivery: Delivery, attempt: number) => Promise<DeliveryVerdict>;

export interface DeliveryWorker {
  /** Takes no more, waits for what runs as long as that, and leaves the rest to other processes. */
  close(waitMs: number): Promise<void>;
}

export interface DeliveryWorkerOptions {
  readonly concurrency: number;
  readonly lockMs: number;
  readonly stalledMs: number;
  readonly failed: (error: Error) => void;
}

/** Dead letters of a webhook: as many, and for so long. */
const mostDead = 10_000;
const deadSeconds = 604_800;
/** BullMQ counts attempts; how many there are the processor decides. */
const unlimited = 1_000_000;
/** A kill of its process says nothing about a delivery: it is tried again as often as it takes. */
const maxStalls = 1_000_000;
/** BullMQ heeds a pause of the whole queue where it has a rate: one that is never reached. */
const rate = { max: 1_000_000, duration: 1_000 };
/** After Redis was away, in ms. */
const retryFetchMs = 1_000;

export async function addDeliveries(queue: Queue, deliveries: readonly Delivery[]): Promise<void> {
  await queue.addBulk(
    deliveries.map((delivery) => ({
      name: delivery.type,
      data: delivery,
      opts: {
        jobId: delivery.eventId,
        timestamp: delivery.at,
        attempts: unlimited,
        backoff: { type: 'custom' },
        removeOnComplete: true,
        removeOnFail: { age: deadSeconds, count: mostDead },
        stackTraceLimit: 0,
      },
    })),
  );
}

/** Thrown to BullMQ, which asks `backoffStrategy` about it. */
class Again extends Error {
  readonly delayMs: number;

  constructor(reason: string, delayMs: number) {
    super(reason);
    this.delayMs = delayMs;
  }
}

export function serveDeliveries(
  redis: RedisClient,
  { name, prefix }: { readonly name: string; readonly prefix: string },
  process: DeliveryProcessor,
  { concurrency, lockMs, stalledMs, failed }: DeliveryWorkerOptions,
): DeliveryWorker {
  const worker = new Worker(
    name,
    async (job: Job, token = '') => {
      const delivery = deliveryOf(job);
      if (delivery === null) throw new UnrecoverableError('the job is no delivery of ours');
      const verdict = await process(delivery, job.attemptsMade + 1);
      switch (verdict.kind) {
        case 'delivered':
          return null;
        case 'retry':
          throw new Again(verdict.reason, verdict.delayMs);
        case 'dead':
          throw new UnrecoverableError(verdict.reason);
        case 'later':
          await job.moveToDelayed(Date.now() + verdict.delayMs, token);
          throw new DelayedError();
        case 'hand-back':
          await job.moveToWait(token);
          throw new WaitingError();
        default:
          return unreachable(verdict);
      }
    },
    {
      connection: redis,
      prefix,
      concurrency,
      lockDuration: lockMs,
      stalledInterval: stalledMs,
      maxStalledCount: maxStalls,
      limiter: rate,
      runRetryDelay: retryFetchMs,
      settings: { backoffStrategy: (_made, _type, error) => (error instanceof Again ? error.delayMs : 0) },
    },
  );
  worker.on('error', (error) => {
    if (!(error instanceof RateLimitError)) failed(error);
  });
  return {
    async close(waitMs) {
      // BullMQ waits for Redis without an end.
      if (await settlesWithin(worker.close(), waitMs)) return;
      await settlesWithin(worker.close(true), 1_000);
    },
  };
}

/** Nothing that comes out of Redis is trusted: null for what we have not written. */
export function deliveryOf(job: Pick<Job, 'id' | 'data'> | undefined): Delivery | null {
  const data: unknown = job?.data;
  if (typeof data !== 'object' || data === null) return null;
  const { eventId, at, type, message, sequence, body } = data as Partial<Delivery>;
  if (eventId !== job?.id || typeof eventId !== 'string') return null;
  if (typeof body !== 'string' || typeof type !== 'string') return null;
  return {
    eventId,
    type,
    body,
    at: typeof at === 'number' ? at : 0,
    message: typeof message === 'string' ? message : null,
    sequence: typeof sequence === 'number' ? sequence : 0,
  };
}
