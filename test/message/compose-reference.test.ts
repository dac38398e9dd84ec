/**
 * The mail is byte for byte what nodemailer's own builder makes of the same message, whatever is in it.
 *
 * One exception has tests of its own (octets.test.ts): nodemailer sends a NUL in message/* as it is, and it is lost on the way.
 */
import * as fc from 'fast-check';
import MailComposer from 'nodemailer/lib/mail-composer';
import { describe, expect, test } from 'vitest';
import { inlineBytes } from '../../src/message/content.ts';
import {
  defaultMessageLimits,
  type Attachment,
  type Content,
  type Mailbox,
  type Message,
} from '../../src/message/message.ts';
import type { InlineAttachment, OutboundMessage } from '../../src/message/outbound.ts';
import { parseMessage } from '../../src/message/schema.ts';
import { composedMail } from '../support/compose.ts';

const messageId = '<019a0000-0000-7000-8000-000000000000@example.com>';
const date = new Date('2026-01-02T03:04:05.678Z');

function contentOf(content: Content): Buffer {
  const bytes = inlineBytes(content);
  if (bytes === null) throw new Error('stored content');
  return bytes;
}

const crlf = (text: string | undefined): string | undefined => text?.replaceAll(/\r\n|\r|\n/g, '\r\n');
const fewSpaces = (text: string): string => text.replaceAll(/[ \t]{20,}/g, ' ').trim();

/** Composed by nodemailer's streams. The boundary's seed is taken from our bytes, as it is a hash of the whole. */
async function reference(message: Message, ours: Buffer): Promise<Buffer> {
  const people = (list: readonly Mailbox[]) =>
    list.map(({ name, address }) => ({ name: fewSpaces(name ?? ''), address }));
  const isMessage = ({ contentType }: Attachment): boolean => /^message\//i.test(contentType ?? '');
  const bytesOf = (attachment: Attachment): Buffer =>
    isMessage(attachment)
      ? Buffer.from(crlf(contentOf(attachment).toString('latin1')) ?? '', 'latin1')
      : contentOf(attachment);
  const mail = new MailComposer({
    from: people(message.from === undefined ? [] : [message.from]),
    to: people(message.to),
    cc: people(message.cc),
    replyTo: people(message.replyTo),
    subject: message.subject === undefined ? undefined : fewSpaces(message.subject),
    text: crlf(message.text),
    html: crlf(message.html),
    attachments: message.attachments.map((attachment) => ({
      content: bytesOf(attachment),
      filename: attachment.filename,
      contentType: attachment.contentType,
      cid: attachment.cid,
      contentDisposition: attachment.disposition,
    })),
    headers: Object.entries(message.headers).flatMap(([key, values]) =>
      values.map((each) => {
        const value = fewSpaces(each);
        return { key, value: /^[\t -~]*$/.test(value) ? { prepared: true, foldLines: true, value } : value };
      }),
    ),
    inReplyTo: message.inReplyTo,
    references: [...message.references],
    messageId,
    date,
    baseBoundary: /--_NmP-([0-9a-f]{32})-Part_/.exec(ours.toString('latin1'))?.[1],
  });
  return await mail.compile().build();
}

async function both(input: OutboundMessage): Promise<{ ours: string; theirs: string }> {
  const parsed = parseMessage(input, defaultMessageLimits);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.issues));
  const { message } = parsed;
  const ours = await composedMail(message, { messageId, date, boundarySeed: 'seed', contentOf });
  const theirs = await reference(message, ours);
  return { ours: ours.toString('latin1'), theirs: theirs.toString('latin1') };
}

/** Text out of words that meet the edges: of lines, of escapes, of UTF-8 sequences, of soft breaks. */
function textOf(words: readonly string[], maxLength: number): fc.Arbitrary<string> {
  const repeated = fc.tuple(fc.constantFrom(...words), fc.integer({ min: 1, max: 90 }));
  const piece = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(...words) },
    { weight: 1, arbitrary: repeated.map(([word, times]) => word.repeat(times)) },
    { weight: 1, arbitrary: fc.string({ unit: 'grapheme', maxLength: 8 }) },
  );
  return fc.array(piece, { maxLength }).map((pieces) => pieces.join('').replaceAll('\0', ' '));
}

