/** Transfer encodings: what passes untouched, what is encoded anew, and what holds for any content. */
import * as fc from 'fast-check';
import { simpleParser } from 'mailparser';
import { describe, expect, test } from 'vitest';
import { decodeQuotedPrintable, encodeQuotedPrintable } from '../../src/message/quoted-printable.ts';
import { fitForTransfer } from '../../src/message/transfer.ts';
import { createTurns } from '../../src/message/turns.ts';
import { growsLinearly, longestTurnAllowedMs, longestTurnMs } from '../support/growth.ts';

const none = { eightBitMime: false, smtpUtf8: false };
const eightBit = { eightBitMime: true, smtpUtf8: false };
const fine = { use8BitMime: false, useSmtpUtf8: false, unfit: null };
const lines = (...each: string[]) => Buffer.from(each.map((line) => `${line}\r\n`).join(''), 'utf8');

function is7BitWithShortLines(bytes: Buffer): boolean {
  return (
    bytes.every((byte) => byte < 0x80) &&
    bytes
      .toString('latin1')
      .split('\r\n')
      .every((line) => line.length <= 998)
  );
}

const quotedPrintable = async (bytes: Buffer) => Buffer.concat(await encodeQuotedPrintable(bytes, createTurns()));
const plain = (body: string, ...header: string[]) => lines('From: a@b.c', ...header, '', body);

describe('what passes untouched', () => {
  test('7-bit bytes in short lines', async () => {
    const mail = plain('x'.repeat(998));
    expect(await fitForTransfer(mail, none)).toEqual({ ...fine, bytes: mail });
    expect((await fitForTransfer(mail, none)).bytes).toBe(mail);
  });

  test('8-bit content where the server takes it, which is then announced', async () => {
    const mail = plain('é', 'MIME-Version: 1.0', 'Content-Transfer-Encoding: 8bit');
    expect(await fitForTransfer(mail, eightBit)).toEqual({ ...fine, bytes: mail, use8BitMime: true });
    expect((await fitForTransfer(mail, { eightBitMime: false, smtpUtf8: true })).use8BitMime).toBe(true);
  });

  test('a signed part, whose signature would break', async () => {
    const mail = lines(
      'MIME-Version: 1.0',
      'Content-Type: multipart/signed; boundary=b',
      '',
      '--b',
      'Content-Type: text/plain; charset=utf-8',
      '',
      'é',
      '--b',
      'Content-Type: application/pgp-signature',
      '',
      'x',
      '--b--',
    );
    expect((await fitForTransfer(mail, none)).bytes).toEqual(mail);
  });
});

