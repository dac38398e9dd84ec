/** As whom a user may send: every trick by which a header shows another sender than the one that is checked. */
import { describe, expect, test } from 'vitest';
import { readHeaderBlock } from '../../src/message/header-block.ts';
import { checkHeaderSenders, mayUse } from '../../src/submission/sender.ts';

const patterns = ['noreply@example.com', '*@shop.example.com'];
const check = (header: string, utf8 = false) =>
  checkHeaderSenders(readHeaderBlock(Buffer.from(`${header}\r\n\r\n`)).fields, patterns, utf8);

describe('takes', () => {
  test.each([
    ['the address', 'From: noreply@example.com'],
    ['another case', 'FROM: NoReply@Example.COM'],
    ['a name', 'From: Example Inc. <noreply@example.com>'],
    ['a quoted name with a comma', 'From: "Example, Inc." <noreply@example.com>'],
    ['an encoded name', 'From: =?utf-8?q?M=C3=BCller_GmbH?= <noreply@example.com>'],
    ['a name in plain UTF-8', 'From: Müller <noreply@example.com>'],
    ['a name in two encoded words', 'From: =?utf-8?q?M=C3=BCller?=\r\n =?utf-8?q?_GmbH?= <noreply@example.com>'],
    ['the address as its own name', 'From: "noreply@example.com" <noreply@example.com>'],
    ['a comment of old programs', 'From: noreply@example.com (Example Inc.)'],
    ['a domain of the user', 'From: anybody@shop.example.com'],
    ['a Sender of the user', 'From: a@shop.example.com\r\nSender: noreply@example.com'],
    ['a name with an @ that is no address', 'From: "Dinner @ 8" <noreply@example.com>'],
    ['no From at all', 'Subject: x'],
    ['a redirection by the user', 'From: noreply@example.com\r\nResent-From: noreply@example.com'],
  ])('%s', (_what, header) => {
    expect(check(header)).toEqual({ ok: true });
  });
});

describe('refuses a spoofed sender by', () => {
  test.each([
    ['header', 'From: boss@example.com'],
    ['a subdomain', 'From: noreply@sub.example.com'],
    ['a longer domain', 'From: noreply@example.com.evil.example'],
    ['a second From', 'From: noreply@example.com\r\nFrom: boss@example.com'],
    ['a second From of another case and with a blank', 'From: noreply@example.com\r\nfROM : boss@example.com'],
    ['two addresses in one From', 'From: noreply@example.com, boss@example.com'],
    ['two addresses, folded', 'From: noreply@example.com,\r\n boss@example.com'],
    ['a group', 'From: Board: noreply@example.com;'],
    ['a group with the boss in it', 'From: noreply@example.com: boss@example.com;'],
    ['an empty group', 'From: boss@example.com:;'],
    ['a name', 'From: "boss@example.com" <noreply@example.com>'],
    ['a name without quotes', 'From: boss@example.com <noreply@example.com>'],
    ['a comment', 'From: noreply@example.com (boss@example.com)'],
    ['a comment in front', 'From: (boss@example.com) noreply@example.com'],
    ['a comment within an address', 'From: boss(x)@example.com'],
    ['a nested comment', 'From: noreply@example.com (a (boss@example.com) b)'],
    ['an encoded word', 'From: =?utf-8?q?boss=40example=2Ecom?= <noreply@example.com>'],
    ['an encoded word in base64', 'From: =?utf-8?b?Ym9zc0BleGFtcGxlLmNvbQ==?= <noreply@example.com>'],
    ['an encoded word that is the whole', 'From: =?utf-8?q?boss=40example=2Ecom?='],
    ['an address in two encoded words', 'From: =?utf-8?q?boss=40?= =?utf-8?q?example.com?= <noreply@example.com>'],
    [
      'an encoded word in an encoded word',
      'From: =?utf-8?q?=3D=3Futf-8=3Fq=3Fboss=3D40example.com=3F=3D?= <noreply@example.com>',
    ],
    ['an escape in quotes', 'From: "boss\\@example.com" <noreply@example.com>'],
    ['invisible characters', 'From: "bo\u200bss@exam\u200bple.com" <noreply@example.com>'],
    ['full-width characters', 'From: "boss＠example．com" <noreply@example.com>'],
    ['blanks around the @', 'From: "boss @ example.com" <noreply@example.com>'],
    ['two pairs of angle brackets', 'From: <boss@example.com> <noreply@example.com>'],
    ['an unclosed bracket', 'From: boss@example.com <noreply@example.com'],
    ['a route', 'From: <@boss.example:noreply@example.com>'],
    ['Sender', 'From: noreply@example.com\r\nSender: boss@example.com'],
    ['a second Sender', 'From: noreply@example.com\r\nSender: noreply@example.com\r\nSender: boss@example.com'],
    ['Resent-From', 'From: noreply@example.com\r\nResent-From: boss@example.com'],
    ['Resent-Sender', 'From: noreply@example.com\r\nResent-Sender: boss@example.com'],
    ['an empty From', 'From:'],
    ['a From of nothing but a name', 'From: boss'],
    ['a look-alike in Unicode', 'From: nорeply@example.com'],
    ['a From of megabytes', `From: ${'a'.repeat(3_000)} <noreply@example.com>`],
  ])('%s', (_what, header) => {
    expect(check(header)).toMatchObject({ ok: false });
  });
});

test('a non-ASCII address needs SMTPUTF8, a non-ASCII name does not', () => {
  expect(check('From: jö@shop.example.com')).toMatchObject({ ok: false });
  expect(check('From: jö@shop.example.com', true)).toEqual({ ok: true });
});

test('a long From without an @ costs no more than its length', () => {
  const from = performance.now();
  check(`From: ${'a'.repeat(250_000)}`);
  check(`From: ${'"('.repeat(900)} <noreply@example.com>`);
  expect(performance.now() - from).toBeLessThan(500);
});

test('patterns are an address or a domain, in any case', () => {
  expect(mayUse(patterns, 'NOREPLY@EXAMPLE.COM')).toBe(true);
  expect(mayUse(patterns, 'x@SHOP.example.com')).toBe(true);
  expect(
    ['x@example.com', 'noreply@example.co', '*@shop.example.org', 'shop.example.com'].map((address) =>
      mayUse(patterns, address),
    ),
  ).toEqual([false, false, false, false]);
});
