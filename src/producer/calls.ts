/** Bounds every call of a producer: it answers in time, heeds the caller's signal, and ends before the producer closes. */
import { abortable } from '../async/abort.ts';
import { settlesWithin, withTimeout } from '../async/timeout.ts';
import { PostlaneError } from '../errors.ts';
import { reasonOf, redisError, whenReady, type RedisClient } from '../queue/redis/connection.ts';

export interface CallOptions {
  /**
   * Ends the call early: it rejects with `aborted`, whose `cause` is the signal's reason. What was already sent to Redis
   * is not taken back.
   */
  readonly signal?: AbortSignal | undefined;
}

/** What one step is about: the id goes into its errors. */
interface StepOptions extends CallOptions {
  readonly id?: string;
}

export interface Calls {
  /** Runs one call of a caller. Refused with `producer-closed` after close(). */
  readonly call: <T>(start: () => Promise<T>) => Promise<T>;
  /** Runs one step of a call once Redis can be reached; it ends within the timeout. Rejects with a PostlaneError. */
  readonly step: <T>(work: () => Promise<T>, options?: StepOptions) => Promise<T>;
  /** Refuses new calls, waits for those under way, at most the timeout, and disconnects. */
  readonly close: () => Promise<void>;
  /** Aborted as soon as close() is called. */
  readonly closing: AbortSignal;
}

export function createCalls(redis: RedisClient, timeoutMs: number): Calls {
  const running = new Set<Promise<unknown>>();
  const closing = new AbortController();
  let closed: Promise<void> | null = null;
  let disconnected = false;
  let readying: Promise<void> | null = null;
  // Each call reports that Redis is away, and why. Without a listener the event would end the process.
  let trouble: Error | null = null;
  redis.on('error', (error: Error) => {
    trouble = error;
  });
  redis.on('ready', () => {
    trouble = null;
  });

  /** One wait for the connection, shared by all calls. */
  const ready = (): Promise<void> => {
    readying ??= whenReady(redis, timeoutMs).finally(() => {
      readying = null;
    });
    return readying;
  };

  const late = (): PostlaneError => {
    const why = trouble === null ? '' : ` (${reasonOf(trouble)})`;
    return new PostlaneError('redis-unavailable', `Redis did not answer within ${timeoutMs} ms${why}`);
  };

  const drain = async (): Promise<void> => {
    await settlesWithin(Promise.allSettled(running), timeoutMs);
    disconnected = true;
    redis.disconnect();
  };

  return {
    closing: closing.signal,

    async call(start) {
      if (closed !== null) throw closedError();
      const work = start();
      running.add(work);
      try {
        return await work;
      } finally {
        running.delete(work);
      }
    },

    async step(work, { id, signal } = {}) {
      const attempt = (): ReturnType<typeof work> => (redis.status === 'ready' ? work() : ready().then(work));
      try {
        if (disconnected) throw closedError();
        if (signal === undefined) return await withTimeout(attempt, timeoutMs, late);
        if (signal.aborted) throw abortedError(signal);
        const aborted = (): never => {
          throw abortedError(signal);
        };
        return await withTimeout(() => abortable(attempt(), signal, aborted), timeoutMs, late);
      } catch (error) {
        throw redisError(disconnected ? closedError(error) : error, id);
      }
    },

    close() {
      closed ??= drain();
      closing.abort();
      return closed;
    },
  };
}

export function closedError(cause?: unknown): PostlaneError {
  return new PostlaneError('producer-closed', 'The producer is closed; create a new one', { cause });
}

export function abortedError(signal: AbortSignal, id?: string): PostlaneError {
  const text = 'The call was aborted by its signal; what was sent to Redis before is not taken back';
  return new PostlaneError('aborted', text, { cause: signal.reason, ...(id === undefined ? {} : { id }) });
}
