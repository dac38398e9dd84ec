/** The message schema: the normal form, the refusals, and what holds for any input. */
import * as fc from 'fast-check';
import { describe, expect, expectTypeOf, test } from 'vitest';
import type { z } from 'zod';
import type { messageSchema } from '../../src/message/fields.ts';
import { defaultMessageLimits, type Message } from '../../src/message/message.ts';
import { messageRules } from '../../src/message/rules.ts';
import type { OutboundMessage } from '../../src/message/outbound.ts';
import { parseMessage } from '../../src/message/schema.ts';

const limits = defaultMessageLimits;
const minimal = { from: 'Sales <sales@example.com>', to: 'a@example.net', subject: 'Hi', text: 'Hello' };

function accept(input: unknown): Message {
  const parsed = parseMessage(input, limits);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.issues));
  return parsed.message;
}

/** The broken rules as `field: rule`. */
function refusals(input: unknown, some = limits): string[] {
  const parsed = parseMessage(input, some);
  return parsed.ok ? [] : parsed.issues.map(({ field, rule }) => `${field}: ${rule}`);
}

describe('the normal form', () => {
  test('has every default, lists of mailboxes and a filled envelope', () => {
    expect(accept(minimal)).toStrictEqual({
      from: { name: 'Sales', address: 'sales@example.com' },
      to: [{ address: 'a@example.net' }],
      cc: [],
      bcc: [],
      replyTo: [],
      subject: 'Hi',
      text: 'Hello',
      attachments: [],
      headers: {},
      references: [],
      envelope: { from: 'sales@example.com', to: ['a@example.net'] },
      priority: 'normal',
    });
  });

  test('lists every recipient once in the envelope, and keeps apart local parts that differ in case', () => {
    const message = accept({ to: ['a@b.C', 'A@b.c'], cc: 'x@y.z', bcc: ['a@B.c', 'Z <z@y.z>'] });
    expect(message.envelope).toEqual({ to: ['a@b.c', 'A@b.c', 'x@y.z', 'z@y.z'] });
  });

  test('takes the given envelope, whose from may be the null reverse-path', () => {
    expect(accept({ ...minimal, envelope: { from: '', to: 'r@s.t' } }).envelope).toEqual({ from: '', to: ['r@s.t'] });
    expect(accept({ ...minimal, envelope: { from: 'b@c.d' } }).envelope).toEqual({
      from: 'b@c.d',
      to: ['a@example.net'],
    });
  });

  test('has bytes as base64 and text as utf8', () => {
    const bytes = new Uint8Array([9, 0, 255, 9]).subarray(1, 3);
    const { attachments } = accept({
      ...minimal,
      attachments: [{ content: bytes }, { content: 'é', cid: '<logo>' }, { content: 'AP8=\r\n', encoding: 'base64' }],
    });
    expect(attachments).toStrictEqual([
      { content: 'AP8=', encoding: 'base64', disposition: 'attachment' },
      { content: 'é', encoding: 'utf8', cid: 'logo', disposition: 'inline' },
      { content: 'AP8=', encoding: 'base64', disposition: 'attachment' },
    ]);
  });

  test.each([new Date('2030-01-01T00:00:00Z'), '2030-01-01T01:00:00+01:00', Date.UTC(2030, 0, 1)])(
    'has the time %s in UTC',
    (sendAt) => {
      expect(accept({ ...minimal, sendAt }).sendAt).toBe('2030-01-01T00:00:00.000Z');
    },
  );

  test('puts angle brackets around message ids', () => {
    expect(accept({ ...minimal, inReplyTo: 'a@b', references: 'x@y <a@b>' })).toMatchObject({
      inReplyTo: '<a@b>',
      references: ['<x@y>', '<a@b>'],
    });
  });

  test('has no lone surrogates', () => {
    const message = accept({ ...minimal, subject: 'a\ud800', text: '\udc00', metadata: { k: '\ud800' } });
    expect(JSON.stringify(message)).not.toMatch(/\\ud/i);
    expect(message.subject).toBe('a\ufffd');
  });

  test('of a raw message takes sender and recipients from its header, where they are not given', () => {
    const raw = 'From: Ann <a@b.c>\nTo: x@y.z\nBcc: secret@y.z\n\nhi';
    expect(accept({ raw })).toMatchObject({
      from: { name: 'Ann', address: 'a@b.c' },
      to: [],
      envelope: { from: 'a@b.c', to: ['x@y.z', 'secret@y.z'] },
    });
    expect(accept({ raw, from: 'o@p.q', to: 'r@s.t' })).toMatchObject({ envelope: { from: 'o@p.q', to: ['r@s.t'] } });
    expect(accept({ raw: Buffer.from(raw) }).raw).toEqual({
      content: Buffer.from(raw).toString('base64'),
      encoding: 'base64',
    });
    expect(accept({ raw: { ref: 'a'.repeat(64), size: 9 }, to: 'x@y.z' }).envelope).toEqual({ to: ['x@y.z'] });
  });
});

