/** What HTTP replies have in common: Retry-After, and a body that is a JSON object. */
import { expect, test } from 'vitest';
import { objectOf, readRetryAfter } from '../../src/transport/http-reply.ts';

const now = Date.UTC(2026, 10, 22, 12);

test.each([
  ['5', 5_000],
  ['0', 1_000],
  ['999999999', 86_400_000],
  [new Date(now + 30_000).toUTCString(), 30_000],
  [new Date(now - 30_000).toUTCString(), 1_000],
  ['', null],
  ['soon', null],
  ['-5', null],
  ['5 apples', null],
])('reads Retry-After: %s as %s ms', (value, expected) => {
  expect(readRetryAfter(value, now)).toBe(expected);
});

test.each(['', 'null', '[]', '"text"', '<html>', '{"open":'])('takes the body %j for no object', (text) => {
  expect(objectOf(text)).toBeNull();
});