const marks = ['\r\n', '\n', '\r', ' ', '\t', '.', ',', '!', '?', '='];
const body = fc.oneof(
  textOf(['a', 'word ', 'x'.repeat(75), 'x'.repeat(76), ...marks], 60),
  textOf(['a', 'ü', '🎉', 'Жанна', '\ud800', '\u0001', '\u007f', '\u2028', 'word ', ...marks], 60),
);
const line = textOf(
  [
    'a',
    ' ',
    '"',
    '\\',
    '<',
    '>',
    ',',
    ':',
    ';',
    '(',
    "'",
    '=?',
    '=?utf-8?Q?=41?=',
    'ü',
    '🎉',
    '\t',
    'word ',
    'x'.repeat(70),
    '\u007f',
  ],
  12,
).map((text) => text.replaceAll(/[\r\n\0]/g, ' ').slice(0, 850));
const address = fc.constantFrom(
  'a@example.net',
  'first.last+tag@sub.example.org',
  "o'hara!#$%&*/=?^_`{|}~@example.com",
  '"a..b"@example.org',
  '"a b"@example.org',
  'jürgen@example.net',
  'jürgen@bücher.example',
  'a@bücher.example',
  'a@xn--bcher-kva.example',
  'a@EXAMPLE.net',
  'a@a--b.example',
  'a@localhost',
  `a@${'x'.repeat(63)}.${'y'.repeat(63)}.example`,
  `${'l'.repeat(64)}@example.net`,
);
const name = line.map((text) => text.replaceAll(/[\p{Cc}\u2028\u2029]/gu, ' ').slice(0, 60));
const mailbox = fc.record({ name, address });
const mailboxes = fc.array(mailbox, { minLength: 1, maxLength: 6 });
const id = fc.constantFrom('q@example.net', 'a.b$c@x', `${'i'.repeat(80)}@example.net`, '<p@example.net>');
const value = line.map((text) => (text.trim() === '' ? 'x' : text));
const headers = fc.dictionary(
  fc.constantFrom('X-A', 'x-b', 'List-Unsubscribe', 'X-SMTPAPI', 'x-spf', 'OTP-Token', 'Content', 'Precedence'),
  fc.oneof(value, fc.array(value, { minLength: 1, maxLength: 3 })),
  { maxKeys: 3 },
);
/** Without NUL, which nodemailer leaves in message/* as it is. */
const withoutNul = ({ content, ...rest }: InlineAttachment): InlineAttachment => ({
  ...rest,
  content: typeof content === 'string' ? content.replaceAll('\0', ' ') : content.map((byte) => byte || 1),
});
const anyAttachment: fc.Arbitrary<InlineAttachment> = fc.record(
  {
    content: fc.oneof(body, fc.uint8Array({ maxLength: 400 })),
    filename: name,
    contentType: fc.constantFrom(
      'application/pdf',
      'text/plain',
      'image/png',
      'message/rfc822',
      'text/csv; charset="utf-8"',
    ),
    cid: fc.constantFrom('logo', 'logo@example.com'),
    disposition: fc.constantFrom('inline' as const, 'attachment' as const),
  },
  { requiredKeys: ['content'] },
);
const attachment = anyAttachment.map((each) => (each.contentType === 'message/rfc822' ? withoutNul(each) : each));

describe('a mail equals nodemailer’s', () => {
  const requiredKeys = ['from', 'to'] as const;

  test('for any text, HTML or both, under any header', async () => {
    const input = fc.record(
      {
        from: mailbox,
        to: mailboxes,
        cc: mailboxes,
        replyTo: mailboxes,
        subject: line,
        text: body,
        html: body,
        headers,
        inReplyTo: id,
        references: fc.array(id, { maxLength: 4 }),
      },
      { requiredKeys: [...requiredKeys] },
    );
    await fc.assert(
      fc.asyncProperty(input, async (some) => {
        const { ours, theirs } = await both(some);
        expect(ours).toBe(theirs);
      }),
      { numRuns: 1_000 },
    );
  });

  test('with any attachments: mixed, related, alone', async () => {
    const input = fc.record(
      {
        from: mailbox,
        to: mailboxes,
        subject: line,
        text: body,
        html: body,
        headers,
        attachments: fc.array(attachment, { minLength: 1, maxLength: 3 }),
      },
      { requiredKeys: [...requiredKeys, 'attachments'] },
    );
    await fc.assert(
      fc.asyncProperty(input, async (some) => {
        const { ours, theirs } = await both(some);
        expect(ours).toBe(theirs);
      }),
      { numRuns: 500 },
    );
  });

  test.each<[string, string]>([
    ['lines', 'The quick brown fox jumps over the lazy dog, and sleeps.\n'],
    [
      'umlauts',
      'Der schnelle Füchs springt über den müden Hund und schläft dann aus, weil er müde ist, sehr müde sogar!\n',
    ],
    ['one line without a blank', 'x'],
    ['one line of three-byte characters', '漢'],
    ['blanks', ' '],
    ['line ends', '\r\n'],
    ['LF', '\n'],
    ['bare CR', 'ab\r'],
    ['blanks before line ends', 'word \n\t\r\n'],
    ['HTML', '<td style="padding:0 10px">Grüße, a=b</td>'],
  ])('for text larger than what is encoded at a time: %s', async (_, unit) => {
    const mails: OutboundMessage[] = [];
    for (const length of [65_535, 65_536, 65_537, 128 * 1024, 128 * 1024 + 1, 200_001]) {
      const text = unit.repeat(Math.ceil(length / unit.length)).slice(0, length);
      mails.push({ from: 'a@b.example', to: 'c@d.example', text });
      mails.push({ from: 'a@b.example', to: 'c@d.example', text: `ü${text}ü  ` });
    }
    for (const mail of mails) {
      const { ours, theirs } = await both(mail);
      expect(ours).toBe(theirs);
    }
  });

  test('for attachments around the length of a base64 line', async () => {
    const mails: OutboundMessage[] = [];
    for (const length of [0, 1, 2, 3, 56, 57, 58, 113, 114, 115, 29_183, 29_184, 29_185, 100_000]) {
      const content = Buffer.alloc(length, 'abcdefghijk');
      mails.push({ from: 'a@b.example', to: 'c@d.example', attachments: [{ content, filename: 'a.bin' }] });
    }
    for (const mail of mails) {
      const { ours, theirs } = await both(mail);
      expect(ours).toBe(theirs);
    }
  });
});