test('long words beyond ASCII are taken, as they are sent in encoded words', () => {
  expect(refusals({ ...minimal, subject: 'あ'.repeat(999), headers: { 'X-A': `${'x'.repeat(999)}é` } })).toEqual([]);
});

describe('refusals', () => {
  test.each<[string, object, string[]]>([
    ['no recipient', { from: 'a@b.c' }, ['to: no-recipient']],
    ['an empty envelope', { to: 'a@b.c', envelope: { to: [] } }, ['envelope.to: no-recipient']],
    ['a bad address in a list', { to: ['a@b.c', 'x'] }, ['to[1]: address']],
    ['a bad address in an object', { to: { address: 'x' } }, ['to: address']],
    ['a number as address', { to: 3 }, ['to: type']],
    ['an unknown field of a mailbox', { to: { address: 'a@b.c', nam: 'x' } }, ['to.nam: unknown-key']],
    ['an id with a space', { ...minimal, id: 'a b' }, ['id: id']],
    ['an id of 129 characters', { ...minimal, id: 'a'.repeat(129) }, ['id: id']],
    ['an owned header', { ...minimal, headers: { 'message-ID': '<a@b>' } }, ['headers.message-ID: header-owned']],
    ['an empty header', { ...minimal, headers: { 'X-A': ' ' } }, ['headers.X-A: header-value']],
    ['a header name with a space', { ...minimal, headers: { 'X A': 'b' } }, ['headers.X A: header-name']],
    [
      'a word that cannot be folded',
      { ...minimal, headers: { 'X-A': ['b', 'x'.repeat(999)] } },
      ['headers.X-A[1]: line-length'],
    ],
    ['a subject that cannot be folded', { ...minimal, subject: 'x'.repeat(999) }, ['subject: line-length']],
    ['a NUL in a body', { ...minimal, html: 'a\0' }, ['html: control-character']],
    [
      'bad base64',
      { ...minimal, attachments: [{ content: 'a-b_', encoding: 'base64' }] },
      ['attachments[0].content: base64'],
    ],
    [
      'base64 without padding',
      { ...minimal, attachments: [{ content: 'YQ', encoding: 'base64' }] },
      ['attachments[0].content: base64'],
    ],
    [
      'a multipart attachment',
      { ...minimal, attachments: [{ content: '', contentType: 'multipart/mixed' }] },
      ['attachments[0].contentType: content-type'],
    ],
    ['a short ref', { ...minimal, attachments: [{ ref: 'ab', size: 1 }] }, ['attachments[0].ref: content-ref']],
    [
      'a negative size',
      { ...minimal, attachments: [{ ref: 'a'.repeat(64), size: -1 }] },
      ['attachments[0].size: content-ref'],
    ],
    [
      'text beside raw',
      { raw: 'From: a@b.c\nTo: d@e.f\n\n', text: 'x', subject: 'y' },
      ['subject: raw-excludes', 'text: raw-excludes'],
    ],
    ['stored raw without recipients', { raw: { ref: 'a'.repeat(64), size: 1 } }, ['to: no-recipient']],
    ['raw with unreadable recipients', { raw: 'From: a@b.c\nTo: bob\n\n' }, ['raw: raw-header']],
    ['a time without a zone', { ...minimal, sendAt: '2030-01-01T00:00:00' }, ['sendAt: date']],
    ['a day that is none', { ...minimal, sendAt: '2030-02-30T00:00:00Z' }, ['sendAt: date']],
    ['a time in seconds', { ...minimal, sendAt: 1_900_000_000 }, ['sendAt: date']],
    ['an invalid Date', { ...minimal, sendAt: new Date(Number.NaN) }, ['sendAt: type']],
    [
      'expiry before sending',
      { ...minimal, sendAt: '2030-01-02T00:00:00Z', expiresAt: '2030-01-01T00:00:00Z' },
      ['expiresAt: date-order'],
    ],
    [
      '51 notes',
      { ...minimal, metadata: Object.fromEntries(Array.from({ length: 51 }, (_, i) => [`k${i}`, ''])) },
      ['metadata: metadata'],
    ],
    ['notes of 4 KiB and a byte', { ...minimal, metadata: { k: 'x'.repeat(4096) } }, ['metadata: metadata']],
    ['an unknown word for reports', { ...minimal, dsn: { notify: ['failed'] } }, ['dsn.notify[0]: type']],
    ['never beside another word', { ...minimal, dsn: { notify: ['never', 'failure'] } }, ['dsn.notify[0]: type']],
    ['an empty list of words for reports', { ...minimal, dsn: { notify: [] } }, ['dsn.notify: type']],
    ['an unknown part of a mail', { ...minimal, dsn: { return: 'hdrs' } }, ['dsn.return: type']],
    ['an unknown field of dsn', { ...minimal, dsn: { notfy: 'never' } }, ['dsn.notfy: unknown-key']],
    ['an unknown priority', { ...minimal, priority: 'urgent' }, ['priority: type']],
  ])('name field and rule of %s', (_, input, expected) => {
    expect(refusals(input)).toEqual(expected);
  });

  test('come all at once', () => {
    expect(refusals({ to: 'x', id: 'ü', subjekt: 'a', headers: { From: 'a', 'X-A': 'b\n' } })).toEqual([
      'subjekt: unknown-key',
      'id: id',
      'to: address',
      'headers.From: header-owned',
      'headers.X-A: control-character',
    ]);
  });

  test('suggest the field that was meant', () => {
    const parsed = parseMessage({ ...minimal, reply_to: 'a@b.c' }, limits);
    expect(parsed).toMatchObject({
      issues: [{ field: 'reply_to', message: 'unknown field "reply_to"; did you mean "replyTo"?' }],
    });
  });

  test('are at most 100', () => {
    expect(refusals({ to: Array.from({ length: 1000 }, () => 'x') })).toHaveLength(100);
  });

  test('count recipients against the limit once each', () => {
    const two = { maxRecipients: 2, maxBytes: 1e6 };
    expect(refusals({ ...minimal, to: ['a@b.c', 'd@e.f'], cc: 'a@b.c' }, two)).toEqual([]);
    expect(refusals({ ...minimal, to: ['a@b.c', 'd@e.f'], bcc: 'g@h.i' }, two)).toEqual(['to: too-many-recipients']);
  });

  test('estimate the composed size, with attachments in base64 and stored ones by their size', () => {
    const small = { maxRecipients: 9, maxBytes: 10_000 };
    expect(refusals({ ...minimal, text: 'x'.repeat(9000) }, small)).toEqual([]);
    expect(refusals({ ...minimal, text: 'x'.repeat(10_001) }, small)).toEqual([': too-large']);
    expect(refusals({ ...minimal, attachments: [{ content: 'x'.repeat(8000) }] }, small)).toEqual([': too-large']);
    expect(refusals({ ...minimal, attachments: [{ ref: 'a'.repeat(64), size: 8000 }] }, small)).toEqual([
      ': too-large',
    ]);
    expect(refusals({ raw: { ref: 'a'.repeat(64), size: 10_001 }, to: 'a@b.c' }, small)).toEqual(['raw: too-large']);
  });
});

