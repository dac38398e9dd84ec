/** Since when a connector has been at fault: what `fallbackAfter` counts from. */
import { expect, test } from 'vitest';
import { testOperator } from '../../support/postlane.ts';
import { testPrefix } from '../../support/redis.ts';
import { holds } from '../../../testkit/until.ts';

test('a fault begins with itself, and not with a slower pace that the server asked for before', async () => {
  const { lanes } = await testOperator(testPrefix());
  const limits = { concurrency: 1, messagesPerMinute: null };
  const about = { reply: 'no', toldMs: null, firstMs: 1, longestMs: 1, found: false, limits, longestHoldMs: 1 };
  const isFault = async (kind: 'throttled' | 'unreachable' | 'tls'): Promise<number> => {
    // A pause that runs takes no further fault.
    await holds(() => true, { what: 'the pause to end', forMs: 50 });
    await lanes.fault('c', { kind, ...about });
    const { states } = await lanes.fallback.states(['c']);
    return states[0]!.fault!.since;
  };
  const throttled = await isFault('throttled');
  const began = await isFault('unreachable');
  expect(began).toBeGreaterThan(throttled);
  expect(await isFault('tls')).toBe(began);
  // The server has answered in between.
  await isFault('throttled');
  expect(await isFault('unreachable')).toBeGreaterThan(began);
});
