/** Every part of a message has a bound, and what is beyond it is counted and not worked through. */
import { describe, expect, test } from 'vitest';
import * as bounds from '../../src/message/bounds.ts';
import { defaultMessageLimits } from '../../src/message/message.ts';
import { parseMessage } from '../../src/message/schema.ts';
import { textOf } from '../support/source.ts';

const limits = defaultMessageLimits;
const minimal = { from: 'sales@example.com', to: 'a@example.net', subject: 'Hi' };

function refusals(input: unknown, some = limits): string[] {
  const parsed = parseMessage(input, some);
  return parsed.ok ? [] : parsed.issues.map(({ field, rule }) => `${field}: ${rule}`);
}

const many = <T>(count: number, value: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => value(i));
const keys = (count: number, value: unknown = 1): Record<string, unknown> =>
  Object.fromEntries(many(count, (i) => [`key${i}`, value]));

/** The value, with a count of how often anything within it is read. */
function watched(value: unknown, steps: { count: number }): unknown {
  if (typeof value !== 'object' || value === null) return value;
  return new Proxy(value, {
    get(target, key, receiver) {
      if (key !== 'length') steps.count += 1;
      return watched(Reflect.get(target, key, receiver), steps);
    },
  });
}

function stepsOf(input: object): number {
  const steps = { count: 0 };
  const parsed = parseMessage(watched(input, steps), limits);
  expect(parsed).toMatchObject({ ok: false });
  return steps.count;
}

describe('a refusal costs little, whatever is refused', () => {
  test.each<[string, (size: number) => object]>([
    ['unknown keys of the message', (size) => keys(size)],
    ['unknown keys of a mailbox', (size) => ({ to: { address: 'a@b.c', ...keys(size) } })],
    ['unknown keys of a mailbox in a list', (size) => ({ cc: [{ address: 'a@b.c', ...keys(size) }] })],
    ['unknown keys of the envelope', (size) => ({ envelope: keys(size) })],
    ['unknown keys of an attachment', (size) => ({ attachments: [{ content: '', ...keys(size) }] })],
    ['unknown keys of raw', (size) => ({ raw: { content: '', ...keys(size) } })],
    ['recipients that are numbers', (size) => ({ to: many(size, () => 1) })],
    ['recipients in cc', (size) => ({ cc: many(size, (i) => `a${i}@b.c`) })],
    ['recipients in bcc', (size) => ({ bcc: many(size, (i) => `a${i}@b.c`) })],
    ['recipients of the envelope', (size) => ({ envelope: { to: many(size, (i) => `a${i}@b.c`) } })],
    ['mailboxes in replyTo', (size) => ({ replyTo: many(size, () => 'a@b.c') })],
    ['empty attachments', (size) => ({ attachments: many(size, () => ({})) })],
    ['references', (size) => ({ references: many(size, () => '<a@b>') })],
    ['header fields', (size) => ({ headers: keys(size, 'x') })],
    ['values of a header field', (size) => ({ headers: { 'X-A': many(size, () => 'x') } })],
    ['notes', (size) => ({ metadata: keys(size, 'x') })],
  ])('many %s: no more steps for twice as many, and at most 100 issues', (_, part) => {
    const input = (size: number) => ({ ...minimal, ...part(size) });
    const [once, twice] = [stepsOf(input(20_000)), stepsOf(input(40_000))];
    expect(twice).toBeLessThanOrEqual(once * 2.5);
    expect(once).toBeLessThan(5_000);
    expect(refusals(input(20_000)).length).toBeLessThanOrEqual(100);
  });

  test('lists of the size that is allowed are left at the hundredth issue', () => {
    const wrong = { ...minimal, attachments: many(1_000, () => keys(30)) };
    expect(refusals(wrong)).toHaveLength(100);
    // Two looks at each for the size of what it holds; all their keys would be 30,000.
    expect(stepsOf(wrong)).toBeLessThan(5_000);
  });

  test.each<[string, (unknown: object) => object]>([
    ['the message', (unknown) => unknown],
    ['a mailbox', (unknown) => ({ to: { address: 'a@b.c', ...unknown } })],
    ['the envelope', (unknown) => ({ envelope: unknown })],
    ['an attachment', (unknown) => ({ attachments: [{ content: '', ...unknown }] })],
    ['raw', (unknown) => ({ subject: undefined, raw: { content: 'From: a@b.c\n\n', ...unknown } })],
  ])('200,000 unknown keys of %s are refused as what they are, and the first hundred are named', (_, part) => {
    const parsed = parseMessage({ ...minimal, ...part(keys(200_000)) }, limits);
    const rules = parsed.ok ? [] : parsed.issues.map(({ rule }) => rule);
    expect(rules).toHaveLength(bounds.maxIssues);
    expect(new Set(rules)).toEqual(new Set(['unknown-key']));
  });

  test('the field that was meant is looked for a few times only', () => {
    const slips = Object.fromEntries(many(50, (i) => [`subjec${i}`, 1]));
    const parsed = parseMessage({ ...minimal, ...slips }, limits);
    const suggested = parsed.ok ? [] : parsed.issues.filter(({ message }) => message.includes('did you mean'));
    expect(suggested).toHaveLength(bounds.maxSuggestions);
  });

  test.each(['to', 'from', 'replyTo', 'headers', 'metadata', 'envelope', 'attachments'])(
    'bytes as %s are refused as what they are, and not key by key',
    (name) => {
      const value = name === 'attachments' ? [new Uint8Array(1_000)] : new Uint8Array(1_000);
      expect(refusals({ ...minimal, [name]: value })).toEqual([`${name}${name === 'attachments' ? '[0]' : ''}: type`]);
    },
  );

  test('raw as bytes is taken without a text for each of them', () => {
    const bytes = Buffer.from('From: a@b.c\r\nTo: d@e.f\r\n\r\nhi');
    const asked: string[] = [];
    const { keys: original } = Object;
    Object.keys = (value: object) => {
      if (ArrayBuffer.isView(value)) asked.push('keys of bytes');
      return original(value);
    };
    try {
      expect(refusals({ raw: bytes })).toEqual([]);
      expect(refusals({ raw: bytes, to: 'g@h.i' })).toEqual([]);
    } finally {
      Object.keys = original;
    }
    expect(asked).toEqual([]);
  });

  test('a value nested 100,000 deep is refused as what it is, in every field', () => {
    const lists = JSON.parse('['.repeat(100_000) + ']'.repeat(100_000)) as unknown;
    const objects = JSON.parse('{"a":'.repeat(100_000) + '1' + '}'.repeat(100_000)) as unknown;
    const fields = [
      'id',
      'from',
      'to',
      'subject',
      'text',
      'references',
      'headers',
      'attachments',
      'raw',
      'envelope',
      'metadata',
      'sendAt',
      'priority',
      'unknown',
    ];
    for (const deep of [lists, objects]) {
      for (const field of fields) {
        const found = refusals({ ...minimal, [field]: deep });
        expect(found.length).toBeGreaterThan(0);
        expect(found.filter((each) => each.startsWith(':'))).toEqual([]);
      }
    }
  });

  test('130,000 addresses in the To of a raw message are refused by their number, and as what they are', () => {
    const raw = (count: number): string => `From: a@b.c\nTo: ${'a@b,'.repeat(count)}\n\n`;
    expect(refusals({ raw: raw(130_000) })).toEqual(['raw: raw-header']);
    const parsed = parseMessage({ raw: raw(50_000) }, limits);
    expect(parsed).toMatchObject({ ok: false, issues: [{ message: expect.stringContaining('more than 1000 recip') }] });
    expect(refusals({ raw: raw(50_000), to: 'g@h.i' })).toEqual([]);
  });
});

