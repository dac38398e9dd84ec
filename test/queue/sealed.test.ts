/** Sealed data of jobs: what stays readable, and what who has no key may do to it. */
import { randomBytes } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { defaultMessageLimits } from '../../src/message/message.ts';
import { parseMessage } from '../../src/message/schema.ts';
import { encodeWire, narrowed, openData, readIntakeData, sealData, sealedIn } from '../../src/queue/jobs.ts';
import { createSealing, unsealed } from '../../src/sealing/sealing.ts';

const sealing = createSealing({ active: 'k1', keys: { k1: randomBytes(32) } });

function messageOf(more: object = {}) {
  const parsed = parseMessage(
    {
      id: 'm1',
      from: 'Anna Beispiel <a@example.com>',
      to: ['Berta <b@example.net>', 'c@example.net'],
      bcc: 'd@example.net',
      subject: 'S',
      text: 'T',
      attachments: [{ filename: 'f.txt', content: 'x' }],
      metadata: { tenant: 'acme' },
      priority: 'high',
      ...more,
    },
    defaultMessageLimits,
  );
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.issues));
  return parsed.message;
}

const sealed = (more: object = {}) => sealData(encodeWire(messageOf(more), { by: 'shop' }), 'm1', sealing);

test('has readable what it is routed and scheduled by, and nothing else', () => {
  const { sealed: text, ...rest } = sealed({ sendAt: '2030-01-01T00:00:00Z' }) as Record<string, unknown>;
  expect(text).toEqual(sealedIn({ ...rest, sealed: text }));
  expect(rest).toEqual({
    v: 2,
    by: 'shop',
    message: {
      id: 'm1',
      from: { address: 'a@example.com' },
      envelope: { from: 'a@example.com', to: ['b@example.net', 'c@example.net', 'd@example.net'] },
      priority: 'high',
      sendAt: '2030-01-01T00:00:00.000Z',
    },
    size: expect.any(Number),
    hasAttachments: true,
  });
  expect(readIntakeData({ ...rest, sealed: text })).toEqual({
    from: 'a@example.com',
    recipients: ['b@example.net', 'c@example.net', 'd@example.net'],
    metadata: null,
    submittedBy: 'shop',
  });
});

test.each([
  ['a usual one', {}],
  ['one with an envelope of its own', { envelope: { from: 'bounce@example.com', to: ['x@example.org'] } }],
  ['one with the null reverse-path', { envelope: { from: '', to: ['b@example.net'] } }],
  [
    'a finished one',
    {
      to: undefined,
      bcc: undefined,
      subject: undefined,
      text: undefined,
      attachments: undefined,
      raw: 'From: a@example.com\r\nTo: q@example.net\r\n\r\nx',
    },
  ],
  ['one without From', { from: undefined }],
])('opens to the very message: %s', (_what, more) => {
  const opened = openData(JSON.parse(JSON.stringify(sealed(more))), 'm1', sealing);
  const message = JSON.parse(JSON.stringify(messageOf(more)));
  expect(opened).toEqual({ kind: 'open', data: { v: 1, by: 'shop', message } });
});

test('is not sealed twice, and not at all without a key', () => {
  const once = sealed();
  expect(sealData(once as never, 'm1', sealing)).toBe(once);
  const plain = encodeWire(messageOf());
  expect(sealData(plain, 'm1', unsealed)).toBe(plain);
  expect(openData(plain, 'm1', unsealed)).toEqual({ kind: 'open', data: plain });
});

test('can be narrowed to some of its recipients without a key', () => {
  const opened = openData(narrowed(sealed(), ['d@example.net']), 'm1', sealing);
  expect(opened).toMatchObject({ kind: 'open', data: { message: { envelope: { to: ['d@example.net'] } } } });
});

describe('who can write to Redis', () => {
  const edit = (change: (message: Record<string, unknown>) => object) => {
    const data = JSON.parse(JSON.stringify(sealed())) as { message: Record<string, unknown> };
    return openData({ ...data, message: change(data.message) }, 'm1', sealing);
  };

  test('cannot have the mail sent to an address of theirs', () => {
    expect(edit((message) => ({ ...message, envelope: { to: ['b@example.net', 'thief@example.org'] } }))).toMatchObject(
      {
        kind: 'damaged',
        issue: { field: 'envelope.to' },
      },
    );
    expect(edit((message) => ({ ...message, envelope: undefined }))).toMatchObject({ kind: 'damaged' });
    expect(edit((message) => ({ ...message, envelope: { to: [['b@example.net']] } }))).toMatchObject({
      kind: 'damaged',
    });
  });

  test('cannot have its bounces sent to an address of theirs', () => {
    expect(
      edit((message) => ({ ...message, envelope: { from: 'thief@example.org', to: ['b@example.net'] } })),
    ).toMatchObject({ kind: 'damaged', issue: { field: 'envelope.from' } });
  });

  test('cannot add readable fields to what is sealed', () => {
    expect(edit((message) => ({ ...message, text: 'pay here', to: [], headers: { 'X-A': ['b'] } }))).toEqual(
      edit((message) => message),
    );
  });

  test('cannot make it another message, or another sender', () => {
    expect(openData(sealed(), 'm2', sealing)).toMatchObject({ kind: 'damaged' });
    expect(edit((message) => ({ ...message, from: { address: 'ceo@example.com' } }))).toMatchObject({
      kind: 'damaged',
    });
  });

  test('cannot break a reader', () => {
    const data = fc.record({
      v: fc.constant(2),
      message: fc.anything(),
      sealed: fc.oneof(fc.anything(), fc.constant(sealedIn(sealed()))),
    });
    fc.assert(
      fc.property(data, (given) => {
        expect(openData(given, 'm1', sealing).kind).toBe('damaged');
      }),
    );
  });
});
