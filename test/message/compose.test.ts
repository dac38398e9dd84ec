/** Composed mail: kept fixtures, what another parser reads, and what holds for any text. */
import { readFile, writeFile } from 'node:fs/promises';
import * as fc from 'fast-check';
import { simpleParser, type AddressObject } from 'mailparser';
import { describe, expect, test } from 'vitest';
import type { ComposeOptions } from '../../src/message/compose.ts';
import { inlineBytes } from '../../src/message/content.ts';
import { decodeEncodedWords } from '../../src/message/encoded-words.ts';
import { defaultMessageLimits, type Content } from '../../src/message/message.ts';
import { readHeaderBlock } from '../../src/message/header-block.ts';
import type { OutboundMessage } from '../../src/message/outbound.ts';
import { parseMessage } from '../../src/message/schema.ts';
import { composedMail } from '../support/compose.ts';

function contentOf(content: Content): Buffer {
  const bytes = inlineBytes(content);
  if (bytes === null) throw new Error('stored content');
  return bytes;
}

const options: ComposeOptions = {
  messageId: '<019a0000-0000-7000-8000-000000000000@example.com>',
  date: new Date('2026-01-02T03:04:05.678Z'),
  boundarySeed: '019a0000-0000-7000-8000-000000000000',
  contentOf,
};

async function compose(input: OutboundMessage, some = options): Promise<Buffer> {
  const parsed = parseMessage(input, defaultMessageLimits);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.issues));
  return await composedMail(parsed.message, some);
}

const examples: Record<string, OutboundMessage> = {
  plain: {
    from: 'Sales <sales@example.com>',
    to: ['a@example.net', '"Doe, John" <j.doe@example.org>'],
    bcc: 'secret@example.org',
    subject: 'Hi',
    text: 'Hello\n.\nFrom here\n',
  },
  everything: {
    from: 'Jörg Müller <sales@bücher.example>',
    to: { name: 'a@b.c, "x"', address: 'a@example.net' },
    cc: ['Жанна <z@example.org>', '"a..b"@example.org'],
    bcc: 'secret@example.org',
    replyTo: 'answers@example.com',
    subject: 'Grüße an "alle" 🎉',
    text: 'Grüße\nund mehr',
    html: '<p>Grüße <img src="cid:logo"></p>',
    attachments: [
      { filename: 'Übersicht.csv', content: 'a;ü\n' },
      { filename: 'logo.png', contentType: 'image/png', cid: 'logo', content: new Uint8Array([137, 80, 78, 71]) },
      { contentType: 'message/rfc822', content: 'From: a@b.c\nSubject: inner\n\nhi\n' },
    ],
    headers: { 'List-Unsubscribe': '<https://example.com/u?q="1">', 'X-Note': 'übrig', 'X-Two': ['1', '2'] },
    inReplyTo: 'q@example.net',
    references: ['p@example.net', 'q@example.net'],
  },
};

