/** The jobs of deliveries, one by one: dead letters and their replay, what a crash has left, and what is erased. */
import type { Job, Queue } from 'bullmq';
import { deliveryOf, type Delivery } from '../bullmq/delivery-queue.ts';
import { run } from '../lua/script.ts';
import type { RedisClient } from '../redis/connection.ts';
import type { HomeKeys } from '../redis/keys.ts';
import { openScript, stateKeys } from './states.ts';

/** Jobs that are looked at together. */
export const pageSize = 500;

export interface DeadDelivery extends Delivery {
  readonly reason: string;
  readonly diedAt: number | null;
}

export interface DeliveryJobs {
  /** The newest first. */
  deadLetters(id: string, most: number): Promise<DeadDelivery[]>;
  /** One of them, or all. → how many. */
  retry(id: string, eventId: string | null): Promise<number>;
  /** Deletes one dead letter, or all. → how many. */
  dropDead(id: string, eventId: string | null): Promise<number>;
  /** All that is kept of it. */
  forget(id: string): Promise<void>;
  /** Forgets what is open without a job, as a crash may leave it. */
  repair(id: string): Promise<void>;
  /** Removes what is about these messages, from queues and dead letters. */
  erase(messages: ReadonlySet<string>): Promise<void>;
}

/** By name: message, then number, then event. */
export function memberOf({ message, sequence, eventId }: Delivery): string {
  return message === null ? '' : `${message} ${String(sequence).padStart(10, '0')} ${eventId}`;
}

interface JobTools {
  readonly queueOf: (id: string) => Queue;
  readonly known: () => Promise<string[]>;
}

export function jobsOf(redis: RedisClient, keys: HomeKeys, { queueOf, known }: JobTools): DeliveryJobs {
  const remove = async (id: string, delivery: Delivery): Promise<void> => {
    const { open, order } = stateKeys(keys, id);
    await redis.zrem(open, delivery.eventId);
    await redis.zrem(order, memberOf(delivery));
  };
  return {
    async deadLetters(id, most) {
      const jobs = await queueOf(id).getJobs(['failed'], 0, most - 1);
      return jobs.flatMap((job) => {
        const delivery = deliveryOf(job);
        return delivery === null ? [] : [{ ...delivery, reason: job.failedReason, diedAt: job.finishedOn ?? null }];
      });
    },

    async retry(id, eventId) {
      const queue = queueOf(id);
      const wanted = eventId === null ? await queue.getJobs(['failed'], 0, -1) : [await queue.getJob(eventId)];
      let retried = 0;
      for (const job of wanted) {
        const delivery = deliveryOf(job);
        if (job === undefined || delivery === null || !(await job.isFailed())) continue;
        const { open, order } = stateKeys(keys, id);
        const moreArgs = [delivery.eventId, delivery.at, ''];
        await run(redis, openScript, { keys: { webhooks: keys.webhooks, open, order }, args: { id }, moreArgs });
        // Another operator may have been quicker.
        const done = await job.retry('failed', { resetAttemptsMade: true, resetAttemptsStarted: true }).then(
          () => true,
          () => false,
        );
        if (done) retried += 1;
      }
      return retried;
    },

    async dropDead(id, eventId) {
      const queue = queueOf(id);
      if (eventId === null) {
        for (let dropped = 0; ;) {
          const { length } = await queue.clean(0, pageSize, 'failed');
          dropped += length;
          if (length < pageSize) return dropped;
        }
      }
      const job = await queue.getJob(eventId);
      if (job === undefined || !(await job.isFailed())) return 0;
      // Another operator may have been quicker.
      return job.remove().then(
        () => 1,
        () => 0,
      );
    },

    async forget(id) {
      await queueOf(id).obliterate({ force: true });
      const { webhook, open, order } = stateKeys(keys, id);
      await redis.del(webhook, open, order, keys.webhookLease(id));
      await redis.srem(keys.webhooks, id);
    },

    async repair(id) {
      const { open, order } = stateKeys(keys, id);
      for (const eventId of await redis.zrange(open, 0, String(pageSize - 1))) {
        const job = await queueOf(id).getJob(eventId);
        if (job !== undefined && !(await job.isFailed())) continue;
        await redis.zrem(open, eventId);
        const delivery = deliveryOf(job);
        if (delivery !== null) await redis.zrem(order, memberOf(delivery));
      }
    },

    async erase(messages) {
      for (const id of await known()) {
        // Jobs move between the lists meanwhile: what was missed once is found by the second look.
        for (let look = 0; look < 2; look += 1) {
          for (const { job, delivery } of await jobsAbout(queueOf(id), messages)) {
            // One that is being sent cannot be removed; if it comes back, it says no more than that.
            const removed = await job.remove().then(
              () => true,
              () => false,
            );
            if (removed) await remove(id, delivery);
            else await job.updateData(erased(delivery)).catch(() => undefined);
          }
        }
      }
    },
  };
}

async function jobsAbout(
  queue: Queue,
  messages: ReadonlySet<string>,
): Promise<{ readonly job: Job; readonly delivery: Delivery }[]> {
  const found: { readonly job: Job; readonly delivery: Delivery }[] = [];
  for (let from = 0; ; from += pageSize) {
    const jobs = await queue.getJobs(['wait', 'delayed', 'failed', 'active'], from, from + pageSize - 1);
    if (jobs.length === 0) return found;
    for (const job of jobs) {
      const delivery = deliveryOf(job);
      const message = delivery?.message ?? null;
      if (delivery !== null && message !== null && messages.has(message)) found.push({ job, delivery });
    }
  }
}

function erased({ type, at, ...rest }: Delivery): Delivery {
  const data = { id: rest.message, sequence: rest.sequence, erased: true };
  return { ...rest, type, at, body: JSON.stringify({ type, timestamp: new Date(at).toISOString(), data }) };
}
