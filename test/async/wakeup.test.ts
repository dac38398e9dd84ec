/** An auto-reset event: a signal ends the wait under way, or the next one. */
import { beforeEach, expect, test, vi } from 'vitest';
import { createWakeup } from '../../src/async/wakeup.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  return () => void vi.useRealTimers();
});

test('a signal ends the wait, and leaves no timer', async () => {
  const wakeup = createWakeup();
  const waiting = wakeup.wait(1_000);
  wakeup.signal();
  await waiting;
  expect(vi.getTimerCount()).toBe(0);
});

test('a signal that comes while nothing waits ends the next wait, and only that one', async () => {
  const wakeup = createWakeup();
  wakeup.signal();
  wakeup.signal();
  await wakeup.wait(1_000);
  let over = false;
  const second = wakeup.wait(1_000).then(() => (over = true));
  await vi.advanceTimersByTimeAsync(999);
  expect(over).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  await second;
});
