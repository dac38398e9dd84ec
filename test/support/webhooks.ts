/** Events that could not be delivered, as a process that serves webhooks leaves them, without the days that it takes. */
import { openQueues } from '../../src/queue/open.ts';
import type { Deliveries, Delivery } from '../../src/queue/deliveries/deliveries.ts';
import { until } from '../../testkit/until.ts';
import { shardCount, testConnection } from './redis.ts';

/** While no process serves this webhook. */
export async function plantDeadEvents(
  prefix: string,
  webhook: string,
  events: readonly Pick<Delivery, 'eventId' | 'type' | 'message'>[],
  reason: string,
): Promise<Deliveries> {
  const { deliveries } = openQueues(testConnection(), { prefix, shards: shardCount() });
  const all = events.map((event): Delivery => ({ ...event, at: Date.now() - 60_000, sequence: 1, body: '{}' }));
  await deliveries.add(webhook, all, false);
  const worker = deliveries.serve(
    webhook,
    async (delivery) => {
      await deliveries.note(webhook, delivery, 'dead', reason);
      return { kind: 'dead', reason };
    },
    { concurrency: 5, lockMs: 5_000, stalledMs: 5_000, failed: () => undefined },
  );
  await until(async () => (await deliveries.view(webhook)).deadLetters === events.length, { what: 'dead letters' });
  await worker.close(5_000);
  return deliveries;
}
