/** The producer: validates a message, stores what is too large to travel, enqueues it, and reports where it stands. */
import { PostlaneError } from '../errors.ts';
import { defaultMessageLimits, type MessageLimits } from '../message/message.ts';
import type { OutboundMessage } from '../message/outbound.ts';
import { connectFailFast, redisError } from '../queue/redis/connection.ts';
import { createAcknowledger } from '../queue/redis/replication.ts';
import { cancelMessage } from '../queue/waiting.ts';
import { defaultPrefix } from '../queue/redis/keys.ts';
import { openQueues } from '../queue/open.ts';
import type { RedisSettings } from '../queue/redis/settings.ts';
import { defaultReservePercent, maxReservePercent } from '../queue/room.ts';
import { createSealing, type EncryptionKeys } from '../sealing/sealing.ts';
import { tracing } from '../tracing/tracing.ts';
import { acceptMessage } from './accept.ts';
import { createAdmission } from './admission.ts';
import { createCalls, type CallOptions } from './calls.ts';
import { createEnqueue, type Enqueued, type EnqueueOptions } from './enqueue.ts';
import { checkOptions, claimKey, keyHash } from './idempotency.ts';
import { sendTraced } from './send-traced.ts';
import { readStatus, type MessageStatus } from './status.ts';
import { createWaitFor, type WaitOptions } from './wait.ts';

export type { RedisSentinel, RedisSettings, RedisTls } from '../queue/redis/settings.ts';
export type { EncryptionKeys } from '../sealing/sealing.ts';
export type { CallOptions } from './calls.ts';
export { defaultPrefix } from '../queue/redis/keys.ts';
export type {
  AttemptEntry,
  Bounce,
  HistoryEntry,
  MessageState,
  MessageStatus,
  RecipientState,
  TriedRecipient,
} from './status.ts';
export type { WaitOptions } from './wait.ts';

/** Where the queues are. `prefix` and `shards` must be those of the workers. */
export type ProducerRedis = RedisSettings & {
  /** Begins every key. Default `{postlane}`. */
  readonly prefix?: string;
  /** Number of shards. Default 1. */
  readonly shards?: number;
  /**
   * Percent of `maxmemory`, 0 to 90, that new messages leave to those that are waiting: `send` rejects with `redis-full` instead
   * of using it. Default 20. Has no effect on a Redis without `maxmemory`.
   */
  readonly reservePercent?: number;
};

export interface ProducerOptions {
  readonly redis: ProducerRedis;
  /** Limits that `send` applies; the workers apply their own. Default: 500 recipients, 25 MiB. */
  readonly message?: Partial<MessageLimits>;
  /** Every call but `waitFor` answers within this time, in ms. Default 5,000. */
  readonly timeoutMs?: number;
  /**
   * `send` resolves only when this many replicas have the message too (WAIT), within `timeoutMs`, by default half of the
   * time of a call. A failover then loses nothing that was accepted, unless a replica is promoted that is not one of these.
   */
  readonly acknowledge?: { readonly replicas: number; readonly timeoutMs?: number };
  /**
   * Seals bodies before they leave the process; the workers need the keys, too. A key is 32 bytes, or their base64 or hex. Default: nothing
   * is sealed.
   */
  readonly encryption?: EncryptionKeys | null;
  /** How long the row of a cancelled message is kept, in ms. Default 7 days. */
  readonly retentionMs?: number;
  /**
   * Where the process has an SDK of OpenTelemetry, `send` is a span. `propagate`: its context travels with the message, so that workers go on
   * with the trace. Default true.
   */
  readonly tracing?: { readonly propagate?: boolean };
}

/** What may be said of a message beside it. */
export interface SendOptions extends CallOptions {
  /**
   * The same key and message again are the same message: it is not stored twice, and has one id. Another message under the key is
   * refused with `idempotency-mismatch`. 1 to 256 printable ASCII characters; kept for as long as the row of the message.
   */
  readonly idempotencyKey?: string | undefined;
  /** Who submits the message: shown with it, and keys of different submitters are different. 1 to 128 characters. */
  readonly submittedBy?: string | undefined;
  /** Id of the connector to use in place of that of the From address; for tests of a connector. */
  readonly via?: string | undefined;
}

