/** The two connections of a worker beside the shared one: the intake's, which blocks, and the subscriber's, which listens. */
import { IntakeWorker } from '../queue/bullmq/shared-queues.ts';
import { subscriberOf, type RedisClient } from '../queue/redis/connection.ts';
import { intakeName } from '../queue/redis/keys.ts';
import type { Shards } from '../queue/redis/shards.ts';
import type { Listener } from './events.ts';
import { routeJob, type RouterTools } from './router.ts';

/** Messages that one process routes at once. */
const routedAtOnce = 50;

export interface IntakeOptions {
  readonly redis: RedisClient;
  readonly prefix: string;
  readonly lockMs: number;
  readonly stalledMs: number;
  readonly maxStalledCount: number;
  readonly tools: RouterTools;
  readonly emit: Listener;
}

export function startIntake({
  redis,
  prefix,
  lockMs,
  stalledMs,
  maxStalledCount,
  tools,
  emit,
}: IntakeOptions): IntakeWorker {
  const intake = new IntakeWorker(intakeName, async (job, token) => routeJob(job, token ?? '', tools), {
    connection: redis,
    prefix,
    concurrency: routedAtOnce,
    lockDuration: lockMs,
    stalledInterval: stalledMs,
    maxStalledCount,
    removeOnComplete: { count: 0 },
    removeOnFail: { count: -1 },
  });
  intake.on('error', (error) => emit({ event: 'error', id: null, where: 'intake', detail: error.message }));
  return intake;
}

export interface Announcements {
  /** A lane became ready. */
  readonly onReady: () => void;
  /** A session lease was given back, or is asked for. */
  readonly onSession: (message: string) => void;
}

/** Listens for what other processes announce, in all shards. The caller disconnects it. */
export async function subscribe(
  redis: RedisClient,
  name: string,
  shards: Shards,
  { onReady, onSession }: Announcements,
): Promise<RedisClient> {
  const sessionsChannels = shards.all.map(({ sessionsChannel }) => sessionsChannel);
  const subscriber = subscriberOf(redis, `postlane-wake:${name}`);
  subscriber.on('error', () => undefined);
  subscriber.on('message', (channel, message) => {
    if (sessionsChannels.includes(channel)) onSession(message);
    else onReady();
  });
  await subscriber.subscribe(...shards.all.map(({ wake }) => wake), ...sessionsChannels);
  return subscriber;
}
