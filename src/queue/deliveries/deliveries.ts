/**
 * What is to be delivered to webhooks: a queue for each, beside how it stands with it (states.ts). A delivery is open until it has reached
 * the receiver or has become a dead letter; so many may be open, and then no further events are taken for this webhook.
 */
import type { Queue } from 'bullmq';
import {
  addDeliveries,
  serveDeliveries,
  type Delivery,
  type DeliveryProcessor,
  type DeliveryWorker,
  type DeliveryWorkerOptions,
} from '../bullmq/delivery-queue.ts';
import type { SharedQueues } from '../bullmq/shared-queues.ts';
import { endLease, hasLease } from '../lua/lease.ts';
import { run } from '../lua/script.ts';
import type { RedisClient } from '../redis/connection.ts';
import { hookName, type HomeKeys } from '../redis/keys.ts';
import { jobsOf, memberOf, pageSize, type DeliveryJobs } from './delivery-jobs.ts';
import {
  failingMs,
  noteScript,
  offScript,
  openScript,
  readState,
  stateKeys,
  type OffReason,
  type WebhookState,
} from './states.ts';

export type { Delivery, DeliveryProcessor, DeliveryVerdict } from '../bullmq/delivery-queue.ts';
export type { DeadDelivery } from './delivery-jobs.ts';

/** Deliveries of one webhook that may be open. */
const mostOpen = 10_000;
/** A webhook with so many failures in a row was away: what waits for a retry is tried once it is back. */
const awayFailures = 5;

/** A webhook with its counts. */
export interface WebhookView extends WebhookState {
  readonly id: string;
  readonly open: number;
  readonly deadLetters: number;
  /** Of what is open; null: nothing is. */
  readonly oldestAt: number | null;
}

export interface Deliveries extends DeliveryJobs {
  known(): Promise<string[]>;
  /** Something may be kept of it from now on. */
  remember(id: string): Promise<void>;
  view(id: string): Promise<WebhookView>;
  state(id: string): Promise<WebhookState>;
  /** How many more may be open. */
  room(id: string): Promise<number>;
  /** Twice is once, while the first is open. */
  add(id: string, deliveries: readonly Delivery[], ordered: boolean): Promise<void>;
  /** Whether an earlier event of the same message is open. */
  isBehind(id: string, delivery: Delivery): Promise<boolean>;
  /** → what the delivery has changed for the webhook. */
  note(
    id: string,
    delivery: Delivery,
    outcome: 'delivered' | 'failed' | 'dead',
    reason: string,
  ): Promise<{ readonly failuresBefore: number; readonly switchedOff: boolean }>;
  /** Nothing is sent to it for so long. */
  pauseFor(id: string, ms: number): Promise<void>;
  /** → whether it was on. */
  switchOff(id: string, why: OffReason, reason: string): Promise<boolean>;
  /** What is open is tried again. → whether it was off. */
  switchOn(id: string): Promise<boolean>;
  /** Keeps the right to read events for it, or takes it. */
  lease(id: string, token: string, ms: number): Promise<boolean>;
  release(id: string, token: string): Promise<void>;
  serve(id: string, process: DeliveryProcessor, options: DeliveryWorkerOptions): DeliveryWorker;
}

export function createDeliveries(redis: RedisClient, keys: HomeKeys, queues: SharedQueues): Deliveries {
  const made = new Map<string, Queue>();
  const queueOf = (id: string): Queue => {
    let queue = made.get(id);
    if (queue === undefined) {
      made.set(id, (queue = queues.queue(hookName(id))));
      queue.on('error', () => undefined);
    }
    return queue;
  };
  const known = (): Promise<string[]> => redis.smembers(keys.webhooks);

  return {
    known,
    async remember(id) {
      await redis.sadd(keys.webhooks, id);
    },
    state: (id) => readState(redis, keys, id),
    async view(id) {
      const { open } = stateKeys(keys, id);
      const [state, count, first, dead] = await Promise.all([
        readState(redis, keys, id),
        redis.zcard(open),
        redis.zrange(open, 0, '0', 'WITHSCORES'),
        redis.zcard(keys.queue(hookName(id), 'failed')),
      ]);
      return {
        id,
        ...state,
        open: count,
        deadLetters: dead,
        oldestAt: first[1] === undefined ? null : Number(first[1]),
      };
    },
    room: async (id) => Math.max(0, mostOpen - (await redis.zcard(keys.webhookOpen(id)))),

    async add(id, deliveries, ordered) {
      if (deliveries.length === 0) return;
      const { open, order } = stateKeys(keys, id);
      const entries = deliveries.flatMap((each) => [each.eventId, each.at, ordered ? memberOf(each) : '']);
      // First what says that it is open: a crash in between leaves that alone, and the event comes again.
      await run(redis, openScript, { keys: { webhooks: keys.webhooks, open, order }, args: { id }, moreArgs: entries });
      await addDeliveries(queueOf(id), deliveries);
    },

    async isBehind(id, delivery) {
      if (delivery.message === null) return false;
      const order = keys.webhookOrder(id);
      const range = [`[${delivery.message} `, `(${delivery.message}!`] as const;
      const [first] = await redis.zrange(order, range[0], range[1], 'BYLEX', 'LIMIT', 0, 1);
      return first !== undefined && first < memberOf(delivery);
    },

    async note(id, delivery, outcome, reason) {
      const args = { outcome, event: delivery.eventId, member: memberOf(delivery), reason, failingMs };
      const answer = await run(redis, noteScript, { keys: stateKeys(keys, id), args });
      const [failuresBefore = 0, off = 0] = (answer as unknown[]).map(Number);
      if (off === 1) await queueOf(id).pause();
      if (outcome === 'delivered' && failuresBefore >= awayFailures) await queueOf(id).promoteJobs({ count: pageSize });
      return { failuresBefore, switchedOff: off === 1 };
    },

    pauseFor: (id, ms) => queueOf(id).rateLimit(ms),

    async switchOff(id, why, reason) {
      const args = { id, why, reason };
      const answer = await run(redis, offScript, {
        keys: { webhooks: keys.webhooks, webhook: keys.webhook(id) },
        args,
      });
      await queueOf(id).pause();
      return Number(answer) === 1;
    },

    async switchOn(id) {
      const removed = await redis.hdel(keys.webhook(id), 'off', 'offAt');
      await redis.hdel(keys.webhook(id), 'failures', 'failingSince');
      await queueOf(id).promoteJobs({ count: pageSize });
      await queueOf(id).resume();
      return removed > 0;
    },

    ...jobsOf(redis, keys, { queueOf, known }),

    lease: (id, token, ms) => hasLease(redis, keys.webhookLease(id), token, ms),
    release: (id, token) => endLease(redis, keys.webhookLease(id), token),

    serve: (id, process, options) =>
      serveDeliveries(redis, { name: hookName(id), prefix: keys.prefix }, process, options),
  };
}
