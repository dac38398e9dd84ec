/** Finished messages: header fields, Bcc, line ends, hostile headers. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { normaliseLineEnds, readHeaderBlock, readRawHeader, removeBcc } from '../../src/message/raw.ts';
import { growsLinearly } from '../support/growth.ts';

const bytes = (text: string) => Buffer.from(text, 'latin1');

describe('the header block', () => {
  test('is a list of fields, unfolded, with the bytes they stand in', () => {
    const mail = bytes('Subject: a\r\n b\r\nX-Empty:\r\nTo : c\r\n\r\nbody: no field\r\n');
    const block = readHeaderBlock(mail);
    expect(block.fields.map(({ name, value }) => [name, value])).toEqual([
      ['Subject', 'a b'],
      ['X-Empty', ''],
      ['To', 'c'],
    ]);
    expect(block.fields.map(({ start, end }) => mail.toString('latin1', start, end))).toEqual([
      'Subject: a\r\n b\r\n',
      'X-Empty:\r\n',
      'To : c\r\n',
    ]);
    expect(mail.toString('latin1', block.bodyStart)).toBe('body: no field\r\n');
    expect(block.problem).toBeNull();
  });

  test('may have LF line ends, and no body', () => {
    expect(readHeaderBlock(bytes('A: b\nC: d')).fields.map(({ value }) => value)).toEqual(['b', 'd']);
  });

  test('gives sender, recipients and Message-ID', () => {
    const header = readRawHeader(
      bytes(
        'From: =?utf-8?Q?J=C3=B6rg?= <j@b.c>, other@b.c\r\nTo: x@y.z,\r\n  y@y.z\r\nCC: z@y.z\r\nbcc: s@y.z\r\nMessage-Id: <1@b.c>\r\n\r\n',
      ),
    );
    expect(header).toEqual({
      ok: true,
      value: {
        from: { ok: true, value: { name: 'Jörg', address: 'j@b.c' } },
        recipients: { ok: true, value: ['x@y.z', 'y@y.z', 'z@y.z', 's@y.z'].map((address) => ({ address })) },
        messageId: '<1@b.c>',
      },
    });
  });

  test('reads UTF-8 addresses, and names in latin1', () => {
    const utf8 = readRawHeader(Buffer.from('From: jörg@b.c\r\n\r\n'));
    expect(utf8).toMatchObject({ value: { from: { value: { address: 'jörg@b.c' } } } });
    expect(readRawHeader(bytes('From: "J\u00f6rg" <j@b.c>\r\n\r\n'))).toMatchObject({
      value: { from: { value: { name: 'Jörg', address: 'j@b.c' } } },
    });
  });
});

describe('removing Bcc', () => {
  test.each(['Bcc: a@b.c\r\n', 'BCC : a@b.c,\r\n\tb@b.c\r\n', 'Resent-Bcc:\r\n a@b.c\r\n', 'bcc:\r\n'])(
    'takes out %j and no other byte',
    (field) => {
      const mail = (middle: string) => bytes(`From: a@b.c\r\n${middle}Subject: \xfc\r\n\r\nBcc: stays\r\n`);
      expect(removeBcc(mail(field + field))).toEqual(mail(''));
    },
  );

  test('takes out a Bcc at the end of a header without a body', () => {
    expect(removeBcc(bytes('To: a@b.c\r\nBcc: x@y.z'))).toEqual(bytes('To: a@b.c\r\n'));
  });

  test('leaves a message without Bcc as it is', () => {
    const mail = bytes('X-Bcc: a\r\nTo: b\r\n\r\n');
    expect(removeBcc(mail)).toBe(mail);
  });

  test('leaves no Bcc field in any header', () => {
    const lines = fc.array(
      fc.constantFrom('To: a', 'Bcc: s', 'bcc :s', ' folded', '\tBcc: x', 'no field', 'Resent-BCC:s', ''),
      { maxLength: 8 },
    );
    fc.assert(
      fc.property(lines, (header) => {
        const { fields } = readHeaderBlock(removeBcc(bytes(`${header.join('\r\n')}\r\n\r\n`)));
        expect(fields.filter(({ name }) => /bcc/i.test(name))).toEqual([]);
      }),
    );
  });
});

describe('line ends', () => {
  test('all become CRLF, and nothing else changes', () => {
    const piece = fc.constantFrom('\r\n', '\r', '\n', 'a', '\xff', '.');
    fc.assert(
      fc.property(fc.array(piece), (pieces) => {
        const text = pieces.join('');
        expect(normaliseLineEnds(bytes(text)).toString('latin1')).toBe(text.replaceAll(/\r\n|\r|\n/g, '\r\n'));
      }),
    );
  });

  test('that are CRLF already cost no copy', () => {
    const mail = bytes('a\r\nb\r\n');
    expect(normaliseLineEnds(mail)).toBe(mail);
  });
});

test.each(['a:\r\n', '\r\n ', ':', ' \r', 'Bcc:\n x\n'])(
  'a header of many %j is read in no more than linear time',
  (unit) => {
    expect(readRawHeader(bytes(`a: ${unit.repeat(1e7 / unit.length)}`)).ok).toBe(false);
    const work = (size: number): void => {
      const header = bytes(`a: ${unit.repeat(size / unit.length)}`);
      readRawHeader(header);
      removeBcc(normaliseLineEnds(header));
    };
    expect(growsLinearly(work, 8e5)).toBe(true);
  },
);
