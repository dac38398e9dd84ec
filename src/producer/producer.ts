/** The producer: validates a message, stores what is too large to travel, enqueues it, and tells where it stands. */
import { randomBytes } from 'node:crypto';
import type { Job, Queue } from 'bullmq';
import { PostlaneError } from '../errors.ts';
import { newMessageId } from '../message/identity.ts';
import { defaultMessageLimits, type Message, type MessageLimits } from '../message/message.ts';
import { parseMessage, type OutboundMessage } from '../message/schema.ts';
import { createAcknowledger } from '../queue/redis/replication.ts';
import { connectFailFast, reasonOf, redisError, whenReady } from '../queue/redis/connection.ts';
import { refsOf } from '../queue/ledger/content.ts';
import { encodeWire, jobPriorities, messageIdOf } from '../queue/jobs.ts';
import type { HistoryEntry, LedgerRow, LedgerState, RecipientState } from '../queue/ledger/ledger.ts';
import { defaultPrefix, intakeName, jobName } from '../queue/redis/keys.ts';
import { openQueues } from '../queue/open.ts';
import type { RedisSettings } from '../queue/redis/settings.ts';
import { storeLargeContent } from './large-content.ts';

export type { RedisSentinel, RedisSettings, RedisTls } from '../queue/redis/settings.ts';

export interface ProducerOptions {
  readonly redis: RedisSettings & {
    /** Key prefix; must be that of the workers. Default `{postlane}`. */
    readonly prefix?: string;
    /** Number of shards; must be that of the workers. Default 1. */
    readonly shards?: number;
  };
  /** Limits that `send` applies; the workers apply their own. Default 500 recipients, 25 MiB. */
  readonly message?: Partial<MessageLimits>;
  /** Every call answers within this time, in ms. Default 5,000. */
  readonly timeoutMs?: number;
  /**
   * `send` resolves only when so many replicas have the message too (WAIT), within `timeoutMs`, by default half of that of a
   * call. A failover then loses nothing that was accepted, unless a replica is promoted that is not one of these.
   */
  readonly acknowledge?: { readonly replicas: number; readonly timeoutMs?: number };
  /** How long the row of a cancelled message is kept, in ms. Default 7 days. */
  readonly retentionMs?: number;
}

export interface SendResult {
  readonly id: string;
  /** The id was taken already: nothing was stored, the earlier message stands. */
  readonly duplicate: boolean;
}

export type SendManyResult =
  | ({ readonly ok: true } & SendResult)
  | { readonly ok: false; readonly error: PostlaneError };

export interface MessageStatus {
  readonly id: string;
  readonly state: LedgerState;
  readonly connector: string | null;
  /** Attempts that a connector answered or may have answered; waiting for a broken connector is none. */
  readonly attempts: number;
  readonly recipients: readonly RecipientState[];
  readonly history: readonly HistoryEntry[];
  readonly messageId: string | null;
  readonly reason: string | null;
  /** ms since the epoch, or null. */
  readonly retryAt: number | null;
}

export interface Producer {
  /**
   * Resolves when the message is in Redis. Rejects with a PostlaneError: `message-invalid` (nothing stored), or
   * `redis-unavailable` / `redis-refused`, which carry `id`: call again with that id and nothing is sent twice.
   */
  send(message: OutboundMessage): Promise<SendResult>;
  /** One result per message, in order; a bad one fails alone. Never rejects for a message's sake. */
  sendMany(messages: readonly OutboundMessage[]): Promise<SendManyResult[]>;
  /** Where the message stands; null if its id is not known (any more). */
  status(id: string): Promise<MessageStatus | null>;
  /** true if the message will not be sent: it had no attempt under way and nobody has received it. */
  cancel(id: string): Promise<boolean>;
  close(): Promise<void>;
}

/** How many messages `sendMany` has under way at once. */
const batchSize = 200;

