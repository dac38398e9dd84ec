/** The delay that a server names in the text of its reply. */
import { expect, test } from 'vitest';
import { askedDelayMs } from '../../src/transport/retry-hint.ts';
import { growsLinearly } from '../support/growth.ts';

test.for<[string, number | null]>([
  ['try again in 300 seconds', 300_000],
  ['Please retry after 10s', 10_000],
  ['try again in 5 minutes', 300_000],
  ['Try again in 1 hour.', 3_600_000],
  ['wait 30 sec', 30_000],
  ['please come back in 00:04:55', 295_000],
  ['Greylisted for 5 minutes, retry later', null],
  ['try again later', null],
  ['retry in 0 seconds', 1_000],
  ['retry in 90 days', null],
  ['retry in 900000 hours', 86_400_000],
  ['queued as 300 s', null],
])('reads the delay of "%s" as %s ms', ([text, ms]) => expect(askedDelayMs(text)).toBe(ms));

test('reads a text of half a megabyte in linear time', async () => {
  expect(await growsLinearly((size) => void askedDelayMs('try again 1'.repeat(size)), 50_000)).toBe(true);
});
