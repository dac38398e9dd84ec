/** What people write on the command line: durations, times, rates, headers. */
import { assert, date, property } from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseCount, parseDuration, parseFuture, parseHeader, parsePast, parseRate } from '../../src/cli/values.ts';

const now = Date.UTC(2030, 0, 31, 8);

test.each([
  ['500ms', 500],
  ['30s', 30_000],
  ['15m', 900_000],
  ['2h', 7_200_000],
  ['7d', 604_800_000],
])('reads %s as %i ms', (text, ms) => {
  expect(parseDuration(text)).toBe(ms);
});

test.each(['', '5', 's', '-5s', '1.5h', '5 s', '5w', '1h30m', '9999999999s'])('refuses %j as a duration', (text) => {
  expect(() => parseDuration(text)).toThrow('number with a unit');
});

describe('times', () => {
  test('a duration counts back from now for a past time, and forward for a future time', () => {
    expect(parsePast('2h', now)).toBe(now - 7_200_000);
    expect(parseFuture('2h', now)).toBe(now + 7_200_000);
  });

  test.each([
    ['2030-01-31T08:00:00Z', now],
    ['2030-01-31T09:00+01:00', now],
    ['2030-01-31T08:00:00.5Z', now + 500],
    ['2030-01-31', Date.UTC(2030, 0, 31)],
  ])('reads %s', (text, ms) => {
    expect(parsePast(text, 0)).toBe(ms);
  });

  // A time without a zone is another one on every machine.
  test.each(['2030-01-31T08:00:00', '31.01.2030', 'yesterday', '2030-13-01', '1893456000'])('refuses %j', (text) => {
    expect(() => parsePast(text, now)).toThrow('ISO 8601');
  });

  test('every time that toISOString writes is parsed back to the same time', () => {
    const times = date({ min: new Date(0), max: new Date('9999-12-31'), noInvalidDate: true });
    assert(
      property(times, (time) => {
        expect(parseFuture(time.toISOString(), now)).toBe(time.getTime());
      }),
    );
  });
});

test.each([
  ['20/s', 50],
  ['600/m', 100],
  ['1/m', 60_000],
])('a rate of %s is one every %i ms', (text, ms) => {
  expect(parseRate(text)).toBe(ms);
});

test.each(['0/s', '20', '20/h', '/s', '-1/s', '1.5/s'])('refuses %j as a rate', (text) => {
  expect(() => parseRate(text)).toThrow('per second or minute');
});

test.each(['0', '-1', '1e3', '1.5', ''])('refuses %j as a count', (text) => {
  expect(() => parseCount(text)).toThrow('whole number');
});

test('a header is cut at its first colon', () => {
  expect(parseHeader('X-Link: https://example.com')).toEqual(['X-Link', 'https://example.com']);
  expect(() => parseHeader('no header')).toThrow('"Name: value"');
  expect(() => parseHeader(': value')).toThrow('"Name: value"');
});
