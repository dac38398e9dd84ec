/** Headers in UTF-8: SMTPUTF8 where the server offers it; else ASCII that another parser reads as the same, or a refusal. */
import * as fc from 'fast-check';
import { simpleParser, type AddressObject } from 'mailparser';
import { describe, expect, test } from 'vitest';
import { fitForTransfer } from '../../src/message/transfer.ts';
import { growsLinearly } from '../support/growth.ts';

const servers = {
  nothing: { eightBitMime: false, smtpUtf8: false },
  eightBit: { eightBitMime: true, smtpUtf8: false },
  utf8: { eightBitMime: true, smtpUtf8: true },
};

function mail(...header: string[]): Buffer {
  return Buffer.from(['From: a@b.example', ...header, '', 'hi', ''].join('\r\n'));
}

const isAscii = (bytes: Buffer): boolean => bytes.every((byte) => byte < 0x80);

function mailboxesOf(list: AddressObject | AddressObject[] | undefined): (string | undefined)[][] {
  return [list ?? []].flat().flatMap(({ value }) => value.map(({ name, address }) => [name, address]));
}

describe('a server with SMTPUTF8', () => {
  test.each(['Subject: Grüße', 'Reply-To: jörg@b.example', 'Cc: Jörg <c@b.example>', 'X-Note: é'])(
    'gets %j as it is, announced as SMTPUTF8 and not as 8-bit content',
    async (field) => {
      const bytes = mail(field);
      const expected = { bytes, use8BitMime: false, useSmtpUtf8: true, unfit: null };
      expect(await fitForTransfer(bytes, servers.utf8)).toEqual(expected);
    },
  );

  test('is told of UTF-8 in the header of a part, and of an attached mail', async () => {
    const attached = ['Content-Type: message/rfc822', '', 'Subject: é', '', 'x'];
    const part = ['Content-Type: image/png; name="é.png"', 'Content-Transfer-Encoding: base64', '', 'AAAA'];
    for (const lines of [attached, part]) {
      const body = ['Content-Type: multipart/mixed; boundary=b', '', '--b', ...lines, '--b--'];
      const bytes = mail('MIME-Version: 1.0', ...body);
      expect(await fitForTransfer(bytes, servers.utf8)).toMatchObject({ bytes, useSmtpUtf8: true, unfit: null });
    }
  });

  test('gets 8-bit content without the announcement of a UTF-8 header', async () => {
    const bytes = Buffer.from('From: a@b.example\r\nContent-Type: text/plain; charset=utf-8\r\n\r\né\r\n');
    expect(await fitForTransfer(bytes, servers.utf8)).toMatchObject({ bytes, use8BitMime: true, useSmtpUtf8: false });
  });

  test('gets no header that is neither ASCII nor UTF-8: its words are marked as of unknown charset', async () => {
    const bytes = Buffer.from('From: a@b.example\r\nSubject: Gr\xfc\xdfe\r\n\r\nhi\r\n', 'latin1');
    const fitted = await fitForTransfer(bytes, servers.utf8);
    expect(fitted).toMatchObject({ useSmtpUtf8: false, unfit: null });
    expect(fitted.bytes.toString('latin1')).toContain('Subject: =?unknown-8bit?B?R3L832U=?=\r\n');
  });
});

