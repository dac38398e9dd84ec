/** Which shard a connector is in: the same in every process, for ever, and evenly. */
import { assert, integer, property, string } from 'fast-check';
import { expect, test } from 'vitest';
import { shardsOf } from '../../../src/queue/redis/shards.ts';

test('the first shard is the prefix itself, the others have their number within the tag', () => {
  expect(shardsOf('{postlane}', 3).prefixes).toEqual(['{postlane}', '{postlane1}', '{postlane2}']);
  expect(shardsOf('a:{b}:c', 2).prefixes).toEqual(['a:{b}:c', 'a:{b1}:c']);
  expect(shardsOf('{postlane}', 1).home.ledger('m')).toBe('{postlane}:ledger:m');
});

test('a connector’s shard never changes: messages of running systems lie there', () => {
  const ids = ['relay', 'sales', 'finance', 'archive', 'c0', 'c1', 'c199'];
  expect(ids.map((id) => shardsOf('{p}', 8).of(id))).toEqual([1, 0, 7, 2, 2, 1, 6]);
});

test('ids that differ in a number spread evenly', () => {
  for (const count of [2, 3, 6, 16]) {
    const shards = shardsOf('{p}', count);
    const load = Array.from({ length: count }, () => 0);
    for (let i = 0; i < 6_000; i += 1) load[shards.of(`connector-${i}`)]! += 1;
    expect(Math.max(...load) / (6_000 / count)).toBeLessThan(1.2);
    expect(Math.min(...load) / (6_000 / count)).toBeGreaterThan(0.8);
  }
});

test('whatever the id, its shard is one of those that there are', () => {
  const inRange = property(string(), integer({ min: 1, max: 64 }), (id, count) => {
    const shard = shardsOf('{p}', count).of(id);
    expect(Number.isInteger(shard) && shard >= 0 && shard < count).toBe(true);
  });
  assert(inRange);
});