const local = fc.stringMatching(/^[a-zA-Z0-9]{1,10}$/);
const mailbox = fc.oneof(
  local.map((name) => `${name}@Example.com`),
  fc.record({
    name: fc.string({ unit: 'grapheme', maxLength: 20 }).filter((name) => !/\p{Cc}|\u2028|\u2029/u.test(name)),
    address: local.map((name) => `${name}@bücher.example`),
  }),
);
const printableText = fc.string({ unit: 'grapheme' }).map((text) => text.replaceAll(/[\r\n\0]/g, ''));
const some = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const attachment = fc.oneof(
  fc.record({ content: fc.uint8Array(), filename: some(fc.constant('ü.pdf')), cid: some(fc.constant('<c>')) }),
  fc.record({ content: fc.string({ unit: 'binary' }), contentType: fc.constant('text/plain; charset=utf-8') }),
  fc.record({
    ref: fc.constant('0f'.repeat(32)),
    size: fc.nat(1e6),
    disposition: fc.constantFrom('inline' as const, 'attachment' as const),
  }),
);
const common = {
  id: some(fc.stringMatching(/^[A-Za-z][A-Za-z0-9_-]{0,127}$/)),
  from: some(mailbox),
  to: fc.oneof(mailbox, fc.array(mailbox, { minLength: 1, maxLength: 4 })),
  bcc: some(mailbox),
  envelope: some(fc.record({ from: fc.constantFrom('', 'b@C.d') })),
  priority: some(fc.constantFrom('high' as const, 'low' as const)),
  sendAt: some(fc.date({ min: new Date('2000-01-01'), max: new Date('2100-01-01'), noInvalidDate: true })),
  metadata: some(fc.dictionary(fc.stringMatching(/^[a-z]{1,5}$/), printableText, { maxKeys: 5 })),
};
const composed: fc.Arbitrary<OutboundMessage> = fc.record({
  ...common,
  subject: some(printableText),
  text: some(printableText),
  attachments: some(fc.array(attachment, { maxLength: 3 })),
  headers: some(
    fc.dictionary(
      fc.stringMatching(/^X-[a-z]{1,5}$/),
      printableText.map((text) => `x${text}`),
      { maxKeys: 3 },
    ),
  ),
  references: some(fc.constantFrom('a@b', 'a@b <c@d>')),
});
const finished: fc.Arbitrary<OutboundMessage> = fc.record({
  ...common,
  raw: printableText.map((text) => `From: "${text.replaceAll(/["\\]|\p{Cc}|\u2028|\u2029/gu, '')}" <a@b.c>\n\n${text}`),
});

