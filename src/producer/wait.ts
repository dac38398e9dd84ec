/**
 * Waits for messages to be over by one shared poll of the ledger, however many callers wait.
 *
 * Redis offers nothing better that every installation has: keyspace notifications are off by default, and publishing
 * each result would cost every message what only a few callers need. So a wait looks again after a quarter of the time
 * that it has lasted: a result is seen at most 25 % late, and a long wait costs little. All waits of a producer together
 * read at most 1,000 rows a second; beyond that they look less often.
 */
import { printable, PostlaneError } from '../errors.ts';
import { abortedError, closedError, type CallOptions } from './calls.ts';
import { isOver, type MessageStatus } from './status.ts';

export interface WaitOptions extends CallOptions {
  /** How long to wait, in ms. Default 60,000. `Infinity` waits for as long as it takes. */
  readonly timeoutMs?: number;
}

export type WaitFor = (id: string, options?: WaitOptions) => Promise<MessageStatus>;

interface Wait {
  readonly id: string;
  readonly startedAt: number;
  dueAt: number;
  last: MessageStatus | null;
  /** Why the last look failed. Redis may come back within the time, so this alone does not end the wait. */
  trouble: unknown;
  readonly resolve: (status: MessageStatus) => void;
  readonly reject: (error: PostlaneError) => void;
}

const passMs = 25;
const readsPerPass = 25;
const maxPauseMs = 2_000;
const defaultTimeoutMs = 60_000;
/** What setTimeout takes; a longer wait has no end. */
const maxTimerMs = 2 ** 31 - 1;

/** `read` rejects with a PostlaneError. After `closing` every wait ends with `producer-closed`. */
export function createWaitFor(read: (id: string) => Promise<MessageStatus | null>, closing: AbortSignal): WaitFor {
  const waits = new Set<Wait>();
  let timer: NodeJS.Timeout | null = null;
  let timerAt = Infinity;
  let lastPassAt = -Infinity;
  let passing = false;

  /** Looks again at `at`, but never sooner than `passMs` after the last time. */
  const arm = (at: number): void => {
    const next = Math.max(at, lastPassAt + passMs);
    if (passing || next >= timerAt) return;
    if (timer !== null) clearTimeout(timer);
    timerAt = next;
    timer = setTimeout(() => void pass(), Math.max(0, next - performance.now()));
  };

  const pass = async (): Promise<void> => {
    passing = true;
    timerAt = Infinity;
    lastPassAt = performance.now();
    const due = [...waits].filter(({ dueAt }) => dueAt <= lastPassAt).sort((a, b) => a.dueAt - b.dueAt);
    await Promise.all(due.slice(0, readsPerPass).map(look));
    passing = false;
    let next = Infinity;
    for (const { dueAt } of waits) next = Math.min(next, dueAt);
    if (next < Infinity) arm(next);
  };

  const look = async (wait: Wait): Promise<void> => {
    try {
      wait.last = await read(wait.id);
      wait.trouble = null;
      if (wait.last === null) return wait.reject(unknownId(wait.id));
      if (isOver(wait.last)) return wait.resolve(wait.last);
    } catch (error) {
      if (!(error instanceof PostlaneError) || error.code !== 'redis-unavailable') {
        return wait.reject(error as PostlaneError);
      }
      wait.trouble = error;
    }
    const now = performance.now();
    wait.dueAt = now + Math.min(maxPauseMs, Math.max(passMs, (now - wait.startedAt) / 4));
  };

  return (id, { timeoutMs = defaultTimeoutMs, signal } = {}) =>
    new Promise((resolve, reject) => {
      const end =
        <T>(settle: (value: T) => void) =>
        (value: T): void => {
          waits.delete(wait);
          if (waits.size === 0 && timer !== null) {
            clearTimeout(timer);
            timerAt = Infinity;
          }
          clearTimeout(timeout);
          signal?.removeEventListener('abort', onAbort);
          closing.removeEventListener('abort', onClose);
          settle(value);
        };
      const startedAt = performance.now();
      const wait: Wait = {
        id,
        startedAt,
        dueAt: startedAt,
        last: null,
        trouble: null,
        resolve: end(resolve),
        reject: end(reject),
      };
      const onAbort = (): void => wait.reject(abortedError(signal!, id));
      const onClose = (): void => wait.reject(closedError());
      const timeout =
        timeoutMs > maxTimerMs ? undefined : setTimeout(() => wait.reject(tooLong(wait, timeoutMs)), timeoutMs);
      if (signal?.aborted === true) return onAbort();
      signal?.addEventListener('abort', onAbort, { once: true });
      closing.addEventListener('abort', onClose, { once: true });
      waits.add(wait);
      arm(startedAt);
    });
}

function unknownId(id: string): PostlaneError {
  const text = `No message has the id "${printable(id, 130)}"; rows of settled messages are removed after \`retention.ledger\``;
  return new PostlaneError('not-found', text, { id });
}

function tooLong({ id, last, trouble }: Wait, timeoutMs: number): PostlaneError {
  const state = last === null ? 'unknown' : last.state;
  const next =
    trouble instanceof Error ? trouble.message : 'ask for its status later, and check that a worker is running';
  return new PostlaneError('timeout', `The message is still ${state} after ${timeoutMs} ms; ${next}`, {
    id,
    cause: trouble ?? undefined,
  });
}