export interface SendResult {
  readonly id: string;
  /** The id was in use: nothing was stored, the earlier message stands. */
  readonly duplicate: boolean;
}

export type SendManyResult =
  | ({ readonly ok: true } & SendResult)
  | { readonly ok: false; readonly error: PostlaneError };

/**
 * Enqueues messages and reports on them. Every method rejects with a `PostlaneError` and nothing else; after `close()`
 * with `producer-closed`. Where Redis cannot be reached in time, that is `redis-unavailable`; where it has no memory or no disk
 * left, `redis-full`; where it answers with another error, `redis-refused`.
 */
export interface Producer {
  /**
   * Resolves when the message is in Redis. Rejects with `message-invalid` (nothing was stored), `attachment-missing`,
   * `idempotency-mismatch`, `key-missing`, `redis-unavailable`, `redis-full`, `redis-refused`, `redis-unacknowledged` or `aborted`. The last
   * five carry the message's `id`: call again with that id, and the message is not sent twice.
   */
  send(message: OutboundMessage, options?: SendOptions): Promise<SendResult>;
  /** One result per message, in order. A message that fails does not affect the others, and never rejects the whole. */
  sendMany(
    messages: readonly OutboundMessage[],
    options?: Omit<SendOptions, 'idempotencyKey'>,
  ): Promise<SendManyResult[]>;
  /** Where the message stands; null if its id is unknown, or its row was removed after `retention.ledger`. */
  status(id: string, options?: CallOptions): Promise<MessageStatus | null>;
  /**
   * Resolves when the message is over: its state is `sent`, `partial`, `dead`, `cancelled`, or
   * `held`, which an operator has to resolve. Rejects with `timeout` after `timeoutMs` (default 60,000), with `aborted` when
   * the signal is aborted, with `not-found` if the id is unknown, and with `producer-closed` when the producer is closed
   * meanwhile. A Redis that is away for a while does not end the wait.
   */
  waitFor(id: string, options?: WaitOptions): Promise<MessageStatus>;
  /** true if the message will not be sent: no attempt was under way, and no recipient has received it. */
  cancel(id: string, options?: CallOptions): Promise<boolean>;
  /**
   * Refuses new calls, lets those under way finish for at most `timeoutMs`, and closes the connection. Ends `waitFor` at
   * once.
   */
  close(): Promise<void>;
  /** The same as `close()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

type SubmitOptions = SendOptions & EnqueueOptions;

interface Submitted {
  readonly id: string;
  readonly kind: Enqueued;
}

/** For ways in of our own; no part of the public interface. */
export interface Submitter extends Producer {
  /** As `send`, which knows neither `beforeStore` nor a print. */
  readonly submit: (message: OutboundMessage, options: SubmitOptions) => Promise<Submitted>;
}

/** How many messages `sendMany` has under way at once. */
const batchSize = 200;

const weekMs = 7 * 24 * 3_600_000;

/**
 * Opens one connection to Redis. Does not wait for it: a Redis that is away makes `send` reject, not this.
 *
 * @throws PostlaneError `config-invalid` if `reservePercent` is out of its bounds, or a key is none
 */
export function createProducer(options: ProducerOptions): Producer {
  const { submit: _ours, ...producer } = createSubmitter(options);
  return producer;
}

/** A producer for ways in of our own, with limits that may change. */
export function createSubmitter(options: ProducerOptions & { readonly limits?: () => MessageLimits }): Submitter {
  const { timeoutMs = 5_000, retentionMs = weekMs, acknowledge } = options;
  const given: MessageLimits = { ...defaultMessageLimits, ...options.message };
  const { limits = () => given } = options;
  const { prefix = defaultPrefix, reservePercent = defaultReservePercent } = options.redis;
  requirePercent(reservePercent);
  const sealing = createSealing(options.encryption);
  const redis = connectFailFast(options.redis, timeoutMs);
  const queues = openQueues(redis, {
    ...options.redis,
    prefix,
    failFast: true,
    newMail: true,
    limits,
    sealing: () => sealing,
  });
  const { keys } = queues;
  const admit = createAdmission(
    () => queues.room(reservePercent),
    () => performance.now(),
    reservePercent,
  );
  const acknowledged =
    acknowledge === undefined
      ? null
      : createAcknowledger(redis, keys, { timeoutMs: Math.ceil(timeoutMs / 2), ...acknowledge });
  const { call, step, close, closing } = createCalls(redis, timeoutMs);

  const enqueue = createEnqueue(redis, queues, admit, limits, retentionMs);

  const sendAs = async (input: OutboundMessage, options: SubmitOptions, carrier: string): Promise<Submitted> => {
    const { signal, idempotencyKey: key, submittedBy, via } = options;
    checkOptions(key, submittedBy, via);
    const given = acceptMessage(input, limits());
    const keyed = key === undefined ? null : { key, submittedBy };
    const store = async (): Promise<Submitted> => {
      // A refusal must leave a new key free, for the message that is changed so that it is not refused.
      const { beforeStore } = options;
      const isNew = keyed !== null && beforeStore !== undefined && !(await queues.isKeyTaken(keyHash(keyed)));
      if (isNew && !(await beforeStore(given.message))) return { id: given.id, kind: 'refused' };
      const claimed =
        keyed === null ? null : await claimKey(given, keyed, queues.claimKey, retentionMs, Date.now(), sealing);
      const accepted = claimed ?? given;
      const { id } = accepted;
      const print = claimed === null ? options.print : `content:${claimed.contentHash}`;
      const asking = isNew ? { print } : { print, beforeStore };
      const kind = await enqueue(accepted, { by: submittedBy, via }, carrier, asking);
      // The id may be in use by what was sent without this key, and then the key stands for nothing that is stored, in a later call, too.
      if (kind === 'id-taken' && claimed !== null) throw idTaken(id);
      // A duplicate too: it may be one because an earlier call was not acknowledged.
      if (acknowledged !== null && (kind === 'new' || kind === 'duplicate')) await acknowledged(id);
      return { id, kind };
    };
    // With a key, the id may be one that an earlier call got: it is the key that makes calling again safe.
    return step(store, keyed === null ? { id: given.id, signal } : { signal });
  };

  const { propagate = true } = options.tracing ?? {};
  const submit = (input: OutboundMessage, options: SubmitOptions): Promise<Submitted> => {
    // All that tracing costs a message without an SDK.
    const found = tracing();
    if (found === null) return sendAs(input, options, '');
    return sendTraced(found, propagate, sendAs, input, options);
  };
  const send = async (
    input: OutboundMessage,
    { signal, idempotencyKey, submittedBy, via }: SendOptions = {},
  ): Promise<SendResult> => {
    const { id, kind } = await submit(input, { signal, idempotencyKey, submittedBy, via });
    return { id, duplicate: kind !== 'new' };
  };

  const read = (id: string, signal?: AbortSignal): Promise<MessageStatus | null> =>
    step(() => readStatus(id, queues), { signal });
  const waitFor = createWaitFor(read, closing);

  return {
    submit: (message, options) => call(() => submit(message, options)),
    send: (message, options) => call(() => send(message, options)),
    sendMany: (messages, options) => call(() => sendEach(messages, (message) => send(message, options))),
    status: (id, { signal } = {}) => call(() => read(id, signal)),
    waitFor: (id, options) => call(() => waitFor(id, options)),
    cancel: (id, { signal } = {}) =>
      call(() => step(() => cancelMessage(id, queues, { limits: limits(), retentionMs }), { signal })),
    close,
    [Symbol.asyncDispose]: close,
  };
}

function idTaken(id: string): PostlaneError {
  return new PostlaneError('idempotency-mismatch', 'The id is that of a message with another content', { id });
}

function requirePercent(percent: number): void {
  if (percent >= 0 && percent <= maxReservePercent) return;
  const message = `must be 0 to ${maxReservePercent}`;
  const issues = [{ field: 'redis.reservePercent', rule: 'percent', message }];
  throw new PostlaneError('config-invalid', `redis.reservePercent ${message}, and is ${percent}`, { issues });
}

/** A batch at a time, so that a hundred thousand messages are not all in memory twice. */
export async function sendEach(
  messages: readonly OutboundMessage[],
  send: (message: OutboundMessage) => Promise<SendResult>,
): Promise<SendManyResult[]> {
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
}
