/** What is still there of a message's content: kept after it was sent, in its dead letter, or in the queue where it waits; and sending it again. */
import { randomUUID } from 'node:crypto';
import type { Job } from 'bullmq';
import { PostlaneError } from '../errors.ts';
import { newMessageId } from '../message/identity.ts';
import type { Message, MessageLimits } from '../message/message.ts';
import { parseMessage } from '../message/schema.ts';
import { encodeWire, idOfIntakeJob, intakeJobIdsOf, isShallow, jobIdOf, jobPriorities } from '../queue/jobs.ts';
import { storedIn } from '../queue/ledger/content.ts';
import type { OpenQueues } from '../queue/open.ts';
import type { RedisClient } from '../queue/redis/connection.ts';
import { jobName } from '../queue/redis/keys.ts';

export interface MessageContent {
  /** In its normal form; attachments above 64 KiB are references. */
  readonly message: Message;
  /** `kept`: after it was sent (`retention.content`). `dead-letter`: its dead recipients alone. `queue`: it waits. */
  readonly where: 'kept' | 'dead-letter' | 'queue';
}

export type Resent =
  /** `resendOf` in its metadata is the id of the first one. */
  | { readonly kind: 'resent'; readonly id: string }
  /** Its content is gone. */
  | { readonly kind: 'no-content' };

export interface ContentTools {
  readonly redis: RedisClient;
  readonly open: Pick<
    OpenQueues,
    'shards' | 'deadLetters' | 'lanes' | 'jobs' | 'intake' | 'ledger' | 'contents' | 'room'
  >;
  readonly limits: MessageLimits;
}

/** null if nothing is there, or nothing that can be read. */
export async function contentOf(id: string, { redis, open, limits }: ContentTools): Promise<MessageContent | null> {
  const kept = await Promise.all(open.shards.all.map((keys) => redis.hget(keys.kept(id), 'data')));
  const sent = kept.find((data) => data !== null);
  if (sent) return contentIn(parsed(sent), id, limits, 'kept');
  const letter = await open.deadLetters.get(id);
  if (letter !== null) {
    const data = letter.form === 'text' ? parsed(String(letter.data)) : letter.form === 'json' ? letter.data : null;
    return contentIn(data, id, limits, 'dead-letter');
  }
  const row = await open.ledger.read(id);
  if (row !== null && row.connector !== null) {
    const job = await open.jobs.job(open.lanes.queue(row.connector), jobIdOf(id));
    if (job !== null) return contentIn(job.data, id, limits, 'queue');
  }
  const job = await intakeJobOf(id, open);
  return job === null ? null : contentIn(job.data, id, limits, 'queue');
}

/** The job of the intake that has the message, under its own id or under a number of BullMQ's. */
export async function intakeJobOf(
  id: string,
  { jobs, intake }: Pick<OpenQueues, 'jobs' | 'intake'>,
): Promise<Job | null> {
  for (const jobId of intakeJobIdsOf(id)) {
    const job = await jobs.job(intake, jobId);
    if (job !== null && idOfIntakeJob(String(job.id), job.timestamp) === id) return job;
  }
  return null;
}

/**
 * Sends it once more, as a new message: a new id, a new Date and Message-ID (but for the one in a raw message), to the same recipients.
 *
 * @throws PostlaneError `message-invalid`, `attachment-missing`, `redis-full`
 */
export async function resend(id: string, now: number, tools: ContentTools): Promise<Resent> {
  const { open, limits } = tools;
  const content = await contentOf(id, tools);
  if (content === null) return { kind: 'no-content' };
  const { sendAt: _, expiresAt: _e, ...message } = content.message;
  const newId = newMessageId(now, randomUUID());
  const again = { ...message, id: newId, metadata: { ...message.metadata, resendOf: id } };
  const checked = parseMessage(again, limits);
  if (!checked.ok) {
    throw new PostlaneError('message-invalid', 'The message cannot be sent again', {
      issues: checked.issues,
      id: newId,
    });
  }
  const room = await open.room();
  if (typeof room === 'object' && room.freeBytes <= 0) {
    throw new PostlaneError('redis-full', 'Redis has no room for new messages', { id: newId });
  }
  const [fault] = await open.contents.link(newId, storedIn(checked.message));
  if (fault !== undefined) {
    const which = `${fault.ref.slice(0, 12)}…`;
    throw new PostlaneError('attachment-missing', `Stored content ${which} of the message is gone`, { id: newId });
  }
  const priority = jobPriorities[checked.message.priority];
  await open.intake.add(jobName, encodeWire(checked.message), {
    jobId: jobIdOf(newId),
    priority,
    removeOnComplete: true,
  });
  return { kind: 'resent', id: newId };
}

function contentIn(
  data: unknown,
  id: string,
  limits: MessageLimits,
  where: MessageContent['where'],
): MessageContent | null {
  if (typeof data !== 'object' || data === null || !isShallow(data)) return null;
  const { message } = data as { readonly message?: unknown };
  if (typeof message !== 'object' || message === null) return null;
  const read = parseMessage({ ...message, id }, limits);
  return read.ok ? { message: read.message, where } : null;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}