describe('a composed mail', () => {
  test.each(Object.entries(examples))(
    'of the example %s is byte for byte the one kept as fixture',
    async (name, input) => {
      const file = new URL(`fixtures/${name}.eml`, import.meta.url);
      const bytes = await compose(input);
      // Written anew by UPDATE_FIXTURES=1, to be read before it is committed.
      if (process.env['UPDATE_FIXTURES'] === '1') await writeFile(file, bytes);
      expect(bytes.toString('latin1')).toBe(await readFile(file, 'latin1'));
    },
  );

  test('says to another parser what the message says', async () => {
    const mail = await simpleParser(await compose(examples['everything'] ?? {}));
    const mailboxes = (list: AddressObject | AddressObject[] | undefined) =>
      [list ?? []].flat().flatMap((each) => each.value.map(({ name, address }) => [name, address]));
    expect(mailboxes(mail.from)).toEqual([['Jörg Müller', 'sales@bücher.example']]);
    expect(mailboxes(mail.to)).toEqual([['a@b.c, "x"', 'a@example.net']]);
    expect(mail).toMatchObject({
      subject: 'Grüße an "alle" 🎉',
      text: 'Grüße\nund mehr',
      messageId: options.messageId,
      inReplyTo: '<q@example.net>',
      references: ['<p@example.net>', '<q@example.net>'],
      date: new Date('2026-01-02T03:04:05Z'),
    });
    expect(mail.attachments.map(({ filename, content }) => [filename, content.toString('latin1')])).toEqual(
      expect.arrayContaining([
        ['Übersicht.csv', Buffer.from('a;ü\n').toString('latin1')],
        ['logo.png', '\x89PNG'],
      ]),
    );
    expect(mail.headers.get('x-two')).toEqual(['1', '2']);
    expect(decodeEncodedWords(mail.headers.get('x-note') as string)).toBe('übrig');
    expect(mail.bcc).toBeUndefined();
  });

  test('is the same whenever and wherever it is composed, and another for another id', async () => {
    const input = examples['everything'] ?? {};
    const first = await compose(input);
    expect(await compose(input)).toEqual(first);
    expect(await compose(input, { ...options, boundarySeed: 'other' })).not.toEqual(first);
  });

  test('rejects with the error of content that cannot be had', async () => {
    const lost = () => Promise.reject(new Error('gone'));
    await expect(compose(examples['everything'] ?? {}, { ...options, contentOf: lost })).rejects.toThrow('gone');
  });

  test('may be empty, or one attachment alone', async () => {
    const empty = await simpleParser(await compose({ from: 'a@b.c', to: 'd@e.f' }));
    expect(empty.text?.trim() ?? '').toBe('');
    const alone = await simpleParser(
      await compose({ from: 'a@b.c', to: 'd@e.f', attachments: [{ filename: 'a.bin', content: '' }] }),
    );
    expect(alone.attachments.map(({ filename, size }) => [filename, size])).toEqual([['a.bin', 0]]);
  });

  const word = fc.oneof(
    fc.constantFrom(
      ' ',
      '\t',
      '"',
      '<',
      '>',
      ',',
      '=?utf-8?Q?=0D=0ABcc:_x?=',
      'ü',
      '🎉',
      '\\',
      ':',
      ' '.repeat(300),
      'x'.repeat(200),
    ),
    fc.string({ unit: 'grapheme', maxLength: 4 }),
  );
  const oneLine = fc
    .array(word, { maxLength: 12 })
    .map((words) => words.join('').replaceAll(/\p{Cc}|\u2028|\u2029/gu, ' '));

  test('is 7-bit, in short lines that end in CRLF, and has exactly its own header fields, whatever the text', async () => {
    const content = fc.string({ unit: fc.constantFrom('a', '\r', '\n', '.', 'ü', '\0', 'x'.repeat(1100)) });
    await fc.assert(
      fc.asyncProperty(oneLine, oneLine, content, oneLine, async (subject, name, text, value) => {
        const input = {
          from: { name, address: 'a@b.c' },
          to: 'd@e.f',
          bcc: 's@e.f',
          subject,
          text: `t${text.replaceAll('\0', '')}`,
          headers: { 'X-A': value },
          attachments: [{ content: text, filename: 'a' }],
        };
        fc.pre(parseMessage(input, defaultMessageLimits).ok);
        const bytes = await compose(input);
        const lines = bytes.toString('latin1').split('\r\n');
        expect(lines.filter((line) => /[\r\n\x80-\xff]/.test(line) || line.length > 998)).toEqual([]);
        const block = readHeaderBlock(bytes);
        expect(block.problem).toBeNull();
        const expected = [
          'x-a',
          'from',
          'to',
          'message-id',
          'date',
          'mime-version',
          'content-type',
          ...(subject.trim() === '' ? [] : ['subject']),
        ];
        expect(block.fields.map((field) => field.name.toLowerCase()).toSorted()).toEqual(expected.toSorted());
        // A folded line of white space alone would end the header for some programs.
        expect(bytes.toString('latin1', 0, block.bodyStart)).not.toMatch(/\r\n[ \t]+\r\n/);
      }),
      { numRuns: 300 },
    );
  });

  test('attack: text that holds the boundary of its own message adds no part', async () => {
    const input = { from: 'a@b.c', to: 'd@e.f', text: 'hello', html: '<p>' };
    const boundary = /boundary="([^"]*)"/.exec((await compose(input)).toString('latin1'))?.[1] ?? '';
    expect(boundary).not.toBe('');
    const text = `hello\r\n--${boundary}\r\nContent-Disposition: attachment; filename=evil.exe\r\n\r\nevil`;
    const mail = await simpleParser(await compose({ ...input, text }));
    expect(mail.attachments).toEqual([]);
    expect(mail.text).toContain('evil');
  });
});

describe('a raw message', () => {
  test('passes byte for byte, but for Bcc and line ends', async () => {
    const raw = Buffer.from(
      'From: a@b.c\nBcc: s@b.c\nTo: d@e.f\nMessage-ID: <m@x>\nDate: d\nSubject: \xfc\n\nBcc: body\r\n\x01\xff',
      'latin1',
    );
    const bytes = await compose({ raw });
    expect(bytes.toString('latin1')).toBe(
      'From: a@b.c\r\nTo: d@e.f\r\nMessage-ID: <m@x>\r\nDate: d\r\nSubject: \xfc\r\n\r\nBcc: body\r\n\x01\xff',
    );
  });
});
