/** The two connections of a worker beside the shared one: the intake's, which blocks, and the subscriber's, which listens. */
import { printable } from '../errors.ts';
import type { Intake } from '../queue/lanes/intake.ts';
import type { OpenQueues } from '../queue/open.ts';
import { subscriberOf, type RedisClient } from '../queue/redis/connection.ts';
import type { Shards } from '../queue/redis/shards.ts';
import type { Listener } from './events.ts';
import { routeJob, type RouterTools } from './router.ts';

export interface IntakeOptions {
  readonly open: Pick<OpenQueues, 'intakeWorker'>;
  readonly lockMs: number;
  readonly stalledMs: number;
  readonly tools: RouterTools;
  readonly freeSlots: () => number | null;
  readonly emit: Listener;
}

export function startIntake({ open, lockMs, stalledMs, tools, freeSlots, emit }: IntakeOptions): Intake {
  const failed = (error: Error): void =>
    emit({ event: 'error', id: null, where: 'intake', detail: printable(error.message, 500) });
  const intake = open.intakeWorker((job, token) => routeJob(job, token, tools), {
    lockMs,
    stalledMs,
    failed,
    freeSlots,
  });
  intake.start();
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
