/** Foreign jobs under a name of one of BullMQ's own keys: each is set aside, and the queue works again. */
import type { Job, Queue } from 'bullmq';
import type { OpenQueues } from '../queue/open.ts';
import { write } from '../queue/lua/script.ts';
import type { HomeKeys } from '../queue/redis/keys.ts';
import type { RedisClient } from '../queue/redis/connection.ts';
import { deadLetterInvalid } from './dead-letter.ts';
import type { UnsoundTools } from './unsound-jobs.ts';

export interface IntruderTools extends UnsoundTools {
  readonly redis: RedisClient;
  readonly keys: HomeKeys;
  readonly repair: Pick<OpenQueues, 'expelIntruders' | 'adoptOrphans' | 'strays'>;
}

/** How long after an intruder maintenance looks for jobs that are on no list, in ms. */
const repairMs = 60_000;

/**
 * Producers of ours never write such a job (see job-ids.ts), but any BullMQ client can. It can stop the whole intake, so
 * maintenance looks for it at the start of a worker and in each round.
 */
export async function setIntrudersAside(tools: IntruderTools): Promise<void> {
  const { redis, keys, repair } = tools;
  const intruders = await repair.expelIntruders();
  for (const { jobId, data, timestamp } of intruders) await setAside(jobId, data, timestamp, tools);
  // A producer whose step failed at the intruder was refused, and may call again: its message must not be a duplicate of nothing.
  if (intruders.length > 0 || (await redis.exists(keys.intakeRepair)) === 1) await repair.adoptOrphans();
}

/** The same for an intruder that a worker was given as a job. Its id goes from the lists, and BullMQ's key stays. */
export async function setIntruderJobAside(
  queue: Queue,
  job: Pick<Job, 'id'>,
  token: string,
  tools: IntruderTools,
): Promise<void> {
  await write(tools.redis, 'SET', tools.keys.intakeRepair, '1', 'PX', repairMs);
  await setIntrudersAside(tools);
  await tools.jobs.discard(queue, String(job.id), token);
}

/** The dead letter gets an id made for it: its own may be the id of another message. */
async function setAside(jobId: string, data: string, timestamp: number, tools: IntruderTools): Promise<void> {
  const message = `the job was enqueued under the id "${jobId}", which is a key of BullMQ's own; use another id`;
  const issues = [{ field: 'id', rule: 'id-reserved', message }];
  const enqueuedAtMs = Number.isSafeInteger(timestamp) && timestamp > 0 ? timestamp : tools.now();
  await deadLetterInvalid(
    { id: `foreign-${jobId}-${enqueuedAtMs}`, issues },
    { data, form: 'text' },
    enqueuedAtMs,
    tools,
  );
}
