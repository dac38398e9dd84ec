/** Waiting for a bounded time: work that settles, work that does not, and sleep that a signal ends. */
import { getEventListeners } from 'node:events';
import { beforeEach, expect, test, vi } from 'vitest';
import { settlesWithin, sleep, withTimeout } from '../../src/async/timeout.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  return () => void vi.useRealTimers();
});

const pending = (): Promise<never> => new Promise(() => undefined);

test('work that settles in time does so whether it resolves or rejects', async () => {
  expect(await settlesWithin(Promise.resolve(), 1_000)).toBe(true);
  expect(await settlesWithin(Promise.reject(new Error('broken')), 1_000)).toBe(true);
  expect(vi.getTimerCount()).toBe(0);
});

test('work that does not settle in time is waited for no longer', async () => {
  const result = settlesWithin(pending(), 1_000);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(await result).toBe(false);
});

test('a timeout gives the result of work that is quick enough, and rejects with the failure after its time', async () => {
  expect(
    await withTimeout(
      () => Promise.resolve(7),
      1_000,
      () => new Error('too late'),
    ),
  ).toBe(7);
  let heard: AbortSignal | undefined;
  const late = withTimeout(
    (signal) => {
      heard = signal;
      return pending();
    },
    1_000,
    () => new Error('too late'),
  );
  const [failure] = await Promise.all([late.catch((error: unknown) => error), vi.advanceTimersByTimeAsync(1_000)]);
  expect(failure).toEqual(new Error('too late'));
  expect([heard?.aborted, vi.getTimerCount()]).toEqual([true, 0]);
});

test('sleep ends after its time, or at once when its signal comes, and leaves neither timer nor listener', async () => {
  const stop = new AbortController();
  const first = sleep(1_000, stop.signal);
  await vi.advanceTimersByTimeAsync(1_000);
  await first;
  const second = sleep(1_000, stop.signal);
  stop.abort();
  await second;
  await sleep(1_000, stop.signal);
  expect([vi.getTimerCount(), getEventListeners(stop.signal, 'abort').length]).toEqual([0, 0]);
});