describe('for any input', () => {
  test('parseMessage never throws', () => {
    const anyMessage = fc.dictionary(
      fc.constantFrom(
        'to',
        'from',
        'raw',
        'attachments',
        'headers',
        'envelope',
        'sendAt',
        'metadata',
        'references',
        'id',
      ),
      fc.anything({
        withBigInt: true,
        withDate: true,
        withTypedArray: true,
        withNullPrototype: true,
        withSparseArray: true,
      }),
    );
    fc.assert(
      fc.property(fc.oneof(fc.anything(), anyMessage), (input) => {
        const parsed = parseMessage(input, limits);
        const rules = parsed.ok ? [] : parsed.issues.map(({ rule }) => rule);
        expect(rules.filter((rule) => !Object.hasOwn(messageRules, rule))).toEqual([]);
      }),
      { numRuns: 1000 },
    );
  });

  test('the normal form, sent as JSON, parses to itself', () => {
    fc.assert(
      fc.property(fc.oneof(composed, finished), (input) => {
        const message = accept(input);
        expect(accept(JSON.parse(JSON.stringify(message)))).toStrictEqual(message);
      }),
      { numRuns: 300 },
    );
  });
});

test('the normal form has the type of an input', () => {
  type Mutable<T> = T extends Uint8Array | Date
    ? T
    : T extends readonly (infer E)[]
      ? Mutable<E>[]
      : T extends object
        ? { -readonly [K in keyof T]: Mutable<T[K]> }
        : T;
  expectTypeOf<Mutable<Message>>().toExtend<OutboundMessage>();
});

test('the hand-written type of a message is exactly what the schema takes', () => {
  expectTypeOf<OutboundMessage>().toEqualTypeOf<Given<z.input<typeof messageSchema>>>();
  expectTypeOf<Given<z.input<typeof messageSchema>>>().toEqualTypeOf<OutboundMessage>();
  // Equal keys: an optional key that only one of the two has would still let each extend the other.
  expectTypeOf<keyof OutboundMessage>().toEqualTypeOf<keyof z.input<typeof messageSchema>>();
});

/** The schema's input as callers have it: arrays readonly, bytes of any buffer. */
type Given<T> = T extends Uint8Array
  ? Uint8Array
  : T extends Date
    ? Date
    : T extends readonly (infer Element)[]
      ? readonly Given<Element>[]
      : T extends object
        ? { readonly [Key in keyof T]: Given<T[Key]> }
        : T;

test('takes readonly arrays and Buffers, as callers have them', () => {
  const to: readonly string[] = ['a@example.net'];
  const bytes: Buffer = Buffer.from('x');
  const message: OutboundMessage = {
    to,
    attachments: [{ content: bytes }] as const,
    headers: { 'X-A': ['1'] as const },
  };
  expect(parseMessage(message, defaultMessageLimits).ok).toBe(true);
});