/** Opens one connection to Redis. Does not wait for it: a Redis that is away makes `send` reject, not this. */
export function createProducer(options: ProducerOptions): Producer {
  const timeoutMs = options.timeoutMs ?? 5_000;
  const retentionMs = options.retentionMs ?? 7 * 24 * 3_600_000;
  const limits: MessageLimits = { ...defaultMessageLimits, ...options.message };
  const prefix = options.redis.prefix ?? defaultPrefix;
  const redis = connectFailFast(options.redis, timeoutMs);
  // Every call says itself that Redis is away, and why; without a listener the event would end the process.
  let trouble: Error | null = null;
  redis.on('error', (error: Error) => {
    trouble = error;
  });
  redis.on('ready', () => {
    trouble = null;
  });
  const open = openQueues(redis, { ...options.redis, prefix, failFast: true });
  const { keys, intake, ledger, contents } = open;
  const acknowledge =
    options.acknowledge === undefined
      ? null
      : createAcknowledger(redis, keys, { timeoutMs: Math.ceil(timeoutMs / 2), ...options.acknowledge });
  let closed = false;
  let readying: Promise<void> | null = null;

  /** One wait for the connection, however many calls need it. */
  const ready = (): Promise<void> => {
    readying ??= whenReady(redis, timeoutMs).finally(() => {
      readying = null;
    });
    return readying;
  };

  /** Runs one call: Redis must be there, and an answer comes in time, whatever happens. */
  const call = <T>(work: () => Promise<T>, id?: string): Promise<T> =>
    new Promise((resolve, reject) => {
      const fail = (error: unknown): void => reject(redisError(error, id));
      if (closed) return fail(new PostlaneError('producer-closed', 'The producer is closed'));
      const late = (): void => {
        const why = trouble === null ? '' : ` (${reasonOf(trouble)})`;
        fail(new PostlaneError('redis-unavailable', `Redis did not answer within ${timeoutMs} ms${why}`));
      };
      const timer = setTimeout(late, timeoutMs);
      const attempt = redis.status === 'ready' ? work() : ready().then(work);
      // What comes after the time changes nothing: the caller has had the answer.
      attempt.then(resolve, fail).finally(() => clearTimeout(timer));
    });

  const enqueue = async (id: string, message: Message, broughtId: boolean): Promise<SendResult> => {
    if (broughtId) {
      const taken = await redis.exists(keys.ledger(id), keys.queue(intakeName, id), keys.place(id));
      if (taken > 0) return { id, duplicate: true };
    }
    const data = encodeWire(await storeLargeContent(message, id, contents));
    const delay = message.sendAt === undefined ? 0 : Math.max(0, Date.parse(message.sendAt) - Date.now());
    await intake.add(jobName, data, {
      jobId: id,
      priority: jobPriorities[message.priority],
      delay,
      removeOnComplete: true,
    });
    return { id, duplicate: false };
  };

  const send = async (input: OutboundMessage): Promise<SendResult> => {
    const parsed = parseMessage(input, limits);
    if (!parsed.ok) throw invalid(parsed.issues);
    const broughtId = parsed.message.id !== undefined;
    const id = parsed.message.id ?? newMessageId(Date.now(), randomBytes(10));
    return call(async () => {
      const result = await enqueue(id, { ...parsed.message, id }, broughtId);
      // One that is there already may be there for want of an acknowledgement.
      if (acknowledge !== null) await acknowledge(id);
      return result;
    }, id);
  };

  return {
    send,

    async sendMany(messages) {
      const results: SendManyResult[] = [];
      for (let start = 0; start < messages.length; start += batchSize) {
        const batch = messages.slice(start, start + batchSize).map(async (message): Promise<SendManyResult> => {
          try {
            return { ok: true, ...(await send(message)) };
          } catch (error) {
            return { ok: false, error: error instanceof PostlaneError ? error : redisError(error) };
          }
        });
        results.push(...(await Promise.all(batch)));
      }
      return results;
    },

    status: (id) =>
      call(async () => {
        const row = await ledger.read(id);
        if (row !== null) return statusOf(row);
        const job = await intakeJob(intake, id);
        return job === null ? null : waitingStatus(id, job);
      }),

    cancel: (id) =>
      call(async () => {
        const job = await intakeJob(intake, id);
        if (!(await ledger.cancel(id, Date.now(), retentionMs, job !== null))) return false;
        // From here on nothing will be sent; taking the job away early only saves the router and the lane the work.
        const row = await ledger.read(id);
        const connector = row?.connector ?? null;
        const lane = connector === null ? null : open.laneQueue(connector);
        for (const waiting of [job, (await lane?.getJob(id)) ?? null]) await removeWaiting(waiting, id);
        return true;
      }),

    async close() {
      if (closed) return;
      closed = true;
      redis.disconnect();
    },
  };

  /** Removes a job that nobody works on, and its contents. One that is being worked on ends by itself: the row says so. */
  async function removeWaiting(job: Job | null, id: string): Promise<void> {
    if (job === null) return;
    try {
      await job.remove();
    } catch {
      return;
    }
    const message = (job.data as { message?: unknown } | null)?.message;
    const parsed = parseMessage(message, limits);
    if (parsed.ok) await contents.release(id, refsOf(parsed.message));
  }
}

function invalid(issues: readonly { field: string; rule: string; message: string }[]): PostlaneError {
  const lines = issues.slice(0, 5).map(({ field, message }) => `${field === '' ? 'message' : field}: ${message}`);
  const more = issues.length > 5 ? ` (and ${issues.length - 5} more)` : '';
  return new PostlaneError('message-invalid', `The message was refused: ${lines.join('; ')}${more}`, { issues });
}

/** The intake job of a message. Ids of the form auto-<n>-<time> stand for jobs that BullMQ numbered. */
async function intakeJob(intake: Queue, id: string): Promise<Job | null> {
  const numbered = /^auto-(\d+)-(\d+)$/.exec(id);
  const job = await intake.getJob(numbered?.[1] ?? id);
  if (job === undefined || job === null) return null;
  return messageIdOf(String(job.id), job.timestamp) === id ? job : null;
}

function statusOf(row: LedgerRow): MessageStatus {
  const { id, state, connector, attempts, recipients, history, messageId, reason, retryAt } = row;
  return { id, state, connector, attempts, recipients, history, messageId, reason, retryAt };
}

function waitingStatus(id: string, job: Job): MessageStatus {
  const data = job.data as { message?: Partial<Message> } | null;
  const to = data?.message?.envelope?.to;
  const recipients = Array.isArray(to) ? (to as unknown[]).map(String) : [];
  return {
    id,
    state: job.delay > 0 ? 'scheduled' : 'queued',
    connector: null,
    attempts: 0,
    recipients: recipients.map((address) => ({ address, outcome: 'pending', code: null, reply: null })),
    history: [{ at: job.timestamp, event: 'accepted' }],
    messageId: null,
    reason: null,
    retryAt: job.delay > 0 ? job.timestamp + job.delay : null,
  };
}
