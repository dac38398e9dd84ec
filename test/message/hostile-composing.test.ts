/** Messages that are written to cost time and memory when they are composed: slices of bounded size, and no more than four times the mail. */
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import * as fc from 'fast-check';
import { simpleParser } from 'mailparser';
import { describe, expect, test } from 'vitest';
import { composeMail } from '../../src/message/compose.ts';
import { inlineBytes } from '../../src/message/content.ts';
import { estimateBytes, headerEstimate, mostHeaderBytes } from '../../src/message/estimate.ts';
import { defaultMessageLimits, type Content, type Message } from '../../src/message/message.ts';
import type { OutboundMessage } from '../../src/message/outbound.ts';
import { parseMessage } from '../../src/message/schema.ts';
import { fitForTransfer } from '../../src/message/transfer.ts';
import { createTurns, sliceBytes, type Turns } from '../../src/message/turns.ts';
import { longestTurnAllowedMs, longestTurnMs } from '../support/growth.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** Bytes in buffers that are in use. What a collection finds is given back by another thread a moment later. */
async function bytesInUse(): Promise<number> {
  collectGarbage();
  await setImmediate();
  collectGarbage();
  return process.memoryUsage().arrayBuffers;
}

const minimal = { from: 'a@b.example', to: 'c@d.example', subject: 'x' };
const rawHeader = 'From: a@b.example\r\nTo: c@d.example\r\n';
const eightBit = 'Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n';

function parsed(input: OutboundMessage, limits = defaultMessageLimits): Message {
  const result = parseMessage(input, limits);
  if (!result.ok) throw new Error(JSON.stringify(result.issues));
  return result.message;
}

const options = {
  messageId: '<m@b.example>',
  date: new Date(0),
  boundarySeed: 'm',
  contentOf: (content: Content) => inlineBytes(content) ?? Buffer.alloc(0),
};

async function composed(message: Message, turns?: Turns): Promise<Buffer> {
  const mail = await composeMail(message, options, turns);
  if (!mail.ok) throw new Error(mail.problem);
  return mail.value;
}

/** `size` is about the length of the text. */
const attacks: readonly [string, (size: number) => OutboundMessage][] = [
  ['a text of LF', (size) => ({ ...minimal, text: '\n'.repeat(size) })],
  ['HTML of bare CR', (size) => ({ ...minimal, html: '\r'.repeat(size) })],
  ['a text of short lines', (size) => ({ ...minimal, text: 'a\n'.repeat(size / 2) })],
  ['a text of dots', (size) => ({ ...minimal, text: '.\n'.repeat(size / 2) })],
  ['a text of blanks', (size) => ({ ...minimal, text: `a${' '.repeat(size)}` })],
  ['a text of equals signs', (size) => ({ ...minimal, text: 'ab='.repeat(size / 3) })],
  ['a text in one line', (size) => ({ ...minimal, text: 'a'.repeat(size) })],
  ['a text beyond ASCII', (size) => ({ ...minimal, text: 'é'.repeat(size / 2) })],
  [
    'text and HTML of short lines',
    (size) => ({ ...minimal, text: 'a\n'.repeat(size / 4), html: 'b\n'.repeat(size / 4) }),
  ],
  [
    'a text of short lines beside an attachment',
    (size) => ({ ...minimal, text: 'a\n'.repeat(size / 2), attachments: [{ content: 'x' }] }),
  ],
  [
    'an attached mail of LF',
    (size) => ({
      ...minimal,
      attachments: [{ content: `${rawHeader}\n${'\n'.repeat(size)}`, contentType: 'message/rfc822' }],
    }),
  ],
  ['a raw mail of bare CR', (size) => ({ raw: `${rawHeader}\r\n${'\r'.repeat(size)}` })],
  ['a raw mail of dots', (size) => ({ raw: `${rawHeader}\r\n${'.\r\n'.repeat(size / 3)}` })],
  ['a raw mail of 8-bit text', (size) => ({ raw: `${rawHeader}${eightBit}\r\n${'éé\r\n'.repeat(size / 6)}` })],
];