describe('what is encoded anew', () => {
  test('8-bit text as quoted-printable, for a server without 8BITMIME', async () => {
    const mail = plain(
      'Grüße = €',
      'MIME-Version: 1.0',
      'Content-Type: text/plain; charset=utf-8',
      'Content-Transfer-Encoding: 8bit',
      'X-Last: 1',
    );
    expect(await fitForTransfer(mail, none)).toEqual({
      ...fine,
      bytes: plain(
        'Gr=C3=BC=C3=9Fe =3D =E2=82=AC',
        'MIME-Version: 1.0',
        'Content-Type: text/plain; charset=utf-8',
        'Content-Transfer-Encoding: quoted-printable',
        'X-Last: 1',
      ),
    });
  });

  test('text without MIME fields, which get added', async () => {
    expect((await fitForTransfer(plain('é'), none)).bytes).toEqual(
      plain('=C3=A9', 'MIME-Version: 1.0', 'Content-Transfer-Encoding: quoted-printable'),
    );
  });

  test('only the part with a long line, even where 8-bit is taken; the other bytes stay', async () => {
    const part = (second: string[], ...more: string[]) =>
      lines(
        'MIME-Version: 1.0',
        'Content-Type: multipart/mixed;',
        ' boundary="b b"',
        '',
        'preamble',
        '--b b',
        'Content-Type: text/plain; charset=utf-8',
        'Content-Transfer-Encoding: 8bit',
        '',
        'é',
        '--b b  ',
        ...second,
        '',
        ...more,
        '--b b--',
        'epilogue',
      );
    const mail = part(['Content-Type: text/html', 'Content-Transfer-Encoding: 7bit'], '<br>'.repeat(250));
    const { bytes, use8BitMime } = await fitForTransfer(mail, eightBit);
    const encoded = (await quotedPrintable(Buffer.from('<br>'.repeat(250)))).toString();
    expect(bytes).toEqual(part(['Content-Type: text/html', 'Content-Transfer-Encoding: quoted-printable'], encoded));
    expect(use8BitMime).toBe(true);
  });

  test('binary parts as base64, and base64 of one long line as lines of 76', async () => {
    const mail = (encoding: string, body: string) =>
      lines('MIME-Version: 1.0', 'Content-Type: image/png', `Content-Transfer-Encoding: ${encoding}`, '', body);
    const content = Buffer.alloc(3000, 7);
    const wrapped = content.toString('base64').replaceAll(/(.{76})(?=.)/g, '$1\r\n');
    expect((await fitForTransfer(mail('base64', content.toString('base64')), eightBit)).bytes).toEqual(
      mail('base64', wrapped),
    );
    expect((await fitForTransfer(mail('binary', 'é'), none)).bytes).toEqual(
      mail('base64', Buffer.from('é\r\n').toString('base64')),
    );
  });

  test('the leaves inside message/rfc822, and the labels of what contains them', async () => {
    const mail = (outer: string, inner: string, body: string) =>
      lines(
        'MIME-Version: 1.0',
        'Content-Type: multipart/mixed; boundary=b',
        `Content-Transfer-Encoding: ${outer}`,
        '',
        '--b',
        'Content-Type: message/rfc822',
        `Content-Transfer-Encoding: ${outer}`,
        '',
        'MIME-Version: 1.0',
        'Content-Type: text/plain; charset=utf-8',
        `Content-Transfer-Encoding: ${inner}`,
        '',
        body,
        '--b--',
      );
    expect((await fitForTransfer(mail('8bit', '8bit', 'é'), none)).bytes).toEqual(
      mail('7bit', 'quoted-printable', '=C3=A9'),
    );
  });

  test('a delimiter is a whole line: neither longer boundaries nor text that holds it are one', async () => {
    const mail = (encoding: string, body: string) =>
      lines(
        'MIME-Version: 1.0',
        'Content-Type: multipart/mixed; boundary=b',
        '',
        '--b',
        'Content-Type: multipart/signed; boundary=bb',
        '',
        '--bb',
        'Content-Type: text/plain; charset=utf-8',
        '',
        'é',
        '--bb--',
        '--b',
        'Content-Type: text/plain; charset=utf-8',
        `Content-Transfer-Encoding: ${encoding}`,
        '',
        body,
        '--b--',
      );
    const expected = mail('quoted-printable', '=C3=A9 --b\r\n =C3=A9');
    const { bytes } = await fitForTransfer(mail('8bit', 'é --b\r\n é'), none);
    expect(bytes.toString()).toBe(expected.toString());
  });

  test('nesting deeper than 30 is left as it is', async () => {
    const nested = (depth: number) =>
      lines(
        ...Array.from({ length: depth }, (_, i) => [
          `Content-Type: multipart/mixed; boundary=b${i}x`,
          '',
          `--b${i}x`,
        ]).flat(),
        '',
        'é',
      );
    expect((await fitForTransfer(nested(31), none)).bytes).toEqual(nested(31));
    expect((await fitForTransfer(nested(30), none)).bytes).not.toEqual(nested(30));
  });
});

