/** The delay that a server names in the text of its reply. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { units } from '../../src/transport/delay-words.ts';
import { askedDelayMs } from '../../src/transport/retry-hint.ts';
import { growsLinearly } from '../support/growth.ts';

const [second, minute, hour, day] = [1_000, 60_000, 3_600_000, 86_400_000];

describe('a delay is read in', () => {
  test.for<[string, number]>([
    ['try again in 300 seconds', 5 * minute],
    ['Please retry after 10s', 10 * second],
    ['try again in 5 minutes', 5 * minute],
    ['Try again in 1 hour.', hour],
    ['wait 30 sec', 30 * second],
    ['Too many messages. Try again in 92 seconds.', 92 * second],
    ['Your quota will reset in 4.0 hours', 4 * hour],
    ['Try again in an hour', hour],
    ['try again in half an hour', 30 * minute],
    ['wait 1 day', day],
    ['retry after 5 mins', 5 * minute],
    ['please come back in 00:04:55', 295 * second],
    ['please try again in 00:04:59', 299 * second],
    ['Greylisted for 5 minutes, retry later', 5 * minute],
    ['Greylisted for 300 seconds', 5 * minute],
    ['Graylisted - try again after [300] seconds', 5 * minute],
    ['Greylisting: 300 seconds', 5 * minute],
    ['greylisting expires in 60 seconds', minute],
    ['Please wait at least 5 minutes before sending again', 5 * minute],
    ['Too fast, wait 5 seconds between messages', 5 * second],
    ['You may send again in 5 minutes', 5 * minute],
    ['Please try after 10 mins', 10 * minute],
    ['In 5 minutes, please try again', 5 * minute],
    ['After 300 seconds you can try again', 5 * minute],
    ['try again later (in 5 minutes)', 5 * minute],
    ['next attempt in 30 sec', 30 * second],
    ['temporarily blocked for 15 minutes', 15 * minute],
    ['Rate limited for 60 seconds', minute],
    ['account locked out for 30 minutes', 30 * minute],
    ['Your account will be unlocked in 30 minutes', 30 * minute],
    ['limit will be lifted after 2 hours', 2 * hour],
    ['4 minutes 59 seconds remaining', 299 * second],
    ['Retry-After: 120', 2 * minute],
    ['retry_after=60', minute],
    ['try again in 1 hour and 30 minutes', 1.5 * hour],
    ['try again in 1h30m', 1.5 * hour],
    ['wait 1,800 seconds', 30 * minute],
    // Of two numbers the longer one.
    ['try again in 5-10 minutes', 10 * minute],
    ['try again in 5 to 10 minutes', 10 * minute],
    // Another sentence has a limit.
    ['The limit is 5 per 10 seconds. Try again in 2 minutes', 2 * minute],
    ['Bitte versuchen Sie es in 5 Minuten erneut', 5 * minute],
    ['Bitte warten Sie mindestens 5 Minuten', 5 * minute],
    ['Veuillez réessayer dans 5 minutes', 5 * minute],
    ['Veuillez patienter une heure', hour],
    ['Inténtelo de nuevo en 10 minutos', 10 * minute],
    ['riprova tra 5 minuti', 5 * minute],
    ['tente novamente em 5 minutos', 5 * minute],
    ['probeer het over 5 minuten opnieuw', 5 * minute],
    ['повторите через 5 минут', 5 * minute],
    ['请5分钟后重试', 5 * minute],
    ['60秒后再试', minute],
    ['5分後に再試行してください', 5 * minute],
  ])('"%s": %s ms', ([text, ms]) => expect(askedDelayMs(text)).toBe(ms));
});

describe('no delay is read in', () => {
  test.for([
    'try again later',
    'try again tomorrow',
    'wait a few minutes',
    'queued as 300 s',
    // Limits.
    'limit of 100 messages per 1 hour',
    'more than 10 messages in 60 seconds',
    'too many connections in 60 seconds, try again later',
    'try again later, limit is 100 messages per 1 hour',
    'Retry later, 5 minutes is the limit',
    'try again, the window is 10 minutes',
    'no more than 5 messages are allowed in 1 hour',
    'only one try in 5 minutes',
    'retry 3 times in 5 minutes',
    'try again every 5 minutes',
    'retry within 5 minutes',
    'In 1 hour 100 messages, try again',
    'blocked for 5 failed attempts in 60 seconds',
    'Please try again later. The limit is 1 per 10 seconds.',
    // Other times.
    'connection timed out after 30 seconds, retry',
    'connection reset after 300 seconds',
    'idle for 300 seconds, please reconnect',
    'your password expires in 3 days',
    'we will retry for 5 days',
    'account disabled for 30 days of inactivity',
    'last tried 5 minutes ago, try again',
    'try again at 12:30:00',
    '30秒后超时',
    // Other numbers.
    'try again, see 5.7.1',
    'retry on port 25',
    'retry from 192.0.2.1 m',
    'retry with smtp 5 m.example.com',
    'wait 5 MB',
    'retry after 60',
  ])('"%s"', (text) => expect(askedDelayMs(text)).toBeNull());
});

test.for<[string, number]>([
  ['retry in 0 seconds', second],
  ['retry in 500 ms', second],
  ['retry in 90 days', day],
  ['wait 2 weeks', day],
  ['retry in 900000 hours', day],
])('"%s" is held between a second and a day', ([text, ms]) => expect(askedDelayMs(text)).toBe(ms));

const unit = fc.constantFrom(...units.keys());
const count = fc.integer({ min: 1, max: 999_999 });

describe('whatever the numbers,', () => {
  test('a delay that is announced is read as it is, in each unit', () => {
    const announced = fc.constantFrom('try again in', 'Retry after', 'please wait', 'greylisted for', 'blocked for');
    fc.assert(
      fc.property(announced, count, unit, (words, number, name) => {
        const ms = Math.min(Math.max(number * (units.get(name) ?? 0), second), day);
        expect(askedDelayMs(`4.7.1 too many; ${words} ${number} ${name}.`)).toBe(ms);
      }),
    );
  });

  test('a limit is no delay, whatever stands around it', () => {
    const around = fc.constantFrom('', 'try again later', 'please wait', 'retry', 'blocked', 'greylisted', 'too many');
    const counted = fc.constantFrom('messages', 'connections', 'login attempts', 'recipients', 'tries', 'MB');
    const of = fc.constantFrom('per', 'in', 'within', 'every', 'each', 'during', '/');
    const said = fc.constantFrom('limit of', 'more than', 'at most', 'exceeded', 'maximum');
    const mark = fc.constantFrom(', ', '; ', '. ', ' ', ': ', ' (');
    fc.assert(
      fc.property(around, mark, said, count, counted, of, count, unit, mark, around, (...parts) => {
        const [before, mark1, words, many, what, per, number, name, mark2, after] = parts;
        const text = `${before}${mark1}${words} ${many} ${what} ${per} ${number} ${name}${mark2}${after}`;
        expect([text, askedDelayMs(text)]).toEqual([text, null]);
      }),
    );
  });

  test('codes, addresses, ports, hosts and links are no delay', () => {
    const number = fc.oneof(
      fc.tuple(fc.nat(5), fc.nat(999), fc.nat(999)).map((parts) => parts.join('.')),
      fc.ipV4(),
      fc.ipV6(),
      fc.webUrl(),
      fc.emailAddress(),
      fc.nat(65_535).map((port) => `port ${port}`),
    );
    const cue = fc.constantFrom('try again', 'retry after', 'wait', 'wait for', 'blocked', 'retry from');
    fc.assert(
      fc.property(cue, number, unit, (words, what, name) => {
        expect(askedDelayMs(`${words} ${what}`)).toBeNull();
        expect(askedDelayMs(`${words} ${what}, ${name}`)).toBeNull();
      }),
    );
  });

  test('the result is null, or between a second and a day', () => {
    const word = fc.oneof(fc.constantFrom('try', 'again', 'wait', 'in', 'for', '5', '1.5', ',', '.', 'and'), unit);
    const text = fc.oneof(
      fc.string(),
      fc.array(word, { maxLength: 12 }).map((words) => words.join(' ')),
    );
    const lies = fc.check(
      fc.property(text, (any) => {
        const ms = askedDelayMs(any);
        return ms === null || (ms >= second && ms <= day);
      }),
    );
    expect(lies.counterexample).toBeNull();
  });
});

test.for([
  'try again 1',
  'wait ',
  '1h1m',
  '5 hours and ',
  'retry-after:',
  '9',
  '1,000',
  'again in . ',
  '5秒后',
  ':',
  "'",
])('attack: half a megabyte of "%s" takes linear time', async (part) => {
  expect(await growsLinearly((size) => void askedDelayMs(part.repeat(size)), 50_000)).toBe(true);
});
