/**
 * Reads events for one webhook and puts those that it wants into its queue; one process at a time does, by a lease.
 *
 *   read from the cursor ──▶ put into the queue ──▶ acknowledge the cursor ──▶ read on
 *
 * A process that is killed in between has its last events read again, which their ids tell. A webhook has a place of its own in the events:
 * one that cannot keep up holds up no other, and what it has not read is bounded by `events.maxBytes`.
 */
import { randomUUID } from 'node:crypto';
import { sleep } from '../async/timeout.ts';
import { asError } from '../errors.ts';
import type { WebhookEndpoint } from '../config/webhooks.ts';
import type { Deliveries, Delivery } from '../queue/deliveries/deliveries.ts';
import type { EventCursor, EventLog, StoredEvent } from '../queue/journal/events.ts';
import { bodyOf, isWanted, wantsOf } from './payload.ts';

export interface DispatchTools {
  readonly events: EventLog;
  readonly deliveries: Deliveries;
  /** As the configuration in force has it. */
  readonly endpoint: () => WebhookEndpoint;
  readonly failed: (error: Error) => void;
  readonly signal: AbortSignal;
  readonly leaseMs: number;
}

/** Events of each shard that are read together. */
const eventsPerRead = 100;
/** Where nothing can be done for now, in ms. */
const waitMs = 1_000;
/** How long a read waits for an event, in ms: less than a lease. */
const readMs = 2_000;
/** Between two looks for what a crash has left, in ms. */
const repairMs = 60_000;

export function consumerOf(id: string): string {
  return `webhook:${id}`;
}

/** Until the signal ends it. */
export async function dispatch(tools: DispatchTools): Promise<void> {
  const { deliveries, endpoint, failed, signal, leaseMs } = tools;
  const { id } = endpoint();
  const token = randomUUID();
  while (!signal.aborted) {
    try {
      if (await deliveries.lease(id, token, leaseMs)) await withLease(tools, token);
    } catch (thrown) {
      failed(asError(thrown));
    }
    await sleep(waitMs, signal);
  }
  // A process that stops leaves it to the next one at once.
  await deliveries.release(id, token).catch(() => undefined);
}

/** Until the lease is lost, or the webhook is switched off. */
async function withLease(
  { events, deliveries, endpoint, signal, leaseMs }: DispatchTools,
  token: string,
): Promise<void> {
  const { id } = endpoint();
  const name = consumerOf(id);
  let registered: string | null = null;
  let cursor: EventCursor = '';
  let repairAt = 0;
  while (!signal.aborted && (await deliveries.lease(id, token, leaseMs))) {
    if ((await deliveries.state(id)).off !== null) {
      // What happens meanwhile is not kept for it.
      await events.unregister(name);
      return;
    }
    const wants = wantsOf(endpoint());
    if (registered !== wants) {
      // First: what is not known is not forgotten when the configuration no longer has it.
      await deliveries.remember(id);
      cursor = await events.register(name, { wants, leaseMs: null });
      registered = wants;
    }
    const now = performance.now();
    if (now >= repairAt) {
      await deliveries.repair(id);
      repairAt = now + repairMs;
    }
    const room = await deliveries.room(id);
    if (room === 0) {
      await sleep(waitMs, signal);
      continue;
    }
    const read = await events.read(cursor, { count: Math.min(eventsPerRead, room), waitMs: readMs, signal });
    const { ordered } = endpoint();
    const wanted = read.events.filter((event) => isWanted(event, endpoint()));
    await deliveries.add(
      id,
      wanted.map((event) => deliveryOf(event, endpoint())),
      ordered,
    );
    if (read.cursor === cursor) continue;
    cursor = read.cursor;
    // Another process may have forgotten it, whose configuration does not have it (yet).
    if (!(await events.acknowledge(name, cursor, null))) registered = null;
  }
}

function deliveryOf(event: StoredEvent, endpoint: WebhookEndpoint): Delivery {
  const about = 'sequence' in event ? { message: event.id, sequence: event.sequence } : { message: null, sequence: 0 };
  const { eventId, at, type } = event;
  return { eventId, at, type, ...about, body: bodyOf(event, endpoint) };
}