describe('composing', () => {
  test.each(attacks)(
    '%s: it gives way after each slice, and twice the text are at most two and a half times the steps',
    async (_, make) => {
      const stepsOf = async (size: number): Promise<{ steps: number; most: number }> => {
        const seen = { steps: 0, most: 0 };
        await composed(parsed(make(size)), {
          spend(bytes) {
            seen.steps += 1;
            seen.most = Math.max(seen.most, bytes);
            return null;
          },
        });
        return seen;
      };
      const [once, twice] = [await stepsOf(2_000_000), await stepsOf(4_000_000)];
      expect(once.most).toBeLessThanOrEqual(sliceBytes);
      expect(twice.steps).toBeLessThanOrEqual(once.steps * 2.5);
      expect(twice.steps).toBeGreaterThan(once.steps * 1.5);
    },
  );

  test.each(attacks)('%s: no step holds the loop for 100 ms', async (_, make) => {
    const message = parsed(make(4_000_000));
    expect(await longestTurnMs(() => composed(message))).toBeLessThan(longestTurnAllowedMs);
  });

  test.each(attacks)('%s: buffers are never more than four times the mail', async (_, make) => {
    const message = parsed(make(1_000_000));
    const before = await bytesInUse();
    let most = 0;
    const look = async (): Promise<void> => {
      most = Math.max(most, (await bytesInUse()) - before);
    };
    const mail = await composed(message, createTurns(look));
    await look();
    expect(most).toBeGreaterThan(mail.length * 0.9);
    expect(most).toBeLessThan(mail.length * 4);
  });

  test('a mail larger than its limit is measured, and not allocated', async () => {
    const message = parsed({ ...minimal, attachments: [{ content: Buffer.alloc(8_000_000) }] });
    const bytes = Buffer.alloc(8_000_000);
    const before = await bytesInUse();
    const mail = await composeMail(message, { ...options, contentOf: () => bytes, maxBytes: 10_000_000 });
    expect(mail).toMatchObject({
      ok: false,
      reason: 'too-large',
      problem: expect.stringContaining('the limit is 10000000'),
    });
    expect((await bytesInUse()) - before).toBeLessThan(1_000_000);
    const { value } = (await composeMail(message, { ...options, contentOf: () => bytes, maxBytes: 12_000_000 })) as {
      value: Buffer;
    };
    expect(await composeMail(message, { ...options, contentOf: () => bytes, maxBytes: value.length })).toMatchObject({
      ok: true,
    });
    expect(
      await composeMail(message, { ...options, contentOf: () => bytes, maxBytes: value.length - 10 }),
    ).toMatchObject({ ok: false });
  });
});

describe('fitting to a server without 8BITMIME', () => {
  const text = (words: string, times: number): OutboundMessage => ({
    raw: `${rawHeader}${eightBit}\r\n${words.repeat(times)}`,
  });
  const bare = { eightBitMime: false, smtpUtf8: false };

  test('a large text of other letters than ours becomes base64, a third larger and not three times', async () => {
    const mail = await composed(parsed(text('привет мир\r\n', 100_000)));
    const { bytes } = await fitForTransfer(mail, bare);
    expect(bytes.length).toBeLessThan(mail.length * 1.4);
    expect((await simpleParser(bytes)).text).toBe('привет мир\n'.repeat(100_000));
  });

  test('a large text with some letters beyond ASCII, and any small one, can be read as it is', async () => {
    for (const input of [text('Grüße aus dem Süden, mit vielen anderen Zeichen\r\n', 5_000), text('привет\r\n', 10)]) {
      const { bytes } = await fitForTransfer(await composed(parsed(input)), bare);
      expect(bytes.toString('latin1')).toContain('Content-Transfer-Encoding: quoted-printable');
    }
  });
});

describe('what a finished message begins with or holds', () => {
  test.each([
    'From a@b.example Mon Jan  1 00:00:00 2024\n',
    '>From a@b.example Mon Jan  1 00:00:00 2024\r\n',
    '\ufeffFrom x\r\n',
  ])('the mbox line %j is no header: who sends is read behind it, and it is not sent', async (line) => {
    const message = parsed({
      raw: `${line}From: real@b.example\r\nTo: c@d.example\r\n\r\n>From the body\r\nFrom here\r\n`,
    });
    expect(message).toMatchObject({ from: { address: 'real@b.example' }, envelope: { to: ['c@d.example'] } });
    const mail = (await composed(message)).toString();
    expect(mail).toMatch(/^Message-ID: <m@b\.example>\r\nDate: [^\r]+\r\nFrom: real@b\.example\r\n/);
    // What looks like one in the body is content.
    expect(mail).toMatch(/\r\n\r\n>From the body\r\nFrom here\r\n$/);
  });

  test.each([
    ['without a label', ''],
    ['of 8-bit text', eightBit],
    ['of HTML', 'Content-Type: text/html\r\n'],
  ])('a NUL in a text %s arrives as that NUL in base64, and no NUL goes over the wire', async (_, label) => {
    for (const extensions of [
      { eightBitMime: false, smtpUtf8: false },
      { eightBitMime: true, smtpUtf8: true },
    ]) {
      const mail = await composed(parsed({ raw: `${rawHeader}${label}\r\nbefore\0after\r\n` }));
      const { bytes } = await fitForTransfer(mail, extensions);
      expect(bytes.includes(0)).toBe(false);
      expect(bytes.toString('latin1')).toMatch(/Content-Transfer-Encoding: base64\r\n/);
      const body = bytes.toString('latin1').split('\r\n\r\n')[1] ?? '';
      expect(Buffer.from(body, 'base64').toString('latin1')).toBe('before\0after\r\n');
    }
  });

  test('two From fields are refused where it is composed, too', async () => {
    const raw = { content: 'From: a@b.c\r\nFrom: d@e.f\r\n\r\nx', encoding: 'utf8' as const };
    const message = { ...parsed(minimal), raw };
    expect(await composeMail(message, options)).toMatchObject({
      ok: false,
      reason: 'unsendable',
      problem: 'has two From fields',
    });
  });
});