describe('for any content', () => {
  const text = fc
    .array(fc.constantFrom('é', 'a', ' ', '=', '\t', '.', '\r\n', 'x'.repeat(1100), '=3D', '--b', '€'), {
      maxLength: 30,
    })
    .map((pieces) => pieces.join(''));

  test('quoted-printable gives back the bytes, in lines of at most 76', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.uint8Array({ maxLength: 300 }).map((each) => Buffer.from(each)),
          text.map((each) => Buffer.from(each)),
        ),
        async (bytes) => {
          const encoded = await quotedPrintable(bytes);
          expect(await decodeQuotedPrintable(encoded, createTurns())).toEqual(bytes);
          const encodedLines = encoded.toString('latin1').split('\r\n');
          expect(Math.max(...encodedLines.map((line) => line.length))).toBeLessThanOrEqual(76);
          expect(encodedLines.filter((line) => /[ \t]$/.test(line))).toEqual([]);
          expect(is7BitWithShortLines(encoded)).toBe(true);
        },
      ),
    );
  });

  test('another MIME parser reads the same text before and after', async () => {
    await fc.assert(
      fc.asyncProperty(text, text, async (first, second) => {
        const boundary = '=_boundary_of_the_test';
        const mail = lines(
          'From: a@b.c',
          'MIME-Version: 1.0',
          `Content-Type: multipart/mixed; boundary="${boundary}"`,
          '',
          `--${boundary}`,
          'Content-Type: text/plain; charset=utf-8',
          'Content-Transfer-Encoding: 8bit',
          '',
          first,
          `--${boundary}`,
          'Content-Type: application/octet-stream',
          'Content-Disposition: attachment',
          'Content-Transfer-Encoding: binary',
          '',
          second,
          `--${boundary}--`,
        );
        const { bytes } = await fitForTransfer(mail, none);
        expect(is7BitWithShortLines(bytes)).toBe(true);
        const [before, after] = [await simpleParser(mail), await simpleParser(bytes)];
        expect(after.text).toBe(before.text);
        expect(after.attachments[0]?.content).toEqual(before.attachments[0]?.content);
      }),
      { numRuns: 50 },
    );
  });

  test('hostile structure costs no more than linear time: deep nesting, no closing boundary, 5 MB of delimiters', async () => {
    const nested = (size: number) =>
      Array.from({ length: size / 2_000 }, (_, i) => [
        `Content-Type: multipart/mixed; boundary=b${i}`,
        '',
        `--b${i}`,
      ]).flat();
    const open = (size: number) => ['Content-Type: multipart/mixed; boundary=b', '', '--b', '', 'é'.repeat(size)];
    const delimiters = (size: number) => Array.from({ length: size }, () => '--b');
    const many = (size: number) => ['Content-Type: multipart/mixed; boundary=b', '', 'é', ...delimiters(size)];
    for (const make of [nested, open, many]) {
      // Made beforehand: the arrays and strings would cost more than the work on them, and their garbage collections at random.
      const mails = new Map([250_000, 1_000_000].map((size) => [size, lines(make(size).join('\r\n'), 'é')]));
      const work = async (size: number): Promise<unknown> => fitForTransfer(mails.get(size)!, none);
      expect(await growsLinearly(work, 1_000_000)).toBe(true);
    }
  });

  test('a mail of 25 MB holds the event loop for at most 100 ms at a time, however it has to be encoded', async () => {
    const size = 25e6;
    const text = plain(
      'é'.repeat(size / 2),
      'Content-Type: text/plain; charset=utf-8',
      'Content-Transfer-Encoding: 8bit',
    );
    const octets = plain('é'.repeat(size / 2), 'Content-Type: image/png', 'Content-Transfer-Encoding: 8bit');
    const escaped = plain('=C3'.repeat(size / 3), 'Content-Transfer-Encoding: quoted-printable');
    for (const mail of [text, octets, escaped]) {
      expect(await longestTurnMs(() => fitForTransfer(mail, none))).toBeLessThan(longestTurnAllowedMs);
    }
  });
});
