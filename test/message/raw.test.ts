/** Finished messages: header fields, what stands before the header, Bcc, line ends, hostile headers. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { composeRaw } from '../../src/message/compose-raw.ts';
import { readHeaderBlock } from '../../src/message/header-block.ts';
import { ownMessageId, readRawHeader } from '../../src/message/raw.ts';
import { createTurns } from '../../src/message/turns.ts';
import { growsLinearly } from '../support/growth.ts';

const bytes = (text: string) => Buffer.from(text, 'latin1');
const none = { messageId: '', date: new Date(0) };
const date = 'Date: Thu, 01 Jan 1970 00:00:00 +0000\r\n';

async function composed(mail: Buffer): Promise<Buffer> {
  const result = await composeRaw(mail, none, createTurns());
  if (!result.ok) throw new Error(result.problem);
  return result.value;
}

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

  test('gives each sender, recipients and Message-ID', () => {
    const header = readRawHeader(
      bytes(
        'From: =?utf-8?Q?J=C3=B6rg?= <j@b.c>, other@b.c\r\nTo: x@y.z,\r\n  y@y.z\r\nCC: z@y.z\r\nbcc: s@y.z\r\nMessage-Id: <1@b.c>\r\n\r\n',
      ),
    );
    expect(header).toEqual({
      ok: true,
      value: {
        from: { ok: true, value: { name: 'Jörg', address: 'j@b.c' } },
        senders: { ok: true, value: [{ name: 'Jörg', address: 'j@b.c' }, { address: 'other@b.c' }] },
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
    async (field) => {
      const mail = (middle: string) => bytes(`${date}From: a@b.c\r\n${middle}Subject: \xfc\r\n\r\nBcc: stays\r\n`);
      expect(await composed(mail(field + field))).toEqual(mail(''));
    },
  );

  test('takes out a Bcc at the end of a header without a body', async () => {
    expect(await composed(bytes(`${date}To: a@b.c\r\nBcc: x@y.z`))).toEqual(bytes(`${date}To: a@b.c\r\n`));
  });

  test('leaves a message without Bcc as it is', async () => {
    const mail = bytes(`${date}X-Bcc: a\r\nTo: b\r\n\r\n`);
    expect(await composed(mail)).toBe(mail);
  });

  test('leaves no Bcc field in any header', async () => {
    const lines = fc.array(
      fc.constantFrom('To: a', 'Bcc: s', 'bcc :s', ' folded', '\tBcc: x', 'no field', 'Resent-BCC:s', ''),
      { maxLength: 8 },
    );
    await fc.assert(
      fc.asyncProperty(lines, async (header) => {
        const result = await composeRaw(bytes(`${header.join('\r\n')}\r\n\r\n`), none, createTurns());
        const { fields } = readHeaderBlock(result.ok ? result.value : Buffer.alloc(0));
        expect(fields.filter(({ name }) => /bcc/i.test(name))).toEqual([]);
      }),
    );
  });
});

describe('before the header', () => {
  const mail = `From: a@b.c\r\nTo: d@e.f\r\n${date}\r\nhi\r\n`;

  test.each([
    ['the From line of a mailbox file', 'From a@b.c Thu Jan  1 00:00:00 2026\r\n'],
    ['the same with an LF', 'From MAILER-DAEMON Thu Jan  1 00:00:00 2026\n'],
    ['the same, escaped', '>From a@b.c Thu Jan  1 00:00:00 2026\r\n'],
    ['a byte order mark', '\xef\xbb\xbf'],
    ['both', '\xef\xbb\xbfFrom a@b.c Thu Jan  1 00:00:00 2026\r\n'],
  ])('%s is passed over and not sent', async (_, before) => {
    expect(readRawHeader(bytes(before + mail))).toMatchObject({
      ok: true,
      value: { from: { value: { address: 'a@b.c' } } },
    });
    expect((await composed(bytes(before + mail))).toString('latin1')).toBe(mail);
  });

  test('a From field with a blank before its colon is the field', async () => {
    const odd = mail.replace('From:', 'From :');
    expect(readRawHeader(bytes(odd))).toMatchObject({ ok: true, value: { from: { value: { address: 'a@b.c' } } } });
    expect((await composed(bytes(odd))).toString('latin1')).toBe(odd);
  });
});

describe('a message without Message-ID or Date', () => {
  const given = { messageId: '<m.1@b.c>', date: new Date('2026-01-02T03:04:05Z') };
  const withGiven = async (mail: string): Promise<string> => {
    const result = await composeRaw(bytes(mail), given, createTurns());
    return result.ok ? result.value.toString('latin1') : result.problem;
  };
  const added = 'Message-ID: <m.1@b.c>\r\nDate: Fri, 02 Jan 2026 03:04:05 +0000\r\n';

  test('gets both in front of its header, where no signature covers them', async () => {
    const mail = 'DKIM-Signature: v=1; h=From\r\nFrom: a@b.c\r\n\r\nhi\r\n';
    expect(await withGiven(mail)).toBe(added + mail);
    expect(await withGiven(mail.replaceAll('\r\n', '\n'))).toBe(added + mail);
  });

  test.each(['Message-ID:\r\n', 'Date: \r\n'])('gets them in the place of an empty one: %j', async (empty) => {
    expect(await withGiven(`From: a@b.c\r\n${empty}\r\nhi`)).toBe(`${added}From: a@b.c\r\n\r\nhi`);
  });

  test.each(['message-id: <own@x>\r\nDATE: today\r\n', 'Message-ID: odd one\r\nDate: x\r\n'])(
    'keeps its own, however odd: %j',
    async (own) => {
      expect(await withGiven(`From: a@b.c\r\n${own}\r\nhi`)).toBe(`From: a@b.c\r\n${own}\r\nhi`);
    },
  );

  test.each<[string, string | null]>([
    ['Message-ID: <own@x>', '<own@x>'],
    ['Message-ID:\r\n <own@x> (comment)', '<own@x>'],
    ['Message-ID: odd', ''],
    ['Message-ID:', null],
    ['X-A: b', null],
  ])('is told from one that has %j', (field, expected) => {
    const header = readRawHeader(bytes(`From: a@b.c\r\n${field}\r\n\r\n`));
    expect(header.ok && ownMessageId(header.value)).toBe(expected);
  });
});

describe('line ends', () => {
  test('of text all become CRLF, and nothing else changes', async () => {
    const piece = fc.constantFrom('\r\n', '\r', '\n', 'a', '\xff', '.');
    await fc.assert(
      fc.asyncProperty(fc.array(piece), async (pieces) => {
        const text = pieces.join('');
        const mail = await composed(bytes(`${date}\r\n${text}`));
        expect(mail.toString('latin1')).toBe(`${date}\r\n${text.replaceAll(/\r\n|\r|\n/g, '\r\n')}`);
      }),
    );
  });

  test('that are CRLF already cost no copy', async () => {
    const mail = bytes(`${date}\r\nb\r\n`);
    expect(await composed(mail)).toBe(mail);
  });
});

test.each(['a:\r\n', '\r\n ', ':', ' \r', 'Bcc:\n x\n'])(
  'attack: a header of many %j is refused after its first 256 KiB, unread',
  async (unit) => {
    const header = (size: number): Buffer => bytes(`a: ${unit.repeat(size / unit.length)}`);
    expect(readRawHeader(header(1e7)).ok).toBe(false);
    expect(await composeRaw(header(1e7), none, createTurns())).toMatchObject({ ok: false });
    expect(await growsLinearly((size) => readRawHeader(header(size)).ok, 8e5)).toBe(true);
  },
);
