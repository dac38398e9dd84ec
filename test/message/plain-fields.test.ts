/** What is recognised without the schema is what the schema would have made of it; and an address by a short way, what the long way gives. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { z } from 'zod';
import { parseAddress } from '../../src/message/address.ts';
import { address, messageSchema } from '../../src/message/fields.ts';
import { plainAddress, plainEnvelope, plainField } from '../../src/message/plain-fields.ts';

const lists = new Set(['to', 'cc', 'bcc', 'replyTo']);
const fields = Object.keys(messageSchema.shape) as (keyof typeof messageSchema.shape)[];

const addressText = fc.oneof(
  fc.constantFrom(
    'a@b.example',
    'a.b+c@b-c.d.example',
    'A@B.Example',
    '"a"@b.example',
    '"a..b"@b.example',
    'Name <a@b.example>',
    '"N, M" <a@b.example>',
    '<a@b.example>',
    ' a@b.example ',
    'ä@ö.example',
    'a@xn--nda.example',
    'a@1.2.3.4',
    'a@0x7f.1',
    'a@b',
    'a@-b.example',
    'a@b..example',
    'a@b.example.',
    '.a@b.example',
    'a@b@c.example',
    'a@[192.0.2.1]',
    'a\u200b@b.example',
    'a@b.example\r\nX: y',
    'a\0@b.example',
    'a@b.example\ud800',
    `${'l'.repeat(245)}@b.exampl`,
    `${'l'.repeat(246)}@b.exampl`,
    `a@${'d'.repeat(63)}.example`,
    `a@${'d'.repeat(64)}.example`,
    '',
  ),
  fc.string({
    unit: fc.constantFrom('a', 'B', '1', '.', '-', '@', '_', '"', ' ', '<', '>', 'é', '\u00ad'),
    maxLength: 12,
  }),
);
const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.constantFrom(
    '',
    'plain',
    'two\r\nlines',
    'nul\0',
    '\ud800',
    'x'.repeat(901),
    `${'x'.repeat(900)} y`,
    'é'.repeat(950),
  ),
);
const mailboxLike = fc.oneof(
  addressText,
  fc.record(
    { address: addressText, name: fc.oneof(text, fc.constant(undefined), fc.constant(7)) },
    { requiredKeys: [] },
  ),
  fc.record({ address: addressText, extra: fc.constant(1) }),
  addressText.map((each): object => Object.create({ address: each }) as object),
  addressText.map(
    (each) =>
      new (class {
        address = each;
      })(),
  ),
  addressText.map((each) => JSON.parse(`{"address": ${JSON.stringify(each)}, "__proto__": {}}`) as object),
  addressText.map((each): object => Object.create(null, { address: { value: each, enumerable: true } }) as object),
);
const odd = fc.constantFrom<unknown>(null, 7, true, [], {}, new Date(0), new Map(), Buffer.from('x'), Symbol.iterator);
const priority = fc.constantFrom('high', 'normal', 'low', 'urgent', 'High');
const id = fc.oneof(fc.constantFrom('a', 'A_-9', '', 'ä', 'a b', 'a\n', 'x'.repeat(128), 'x'.repeat(129)), text);
const headers = fc.oneof(
  fc.constant({}),
  fc.constant({ [Symbol('x')]: 'y' }),
  fc.dictionary(text, text, { maxKeys: 2 }),
);
const anything = fc.oneof(mailboxLike, text, odd, priority, id, headers);

/** What the schema makes of a value that was recognised. */
function bySchema(plain: unknown, schema: z.ZodType, value: unknown): unknown {
  if (plain === undefined) return undefined;
  const result = schema.safeParse(value);
  return result.success ? result.data : result.error;
}

describe('a field that is recognised', () => {
  test('has the value that its schema gives', () => {
    fc.assert(
      fc.property(fc.constantFrom(...fields), anything, (name, value) => {
        const one = plainField(name, value);
        const plain = one !== undefined && lists.has(name) ? [one] : one;
        expect(plain).toStrictEqual(bySchema(plain, messageSchema.shape[name], value));
      }),
      { numRuns: 5_000 },
    );
  });

  test('in an envelope, has the value that its schema gives', () => {
    const envelope = fc.record({ from: fc.oneof(addressText, odd, fc.constant(undefined)) }, { requiredKeys: [] });
    fc.assert(
      fc.property(fc.oneof(envelope, fc.record({ from: addressText, extra: text })), (value) => {
        const plain = plainEnvelope(value);
        expect(plain).toStrictEqual(bySchema(plain, messageSchema.shape.envelope, value));
      }),
    );
    fc.assert(
      fc.property(fc.oneof(addressText, odd), (value) => {
        const plain = plainAddress(value);
        expect(plain).toStrictEqual(bySchema(plain, address, value));
      }),
    );
  });

  test.each<[string, unknown, unknown]>([
    ['id', '0195f3c8-7a1b-7c3d-8e4f-123456789abc', '0195f3c8-7a1b-7c3d-8e4f-123456789abc'],
    ['to', { name: 'A', address: 'a@b.example' }, { name: 'A', address: 'a@b.example' }],
    ['from', 'A <a@b.example>', { name: 'A', address: 'a@b.example' }],
    ['subject', 'Hello', 'Hello'],
    ['text', 'Lines\nof text', 'Lines\nof text'],
    ['headers', {}, {}],
    ['priority', 'normal', 'normal'],
  ])('is %s in its usual form', (name, value, expected) => {
    expect(plainField(name, value)).toStrictEqual(expected);
  });

  test('is read once: a getter cannot give one value to the check and another one to the message', () => {
    let asked = 0;
    const trap = {
      get address() {
        asked += 1;
        return asked === 1 ? 'a@b.example' : 'x@y.example\r\nRCPT TO:<z@z.example>';
      },
    };
    expect(plainField('to', trap)).toEqual({ address: 'a@b.example' });
  });
});

test('an address in its normal form is read as the same address with quotes and capitals, which takes the long way', () => {
  const capitals = (domain: string): string => domain.toUpperCase();
  let seen = 0;
  fc.assert(
    fc.property(addressText, (each) => {
      const read = parseAddress(each);
      if (!read.ok || read.value !== each || each.startsWith('"')) return;
      seen += 1;
      const at = each.lastIndexOf('@');
      expect(parseAddress(`"${each.slice(0, at)}"@${capitals(each.slice(at + 1))}`)).toEqual(read);
    }),
    { numRuns: 3_000 },
  );
  expect(seen).toBeGreaterThan(50);
});
