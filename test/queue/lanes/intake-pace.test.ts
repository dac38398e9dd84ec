/** How much of the intake a process takes at once. */
import { expect, test } from 'vitest';
import { createIntakePace } from '../../../src/queue/lanes/intake-pace.ts';

function setUp() {
  const state = { free: 3 as number | null, now: 0, idle: 0 };
  const pace = createIntakePace(() => state.free, { now: () => state.now, idle: () => state.idle });
  return { pace, state };
}

test('as many jobs as slots are free, less those in hand', () => {
  const { pace, state } = setUp();
  expect([pace.room(0), pace.room(2), pace.room(3)]).toEqual([3, 1, 0]);
  state.free = null;
  expect(pace.room(3)).toBe(Infinity);
});

test('everything once no slot was free for 30 ms, until the intake is empty', () => {
  const { pace, state } = setUp();
  state.free = 0;
  expect(pace.room(0)).toBe(0);
  state.now = 29;
  expect(pace.room(0)).toBe(0);
  state.now = 30;
  expect(pace.room(0)).toBe(Infinity);
  state.free = 2;
  expect(pace.room(0)).toBe(Infinity);
  pace.emptied();
  expect(pace.room(0)).toBe(2);
});

test('a slot that was free in between begins the time anew', () => {
  const { pace, state } = setUp();
  state.free = 0;
  expect(pace.room(0)).toBe(0);
  Object.assign(state, { free: 1, now: 25 });
  expect(pace.room(0)).toBe(1);
  Object.assign(state, { free: 0, now: 40 });
  expect(pace.room(0)).toBe(0);
});

test('everything once the process had nothing to do for a fifth of the time in which messages waited for slots', () => {
  const { pace, state } = setUp();
  state.free = 0;
  expect(pace.room(0)).toBe(0);
  Object.assign(state, { free: 1, now: 20, idle: 2 });
  expect(pace.room(0)).toBe(1);
  Object.assign(state, { free: 0, now: 31, idle: 6 });
  expect(pace.room(0), 'busy for four fifths of the time').toBe(0);
  Object.assign(state, { free: 1, now: 50, idle: 10 });
  expect(pace.room(0)).toBe(1);
  Object.assign(state, { free: 0, now: 62, idle: 13 });
  expect(pace.room(0)).toBe(Infinity);
  state.free = 2;
  expect(pace.room(0)).toBe(Infinity);
  pace.emptied();
  expect(pace.room(0)).toBe(2);
});

test('where more waits, a batch of slots has to become free within 30 ms', () => {
  const { pace, state } = setUp();
  pace.fetched(true);
  state.free = 7;
  expect(pace.room(0)).toBe(0);
  Object.assign(state, { free: 8, now: 20 });
  expect(pace.room(0)).toBe(8);
  Object.assign(state, { free: 7, now: 25 });
  expect(pace.room(0)).toBe(0);
  state.now = 55;
  expect(pace.room(0)).toBe(Infinity);
  pace.emptied();
  expect(pace.room(0)).toBe(7);
});
