/** So many at once per key, in order; whoever is stopped while waiting takes no place. */
import { describe, expect, test } from 'vitest';
import { createGate } from '../../src/async/semaphore.ts';

const never = new AbortController().signal;

describe('a gate', () => {
  test('lets as many in as it says, and the next in the order they came', async () => {
    const gate = createGate(2);
    const [one, two] = [await gate.enter('a', never), await gate.enter('a', never)];
    const order: number[] = [];
    const third = gate.enter('a', never).then((leave) => (order.push(3), leave));
    const fourth = gate.enter('a', never).then((leave) => (order.push(4), leave));
    const other = await gate.enter('b', never);
    expect([other === null, order]).toEqual([false, []]);
    one?.();
    one?.();
    (await third)?.();
    two?.();
    (await fourth)?.();
    expect(order).toEqual([3, 4]);
  });

  test('keeps no place for one who was stopped', async () => {
    const gate = createGate(1);
    const leave = await gate.enter('a', never);
    const stop = new AbortController();
    const stopped = gate.enter('a', stop.signal);
    const next = gate.enter('a', never);
    stop.abort();
    expect(await stopped).toBeNull();
    expect(await gate.enter('a', AbortSignal.abort())).toBeNull();
    leave?.();
    expect(await next).not.toBeNull();
  });
});
