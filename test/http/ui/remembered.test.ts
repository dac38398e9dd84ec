/** What is read once for many pages: how old it may be, when it is waited for, and what an error does to it. */
import { expect, test } from 'vitest';
import { remembered } from '../../../src/http/ui/remembered.ts';

/** A clock and a reading that takes as long as it is told to. */
function parts() {
  const clock = { now: 1_000 };
  let [reads, pending] = [0, Promise.withResolvers<void>()];
  const get = remembered(
    async () => {
      reads += 1;
      const mine = reads;
      await pending.promise;
      return mine;
    },
    () => clock.now,
  );
  const end = async (tookMs: number, error?: Error): Promise<void> => {
    clock.now += tookMs;
    const { resolve, reject } = pending;
    pending = Promise.withResolvers<void>();
    if (error === undefined) resolve();
    else reject(error);
    await new Promise((done) => setImmediate(done));
  };
  return { clock, get, end, reads: () => reads };
}

test('tabs that ask at once share a reading, and ask again after two seconds', async () => {
  const { clock, get, end, reads } = parts();
  const asked = [get(), get()];
  await end(10);
  expect(await Promise.all(asked)).toEqual([1, 1]);
  clock.now += 1_900;
  expect(await get()).toBe(1);
  clock.now += 200;
  const next = get();
  await end(10);
  expect(await next).toBe(2);
  expect(reads()).toBe(2);
});

test('what takes long is shown as it was while it is read anew, and waited for once it is too old', async () => {
  const { clock, get, end, reads } = parts();
  const first = get();
  await end(1_500);
  expect(await first).toBe(1);
  clock.now += 5_000;
  expect(await get()).toBe(1);
  expect(await get()).toBe(1);
  expect(reads()).toBe(2);
  await end(1_500);
  expect(await get()).toBe(2);
  clock.now += 30_000;
  const late = get();
  await end(1_500);
  expect(await late).toBe(3);
});

test('an error is told at once, and with the next question; nothing of before is shown', async () => {
  const { clock, get, end } = parts();
  const first = get();
  await end(1_500);
  await first;
  clock.now += 5_000;
  // This page was made before the error was known.
  expect(await get()).toBe(1);
  await end(1_000, new Error('Redis is away'));
  const next = get();
  await end(1_000, new Error('Redis is away'));
  await expect(next).rejects.toThrow('Redis is away');
  const back = get();
  await end(300);
  expect(await back).toBe(4);
});
