/** A semaphore per key: as many holders as allowed, in order; a waiter that is aborted takes no permit. */
import { expect, test } from 'vitest';
import { createKeyedSemaphore } from '../../src/async/semaphore.ts';

const never = new AbortController().signal;

test('a semaphore admits as many holders per key as it allows, and the next ones in the order they came', async () => {
  const semaphore = createKeyedSemaphore(2);
  const [one, two] = [await semaphore.acquire('a', never), await semaphore.acquire('a', never)];
  const order: number[] = [];
  const third = semaphore.acquire('a', never).then((release) => (order.push(3), release));
  const fourth = semaphore.acquire('a', never).then((release) => (order.push(4), release));
  const other = await semaphore.acquire('b', never);
  expect([other === null, order]).toEqual([false, []]);
  one?.();
  one?.();
  (await third)?.();
  two?.();
  (await fourth)?.();
  expect(order).toEqual([3, 4]);
});

test('a semaphore keeps no permit for a waiter that was aborted', async () => {
  const semaphore = createKeyedSemaphore(1);
  const release = await semaphore.acquire('a', never);
  const stop = new AbortController();
  const stopped = semaphore.acquire('a', stop.signal);
  const next = semaphore.acquire('a', never);
  stop.abort();
  expect(await stopped).toBeNull();
  expect(await semaphore.acquire('a', AbortSignal.abort())).toBeNull();
  release?.();
  expect(await next).not.toBeNull();
});