describe('the estimate', () => {
  const word = fc.constantFrom(
    'a',
    'word ',
    'é',
    '日本',
    '🎉',
    '\n',
    '\r',
    '\r\n',
    ' \n',
    '=',
    '\u0001',
    '.',
    'x'.repeat(80),
    '\t',
  );
  const text = fc
    .array(fc.tuple(word, fc.integer({ min: 1, max: 60 })), { maxLength: 30 })
    .map((parts) => parts.map(([each, times]) => each.repeat(times)).join(''));
  const line = text.map((each) => each.replaceAll(/[\r\n\0]/g, ' ').slice(0, 800));
  const message = fc.record({
    ...Object.fromEntries(
      Object.entries({ from: 'a@b.example', to: 'c@d.example' }).map(([key, value]) => [key, fc.constant(value)]),
    ),
    subject: line,
    text,
    html: text,
    attachments: fc.array(fc.record({ content: fc.uint8Array({ maxLength: 3_000 }) }), { maxLength: 2 }),
    replyTo: fc.array(
      fc.record({
        name: line.map((each) => each.replaceAll(/\p{Cc}/gu, ' ').slice(0, 60)),
        address: fc.constant('r@b.example'),
      }),
      { maxLength: 20 },
    ),
    references: fc.array(fc.constant('<reference@b.example>'), { maxLength: 30 }),
    headers: fc.dictionary(
      fc.constantFrom('X-A', 'X-B'),
      line.map((each) => `x${each}`),
      { maxKeys: 2 },
    ),
  });

  test('is never less than nine tenths of the composed mail, and the header never larger than is said', async () => {
    await fc.assert(
      fc.asyncProperty(message, async (input) => {
        const result = parseMessage(input, defaultMessageLimits);
        fc.pre(result.ok);
        if (!result.ok) return;
        const mail = await composed(result.message);
        const limit = Math.floor(mail.length * 0.9);
        expect(estimateBytes(result.message, limit)).toBeGreaterThan(limit);
        const header = mail.indexOf('\r\n\r\n');
        // From, Message-ID, Date and what MIME adds.
        expect(headerEstimate(result.message) + 512).toBeGreaterThan(header);
        expect(mostHeaderBytes(result.message)).toBeGreaterThanOrEqual(headerEstimate(result.message));
      }),
      { numRuns: 200 },
    );
  });

  test.each<[string, OutboundMessage]>([
    ['line ends', { ...minimal, text: 'a\n'.repeat(6_000) }],
    ['base64 of a text', { ...minimal, text: 'é'.repeat(5_500) }],
    ['quoted-printable', { ...minimal, text: 'abc='.repeat(3_000) }],
    ['bare CR of a raw mail', { raw: `${rawHeader}\r\n${'\r'.repeat(8_000)}` }],
    [
      'replyTo',
      { ...minimal, replyTo: Array.from({ length: 100 }, (_, i) => `user${i}.${'x'.repeat(150)}@d.example`) },
    ],
    ['references', { ...minimal, references: Array.from({ length: 100 }, () => `<${'x'.repeat(160)}@d.example>`) }],
    ['bcc', { ...minimal, bcc: Array.from({ length: 100 }, (_, i) => `user${i}.${'x'.repeat(150)}@d.example`) }],
  ])('counts %s', (_, input) => {
    expect(parseMessage(input, { maxRecipients: 500, maxBytes: 14_500 })).toMatchObject({
      ok: false,
      issues: [{ rule: 'too-large' }],
    });
    expect(parseMessage(input, { maxRecipients: 500, maxBytes: 25_000 })).toMatchObject({ ok: true });
  });
});
