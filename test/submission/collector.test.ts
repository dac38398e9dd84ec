/** What a process holds of messages that arrive: every byte, in order, within one budget. */
import { expect, test } from 'vitest';
import { createByteBudget, createCollector } from '../../src/submission/collector.ts';

test('keeps every byte, however they are cut, and gives the budget back', () => {
  const budget = createByteBudget(() => 10_000_000);
  const collector = createCollector(5_000_000, budget);
  const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, i) => i % 251));
  for (let at = 0, size = 1; at < bytes.length; at += size, size = (size * 7) % 9_973) {
    collector.add(bytes.subarray(at, at + size));
  }
  expect(budget.held).toBeGreaterThanOrEqual(bytes.length);
  expect(budget.held).toBeLessThan(3 * bytes.length);
  expect(collector.take().equals(bytes)).toBe(true);
  collector.drop();
  collector.drop();
  expect(budget.held).toBe(0);
});

test('single bytes take no more memory than a large chunk', () => {
  const budget = createByteBudget(() => 10_000_000);
  const collector = createCollector(5_000_000, budget);
  for (let i = 0; i < 100_000; i += 1) collector.add(Buffer.from('x'));
  expect(budget.held).toBeLessThan(300_000);
});

test('a message that is too large, and one for which there is no room, are let go at once', () => {
  const budget = createByteBudget(() => 40_000);
  const small = createCollector(10, budget);
  small.add(Buffer.alloc(11));
  expect([small.state, small.bytes, budget.held]).toEqual(['too-large', 11, 0]);
  const [one, two] = [createCollector(100_000, budget), createCollector(100_000, budget)];
  one.add(Buffer.alloc(20_000));
  two.add(Buffer.alloc(30_000));
  expect([one.state, two.state]).toEqual(['whole', 'no-room']);
  two.add(Buffer.alloc(1));
  one.drop();
  expect(budget.held).toBe(0);
});
