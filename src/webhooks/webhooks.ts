/** Webhooks of a process that serves: for each endpoint of the configuration a dispatcher of events and a worker of its queue. */
import { randomUUID } from 'node:crypto';
import { settlesWithin, sleep } from '../async/timeout.ts';
import { asError } from '../errors.ts';
import type { WebhookEndpoint } from '../config/webhooks.ts';
import { openQueues, type OpenQueues } from '../queue/open.ts';
import { connectPatient, type RedisClient } from '../queue/redis/connection.ts';
import type { RedisSettings } from '../queue/redis/settings.ts';
import { createDeliver, type WebhookEvent } from './deliver.ts';
import { consumerOf, dispatch } from './dispatcher.ts';
import { bodyWith } from './payload.ts';
import { createSender, type Answer, type Sender } from './sender.ts';

export { reasonOf } from './policy.ts';

export interface WebhookOptions {
  readonly redis: RedisSettings & { readonly prefix: string; readonly shards?: number };
  readonly endpoints: readonly WebhookEndpoint[];
  readonly tell: (event: WebhookEvent) => void;
  /** In tests. */
  readonly sender?: Sender;
  readonly random?: () => number;
  readonly leaseMs?: number;
  readonly lockMs?: number;
}

export interface Webhooks {
  /** Takes another configuration: endpoints that are gone lose their place in the events. */
  apply(endpoints: readonly WebhookEndpoint[]): void;
  close(): Promise<void>;
}

/** Deliveries to one endpoint at once, in one process. */
const deliveriesAtOnce = 5;
/** A process that was killed: another one reads events after so long, in ms. */
const defaultLeaseMs = 10_000;
/** And delivers what it had in hand after up to twice so long, in ms: more than a request takes. */
const defaultLockMs = 30_000;
/** How long a stop waits for requests, in ms: as long as one takes. */
const closeMs = 21_000;
const tryAgainMs = 2_000;

interface Running {
  endpoint: WebhookEndpoint;
  close(): Promise<void>;
}

/** Where there is no endpoint, Redis is only asked whether there was one. */
export function startWebhooks(options: WebhookOptions): Webhooks {
  const { redis: settings, tell, sender = createSender(), random = Math.random } = options;
  const { leaseMs = defaultLeaseMs, lockMs = defaultLockMs } = options;
  const running = new Map<string, Running>();
  const ended = new AbortController();
  let connection: { readonly redis: RedisClient; readonly open: OpenQueues } | null = null;
  let wanted = options.endpoints;
  const failed =
    (webhook: string) =>
    ({ message: detail }: Error): void =>
      ended.signal.aborted ? undefined : tell({ event: 'webhook-error', webhook, detail });

  const connect = (): OpenQueues => {
    if (connection !== null) return connection.open;
    const redis = connectPatient(settings, 'postlane-webhooks');
    redis.on('error', () => undefined);
    connection = { redis, open: openQueues(redis, settings) };
    return connection.open;
  };

  const start = (endpoint: WebhookEndpoint): Running => {
    const { events, deliveries } = connect();
    const { id } = endpoint;
    const stop = new AbortController();
    const here: Running = {
      endpoint,
      async close() {
        stop.abort();
        await Promise.all([worker.close(closeMs), settlesWithin(dispatching, closeMs)]);
      },
    };
    const about = { deliveries, endpoint: () => here.endpoint };
    const deliver = createDeliver({ ...about, sender, tell, random, now: Date.now });
    const worker = deliveries.serve(id, deliver, {
      concurrency: deliveriesAtOnce,
      lockMs,
      stalledMs: lockMs / 2,
      failed: failed(id),
    });
    const dispatching = dispatch({ ...about, events, failed: failed(id), signal: stop.signal, leaseMs });
    return here;
  };

  const sync = async (): Promise<void> => {
    const ids = new Set(wanted.map(({ id }) => id));
    for (const [id, each] of running) {
      if (ids.has(id)) continue;
      running.delete(id);
      await each.close();
    }
    for (const endpoint of wanted) {
      const known = running.get(endpoint.id);
      if (known === undefined) running.set(endpoint.id, start(endpoint));
      else known.endpoint = endpoint;
    }
    const { events, deliveries } = connect();
    for (const id of await deliveries.known()) if (!ids.has(id)) await events.unregister(consumerOf(id));
    if (running.size > 0) return;
    connection?.redis.disconnect();
    connection = null;
  };

  // One after the other, and again until Redis has answered.
  let syncing: Promise<void> = Promise.resolve();
  const apply = (): void => {
    syncing = syncing.then(async () => {
      while (!ended.signal.aborted) {
        try {
          return await sync();
        } catch (thrown) {
          failed('')(asError(thrown));
          await sleep(tryAgainMs, ended.signal);
        }
      }
      return undefined;
    });
  };
  apply();

  return {
    apply(endpoints) {
      wanted = endpoints;
      apply();
    },
    async close() {
      ended.abort();
      await settlesWithin(syncing, tryAgainMs);
      await Promise.all([...running.values()].map((each) => each.close()));
      sender.close();
      connection?.redis.disconnect();
    },
  };
}

/** Sends a test event from here, at once. */
export async function testEndpoint(endpoint: WebhookEndpoint, now: number): Promise<Answer> {
  const sender = createSender();
  try {
    const body = bodyWith('webhook.test', now, { webhook: endpoint.id });
    return await sender.send(endpoint, { id: `test-${randomUUID()}`, body });
  } finally {
    sender.close();
  }
}