describe.each([
  ['no extension', servers.nothing],
  ['8BITMIME alone', servers.eightBit],
])('a server with %s', (_, extensions) => {
  test('gets subject, names, comments and file names in ASCII, and they read as before', async () => {
    const bytes = mail(
      'MIME-Version: 1.0',
      'Subject: Grüße an "alle" =?utf-8?Q?=C3=A9?= und größere',
      'To: "Müller, Jörg" <j@bücher.example>, Ann Öz <a@b.example>,',
      ' c@b.example (Kürzel)',
      'Content-Type: multipart/mixed; boundary=b',
      '',
      '--b',
      `Content-Type: image/png; name="${'ü'.repeat(60)}.png"`,
      'Content-Disposition: attachment; filename="Übersicht; 1.png"',
      'Content-Transfer-Encoding: base64',
      '',
      'AAAA',
      '--b--',
    );
    const fitted = await fitForTransfer(bytes, extensions);
    expect(fitted).toMatchObject({ use8BitMime: false, useSmtpUtf8: false, unfit: null });
    expect(isAscii(fitted.bytes)).toBe(true);
    expect(
      fitted.bytes
        .toString()
        .split('\r\n')
        .every((line) => line.length <= 78),
    ).toBe(true);
    const [before, after] = [await simpleParser(bytes), await simpleParser(fitted.bytes)];
    expect(after.subject).toBe(before.subject);
    expect(mailboxesOf(after.to)).toEqual([
      ['Müller, Jörg', 'j@bücher.example'],
      ['Ann Öz', 'a@b.example'],
      ['Kürzel', 'c@b.example'],
    ]);
    expect(after.attachments[0]?.filename).toBe('Übersicht; 1.png');
  });

  test.each([
    ['From: jörg@b.example', 'From'],
    ['Sender: jörg@b.example', 'Sender'],
    ['Reply-To: Jörg <jörg@b.example>', 'Reply-To'],
    ['Reply-To: "jö rg"@b.example', 'Reply-To'],
    ['Message-ID: <ü@b.example>', 'Message-ID'],
  ])('does not get %j, and is named as the reason', async (field, name) => {
    const bytes = mail(field).subarray(field.startsWith('From') ? 'From: a@b.example\r\n'.length : 0);
    const { unfit } = await fitForTransfer(bytes, extensions);
    expect(unfit).toMatch(new RegExp(`in its ${name} field that is not ASCII, and the server does not offer SMTPUTF8`));
  });

  test.each(['To', 'Cc'])('gets an address beyond ASCII in %s shown, so that the others are served', async (name) => {
    const { bytes, unfit } = await fitForTransfer(mail(`${name}: x@b.example, Jörg <jörg@b.example>`), extensions);
    expect(unfit).toBeNull();
    const shown = Buffer.from('Jörg <jörg@b.example>').toString('base64');
    expect(bytes.toString()).toContain(`${name}: x@b.example, =?utf-8?B?${shown}?= :;\r\n`);
  });

  test('gets the ids of a conversation without those beyond ASCII', async () => {
    const { bytes } = await fitForTransfer(mail('References: <a@b> <ü@c><d@e>', 'In-Reply-To: <ü@c>'), extensions);
    expect(bytes.toString()).toBe(mail('References: <a@b> <d@e>').toString());
  });

  test('gets an attached mail in ASCII, whatever program wrote it', async () => {
    const attached = ['From: jörg@b.example', 'Subject: é', 'Message-ID: <ü@c>', '', 'x'];
    const { bytes, unfit } = await fitForTransfer(mail('Content-Type: message/rfc822', '', ...attached), extensions);
    expect(unfit).toBeNull();
    expect(isAscii(bytes)).toBe(true);
  });

  test('gets any field in ASCII, in lines of at most 998, without another field in it', async () => {
    const name = fc.constantFrom('Subject', 'To', 'Cc', 'X-A', 'Content-Type', 'Content-Disposition', 'References');
    const word = fc.constantFrom(
      'ü',
      'あ',
      'a',
      ' ',
      '"',
      '<',
      '>',
      '(',
      ')',
      ',',
      ';',
      ':',
      '=',
      '@',
      '\\',
      '=?',
      '?=',
    );
    const long = fc.constantFrom('ü'.repeat(300), ' '.repeat(40), 'x'.repeat(90));
    const value = fc.array(fc.oneof({ weight: 9, arbitrary: word }, { weight: 1, arbitrary: long }), { maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(name, value, async (field, words) => {
        const { bytes, unfit } = await fitForTransfer(mail(`${field}: ${words.join('')}`), extensions);
        if (unfit !== null) return;
        expect(isAscii(bytes)).toBe(true);
        const lines = bytes.toString().split('\r\n');
        expect(lines.every((line) => line.length <= 998)).toBe(true);
        const names = lines.slice(0, lines.indexOf('')).filter((line) => !/^[ \t]/.test(line));
        expect(names.length).toBeLessThanOrEqual(2);
        expect(names.every((line) => line.startsWith('From:') || line.startsWith(`${field}:`))).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  test.each(['ü', 'ü ', '"', '<', '(', ',', '\\', ';ü=', 'ü@b,'])(
    'attack: a field of many %j costs no more than linear time',
    async (unit) => {
      const work = (size: number) => {
        const text = `é${unit.repeat(size / unit.length)}`;
        return fitForTransfer(mail(`To: ${text}`, `X-A: ${text}`, `Content-Type: ${text}`), extensions);
      };
      expect(await growsLinearly(work, 2e5)).toBe(true);
    },
  );
});
