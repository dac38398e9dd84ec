/** Connections to Redis: one profile for producers, which must fail fast, and one for workers, which must wait. */
import { Redis, type RedisOptions } from 'ioredis';
import { PostlaneError } from '../errors.ts';
import { coalesceWrites } from './write-coalescing.ts';

/** Reconnect delays 50 ms … 2 s: quick after a restart, bearable for a Redis that is down for hours. */
const retryStrategy = (times: number): number => Math.min(50 * 2 ** Math.min(times, 6), 2_000);

/**
 * After a failover the old primary may live on as a replica, with our connection to it: only a new one finds the new primary.
 * The command fails all the same; whoever sent it tries again. Redis 6 wraps a script's error, so it may stand in the middle.
 */
const reconnectOnError = (error: Error): boolean => /\bREADONLY\b/.test(error.message);

/**
 * For producers and operators: nothing is queued while Redis is away and every command ends within `timeoutMs`, so that
 * a caller gets an answer. A command may have reached Redis before it was given up; ids make calling again safe.
 */
export function connectFailFast(url: string, timeoutMs: number, name = 'postlane-producer'): Redis {
  return connect(url, {
    connectionName: name,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    connectTimeout: timeoutMs,
    commandTimeout: timeoutMs,
    // The command is given up, and so is the connection: its host may have vanished without a word.
    socketTimeout: timeoutMs,
  });
}

/**
 * For workers: commands wait for Redis to come back. BullMQ demands `maxRetriesPerRequest: null` of them. A Redis that owes an
 * answer for `silenceMs` counts as gone: the kernel would need a quarter of an hour to see that a host has vanished
 * (tcp(7), tcp_retries2). More than the 10 s for which the intake's connection is silent on purpose.
 */
export function connectPatient(url: string, name = 'postlane-worker', silenceMs = 30_000): Redis {
  const options = { maxRetriesPerRequest: null, connectTimeout: 10_000, socketTimeout: silenceMs };
  return connect(url, { connectionName: name, ...options });
}

function connect(url: string, options: Omit<RedisOptions, 'replyMapping'>): Redis {
  // For a connection that is closed already ioredis waits so long for nothing, and keeps the process alive meanwhile.
  const redis = new Redis(url, { retryStrategy, reconnectOnError, disconnectTimeout: 100, ...options });
  coalesceWrites(redis);
  return redis;
}

/** Resolves once the connection can take commands; rejects with `redis-unavailable` after `timeoutMs`. */
export async function whenReady(redis: Redis, timeoutMs: number): Promise<void> {
  if (redis.status === 'ready') return;
  if (redis.status === 'end') throw unavailable('the connection is closed');
  await new Promise<void>((resolve, reject) => {
    let last: Error | undefined;
    const done = (error?: PostlaneError): void => {
      clearTimeout(timer);
      redis.off('ready', ready).off('error', failed).off('end', ended);
      if (error === undefined) resolve();
      else reject(error);
    };
    const ready = (): void => done();
    const failed = (error: Error): void => {
      last = error;
    };
    const ended = (): void => done(unavailable('the connection is closed', last));
    const timer = setTimeout(() => done(unavailable(`no connection within ${timeoutMs} ms`, last)), timeoutMs);
    redis.on('ready', ready).on('error', failed).on('end', ended);
  });
}

function unavailable(why: string, cause?: Error): PostlaneError {
  const detail = cause === undefined ? '' : ` (${cause.message})`;
  return new PostlaneError('redis-unavailable', `Redis cannot be reached: ${why}${detail}`, { cause });
}

/** An error of a Redis command as ours: an answer from Redis is a refusal, everything else means that it was not reached. */
export function redisError(error: unknown, messageId?: string): PostlaneError {
  const about = messageId === undefined ? {} : { messageId };
  if (error instanceof PostlaneError) {
    if (messageId === undefined || error.messageId === messageId) return error;
    return new PostlaneError(error.code, error.message, { ...about, issues: error.issues, cause: error.cause });
  }
  const text = error instanceof Error ? error.message : String(error);
  const options = { cause: error, ...about };
  // Redis prefixes its own errors with an upper-case word (OOM, READONLY, NOPERM, MISCONF, ERR …).
  // UNBLOCKED, LOADING and CLUSTERDOWN pass by themselves, so they count as «not reached».
  return /^(?!LOADING|CLUSTERDOWN|MASTERDOWN|UNBLOCKED|TRYAGAIN)[A-Z]{3,} /.test(text)
    ? new PostlaneError('redis-refused', `Redis refused to store: ${text}`, options)
    : new PostlaneError('redis-unavailable', `Redis cannot be reached: ${text}`, options);
}