describe('bounds', () => {
  const listed = (nameLength: number) =>
    many(1_000, (i) => ({ name: 'x'.repeat(nameLength), address: `user${i}@example.com` }));
  test.each<[string, (more: number) => object, string]>([
    [
      'listed recipients',
      (more) => ({ envelope: { to: 'a@b.c' }, to: many(1_000 + more, () => 'a@b.c') }),
      'to: too-many-recipients',
    ],
    ['replyTo', (more) => ({ replyTo: many(100 + more, () => 'a@b.c') }), 'replyTo: too-many'],
    ['attachments', (more) => ({ attachments: many(1_000 + more, () => ({ content: '' })) }), 'attachments: too-many'],
    ['references', (more) => ({ references: many(1_000 + more, () => '<a@b>') }), 'references: too-many'],
    [
      'bytes of references',
      (more) => ({ references: ['<a@b>', ...many(16, () => '<a@b>'.padEnd(4_096)), ' '.repeat(more)].slice(1) }),
      'references: too-long',
    ],
    ['header fields', (more) => ({ headers: { 'X-A': many(999 + more, () => 'x'), 'X-B': 'x' } }), 'headers: too-many'],
    [
      'bytes of a header field',
      (more) => ({ headers: { 'X-A': 'x '.repeat(16_384) + 'x'.repeat(more) } }),
      'headers.X-A: too-long',
    ],
    ['bytes of the subject', (more) => ({ subject: 'é'.repeat(5_000) + 'x'.repeat(more) }), 'subject: too-long'],
    ['bytes of a display name', (more) => ({ to: { name: 'x'.repeat(256 + more), address: 'a@b.c' } }), 'to: address'],
    [
      'bytes of the whole header',
      (more) => ({ headers: Object.fromEntries(many(12 + 2 * more, (i) => [`X-${i}`, 'é'.repeat(5_000)])) }),
      ': too-long',
    ],
    ['bytes of many names', (more) => ({ envelope: { to: 'a@b.c' }, to: listed(200 + 56 * more) }), ': too-long'],
  ])('of %s: what is within is taken, one more is refused', (_, part, refusal) => {
    expect(refusals({ ...minimal, ...part(0) })).toEqual([]);
    expect(refusals({ ...minimal, ...part(1) })).toEqual([refusal]);
  });

  test('a configuration with more recipients may list as many', () => {
    const to = many(1_500, (i) => `a${i}@b.c`);
    expect(refusals({ ...minimal, to }, { ...limits, maxRecipients: 2_000 })).toEqual([]);
  });

  test('docs/limits.md lists every bound with its number', () => {
    const section = textOf('docs/limits.md').split('\n## Of the parts of a message\n')[1]?.split('\n## ')[0] ?? '';
    const rows = [...section.matchAll(/^\| [^|]+ \| `(\w+)` \| ([\d,]+) \|/gm)].map(([, key = '', number = '']) => [
      key,
      Number(number.replaceAll(',', '')),
    ]);
    expect(Object.fromEntries(rows)).toEqual({ ...bounds });
  });
});
