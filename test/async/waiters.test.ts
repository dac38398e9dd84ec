/** A line of waiters: first in, first out, and a signal takes a waiter out again. */
import { getEventListeners } from 'node:events';
import { expect, test } from 'vitest';
import { createWaiters } from '../../src/async/waiters.ts';

test('waiters are served in the order they came, and nothing is given where no one waits', async () => {
  const { signal } = new AbortController();
  const waiters = createWaiters<number>();
  expect(waiters.give(0)).toBe(false);
  const given = [waiters.wait(signal), waiters.wait(signal)];
  expect([waiters.length, waiters.give(1), waiters.give(2), waiters.give(3)]).toEqual([2, true, true, false]);
  expect(await Promise.all(given)).toEqual([1, 2]);
  expect(getEventListeners(signal, 'abort')).toHaveLength(0);
});

test('a waiter whose signal comes gets null, and the value goes to the next one', async () => {
  const stop = new AbortController();
  const waiters = createWaiters<number>();
  const aborted = waiters.wait(stop.signal);
  const next = waiters.wait(new AbortController().signal);
  stop.abort();
  expect([await aborted, waiters.length, waiters.give(1)]).toEqual([null, 1, true]);
  expect(await next).toBe(1);
  expect(await waiters.wait(stop.signal)).toBeNull();
});
