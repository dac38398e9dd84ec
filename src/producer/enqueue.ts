/** Puts an accepted message into the intake, unless its id is in use: its large contents first, then the job itself. */
import type { MessageLimits } from '../message/message.ts';
import { encodeWire, jobIdOf, jobPriorities, sealData, type Submission } from '../queue/jobs.ts';
import type { OpenQueues } from '../queue/open.ts';
import { redisError, type RedisClient } from '../queue/redis/connection.ts';
import { jobName } from '../queue/redis/keys.ts';
import { wireText, type AcceptedMessage } from './accept.ts';
import type { Admission } from './admission.ts';
import { storeLargeContent } from './large-content.ts';

/** `carrier`: the trace context that travels with it, '' for none. → whether the id was in use: then nothing was stored. */
export type Enqueue = (
  accepted: AcceptedMessage,
  submission: Submission,
  carrier: string,
) => Promise<'new' | 'duplicate'>;

export function createEnqueue(
  redis: RedisClient,
  { keys, intake, arrive, contents, sealing }: Pick<OpenQueues, 'keys' | 'intake' | 'arrive' | 'contents' | 'sealing'>,
  admit: Admission,
  limits: MessageLimits,
): Enqueue {
  const isInUse = async (id: string): Promise<boolean> =>
    (await redis.exists(keys.ledger(id), keys.intakeJob(id), keys.location(id))) > 0;

  const enqueue: Enqueue = async ({ id, message, broughtId }, submission, carrier) => {
    const { attachments, raw, sendAt } = message;
    const hasContents = attachments.length > 0 || raw !== undefined;
    // Before contents are stored for it. The step that adds a message looks for itself.
    if (broughtId && (hasContents || sendAt !== undefined) && (await isInUse(id))) return 'duplicate';
    const looking = admit(id, message);
    if (looking !== null) await looking;
    const whole = hasContents ? await storeLargeContent(message, id, contents) : message;
    const job = sealData(encodeWire(whole, submission), id, sealing());
    const data = wireText(job, limits);
    const priority = jobPriorities[message.priority];
    const delay = sendAt === undefined ? 0 : Math.max(0, Date.parse(sendAt) - Date.now());
    if (delay === 0) return arrive({ id, data, priority, broughtId, carrier });
    const telemetry = carrier === '' ? {} : { telemetry: { metadata: carrier } };
    await intake.add(jobName, job, { jobId: jobIdOf(id), priority, delay, removeOnComplete: true, ...telemetry });
    return 'new';
  };

  return async (accepted, submission, carrier) => {
    try {
      return await enqueue(accepted, submission, carrier);
    } catch (error) {
      // What is there already needs no room.
      const { id, broughtId } = accepted;
      if (broughtId && redisError(error).code === 'redis-full' && (await isInUse(id))) return 'duplicate';
      throw error;
    }
  };
}
