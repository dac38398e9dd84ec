/** Servers and proxies that are out of step: a reply that was there before its command is a fault, and never an answer. */
import { describe, expect, test } from 'vitest';
import { until } from '../../../testkit/until.ts';
import { ehlo, sendTo, teller } from '../../support/smtp-teller.ts';

const noPipelining = '250 teller\n';
const dataSent = (heard: readonly string[]): boolean => heard.join('').includes('\r\n.\r\n');

describe('attack: a reply that came before the end of the message', () => {
  test.each<[string, string, string]>([
    ['in one packet with the 354', '250 ok\n250 ok\n354 go\n250 stray\n', 'deferred'],
    ['begun in one packet with the 354', '250 ok\n250 ok\n354 go\n25', 'deferred'],
    ['after a recipient that is answered three times', '250 ok\n250 ok\n250 ok\n250 ok\n354 go\n', 'deferred'],
    ['after a refusal that is given twice', '250 ok\n550 5.1.1 no\n550 5.1.1 no\n354 go\n', 'deferred'],
  ])('is no acceptance, and no message leaves: %s', async (_, answers, expected) => {
    const told = await teller([ehlo, answers, '550 5.7.1 not accepted\n']);
    expect(await sendTo(told, ['a@example.net'])).toBe(expected);
    expect(dataSent(told.heard)).toBe(false);
  });

  test.each<[string, readonly string[]]>([
    ['to all commands, after MAIL', ['250 ok\n250 ok\n354 go\n250 queued\n']],
    ['to all commands, after RCPT', ['250 ok\n', '250 ok\n354 go\n250 queued\n']],
    ['to the message, after DATA', ['250 ok\n', '250 ok\n', '354 go\n250 queued\n']],
  ])('is no acceptance without PIPELINING either: %s', async (_, answers) => {
    const told = await teller([noPipelining, ...answers, '550 5.7.1 not accepted\n']);
    expect(await sendTo(told, ['a@example.net'])).toBe('deferred');
    expect(dataSent(told.heard)).toBe(false);
  });
});

test('the first reply to the end of data is its answer, and a second one ends the session', async () => {
  const told = await teller([ehlo, '250 ok\n250 ok\n354 go\n', '250 queued\n250 stray\n']);
  expect(await sendTo(told, ['a@example.net'])).toBe('accepted');
  await until(() => told.sockets.every((socket) => socket.destroyed), { what: 'the session to end' });
});

test('attack: a surplus reply never refuses a recipient for good', async () => {
  const told = await teller([ehlo, '250 ok\n250 ok\n550 5.1.1 no\n550 5.1.1 no\n354 go\n']);
  expect(await sendTo(told, ['a@example.net', 'b@example.net'])).toBe('deferred deferred');
});

test('a 421 that no command asked for is the server’s own word, and no message leaves', async () => {
  const told = await teller([ehlo, '250 ok\n250 ok\n354 go\n421 4.3.2 shutting down\n']);
  expect(await sendTo(told, ['a@example.net'])).toBe('suspect throttled');
  expect(dataSent(told.heard)).toBe(false);
});

test.each(['250 ok', '334 go', '350 go', '220 ready'])(
  'attack: %s in answer to DATA is no go-ahead, so no line of the message is taken for a command',
  async (answer) => {
    const pipelined = await teller([ehlo, `250 ok\n250 ok\n${answer}\n`]);
    const stepwise = await teller([noPipelining, '250 ok\n', '250 ok\n', `${answer}\n`]);
    for (const told of [pipelined, stepwise]) {
      expect(await sendTo(told, ['a@example.net'])).toBe('deferred');
      expect(dataSent(told.heard)).toBe(false);
    }
  },
);
