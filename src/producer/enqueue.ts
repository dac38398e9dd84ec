/** Puts an accepted message into the intake, unless its id is in use: its large contents first, then the job itself. */
import { acceptedAt } from '../message/identity.ts';
import type { Message, MessageLimits } from '../message/message.ts';
import { encodeWire, jobPriorities, sealData, type Submission } from '../queue/jobs.ts';
import { keyMissing } from '../errors.ts';
import type { OpenQueues } from '../queue/open.ts';
import { compareHash, storedHash } from '../queue/callers.ts';
import { redisError, type RedisClient } from '../queue/redis/connection.ts';
import { wireText, type AcceptedMessage } from './accept.ts';
import type { Admission } from './admission.ts';
import { rowLifetimeMs } from './idempotency.ts';
import { storeLargeContent } from './large-content.ts';
import { readStatus } from './status.ts';

/**
 * `new`: the message is stored. Otherwise nothing was: `duplicate`: its id is in use; `id-taken`: by what was submitted with another print, or
 * without one; `refused`: by `beforeStore`.
 */
export type Enqueued = 'new' | 'duplicate' | 'id-taken' | 'refused';

/** For ways in of our own. */
export interface EnqueueOptions {
  /** Asked before anything is stored, and not at all where the id is found to be in use. → whether the message may be stored. */
  readonly beforeStore?: ((message: Message) => Promise<boolean>) | undefined;
  /** The same for the same submission, and for no other; without a space. Without one, every message under an id is taken for the same. */
  readonly print?: string | undefined;
}

/** `carrier`: the trace context that travels with it, '' for none. */
export type Enqueue = (
  accepted: AcceptedMessage,
  submission: Submission,
  carrier: string,
  options: EnqueueOptions,
) => Promise<Enqueued>;

export function createEnqueue(
  redis: RedisClient,
  queues: Pick<OpenQueues, 'keys' | 'arrive' | 'contents' | 'sealing' | 'printOf' | 'ledger' | 'intake' | 'jobs'>,
  admit: Admission,
  limits: () => MessageLimits,
  retentionMs: number,
): Enqueue {
  const { keys, arrive, contents, sealing, printOf } = queues;
  const isInUse = async (id: string): Promise<boolean> =>
    (await redis.exists(keys.ledger(id), keys.intakeJob(id), keys.location(id))) > 0;

  const enqueue: Enqueue = async ({ id, message, broughtId }, submission, carrier, { beforeStore, print }) => {
    const { attachments, raw, sendAt } = message;
    const hasContents = attachments.length > 0 || raw !== undefined;
    // Before contents are stored for it. The step that adds a message looks for itself.
    if (broughtId && (hasContents || beforeStore !== undefined) && (await isInUse(id))) return 'duplicate';
    if (beforeStore !== undefined && !(await beforeStore(message))) return 'refused';
    const looking = admit(id, message);
    if (looking !== null) await looking;
    const whole = hasContents ? await storeLargeContent(message, id, contents) : message;
    const job = sealData(encodeWire(whole, submission), id, sealing());
    return arrive({
      id,
      data: wireText(job, limits()),
      priority: jobPriorities[message.priority],
      broughtId,
      carrier,
      dueAt: sendAt === undefined ? 0 : Date.parse(sendAt),
      print: print === undefined ? null : { value: printFor(id, print), forMs: printForMs(message) },
    });
  };

  const printForMs = (message: Message): number => rowLifetimeMs(message, Date.now(), retentionMs);
  const printFor = (id: string, print: string): string => storedHash('print', id, print, sealing());

  /**
   * Whose message has the id: its print is in Redis together with it. A print that has outlived its message is of another time than the message
   * that has the id since.
   */
  const ownerOf = async (id: string, print: string | undefined): Promise<'duplicate' | 'id-taken'> => {
    if (print === undefined) return 'duplicate';
    const stored = await printOf(id);
    if (stored === null) return 'id-taken';
    const compared = compareHash('print', id, stored.value, print, sealing());
    if (typeof compared === 'object') throw keyMissing('What was submitted under this id', compared.keyMissing, id);
    if (compared !== 'same') return 'id-taken';
    const status = await readStatus(id, queues);
    const isOf = status !== null && [stored.at, acceptedAt(id, stored.at)].includes(status.acceptedAt);
    return isOf ? 'duplicate' : 'id-taken';
  };

  return async (accepted, submission, carrier, options) => {
    const { id, broughtId } = accepted;
    try {
      const answer = await enqueue(accepted, submission, carrier, options);
      return answer === 'duplicate' ? await ownerOf(id, options.print) : answer;
    } catch (error) {
      // What is there already needs no room.
      if (broughtId && redisError(error).code === 'redis-full' && (await isInUse(id)))
        return ownerOf(id, options.print);
      throw error;
    }
  };
}
