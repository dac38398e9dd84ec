/** Ids, Message-IDs, the time of acceptance and the Date. */
import { randomUUID } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { acceptedAt, readyAt, messageIdHeader, newMessageId } from '../../src/message/identity.ts';

describe('message ids', () => {
  test('are UUIDs of version 7 and variant 10 that carry their time', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: Date.UTC(2020, 0, 1), max: Date.UTC(2099, 0, 1) }),
        fc.uuid({ version: 4 }),
        (now, random) => {
          const id = newMessageId(now, random);
          expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
          expect(acceptedAt(id, now + 1_000)).toBe(now);
          expect(id.slice(15)).toBe(random.slice(15));
        },
      ),
    );
  });

  test('of a later millisecond sort later', () => {
    expect(newMessageId(1_800_000_000_001, randomUUID()) > newMessageId(1_800_000_000_000, randomUUID())).toBe(true);
  });

  test.each(['', '00000000-0000-4000-8000-00000000000', '00000000-0000-7000-8000-000000000000'])(
    'are not made of %j, which is no random UUID',
    (random) => {
      expect(() => newMessageId(0, random)).toThrow(RangeError);
    },
  );
});

describe('the time of acceptance', () => {
  test.each([
    'order-4711',
    '',
    '00000000-0000-7000-8000-000000000000',
    'ffffffff-ffff-7fff-bfff-ffffffffffff',
    '018f0000-0000-4000-8000-000000000000',
  ])('is that of enqueuing for the id %j, which holds no believable time', (id) => {
    expect(acceptedAt(id, 1_800_000_000_000)).toBe(1_800_000_000_000);
  });

  test('is that of enqueuing for a UUIDv7 made long before, as a row of a database has it', () => {
    const row = newMessageId(1_800_000_000_000 - 30 * 86_400_000, randomUUID());
    expect(acceptedAt(row, 1_800_000_000_000)).toBe(1_800_000_000_000);
  });
});

describe('the Message-ID header', () => {
  const identity = { id: 'x_1', prefix: '{postlane}', acceptedAt: 1_800_000_000_000, fromAddress: 'a@bücher.example' };

  test('is the id with a hash of installation and acceptance, at the domain of From', () => {
    expect(messageIdHeader(identity)).toBe('<x_1.0man1pps10@xn--bcher-kva.example>');
    expect(messageIdHeader({ ...identity })).toBe(messageIdHeader(identity));
  });

  test('is another for the same id in another installation, and for the same id later', () => {
    const others = [{ prefix: '{other}' }, { acceptedAt: identity.acceptedAt + 1 }, { id: 'x_2' }];
    const all = [identity, ...others.map((other) => ({ ...identity, ...other }))].map(messageIdHeader);
    expect(new Set(all).size).toBe(all.length);
  });

  test.each(['a@[192.0.2.1]', 'a@b c', 'a', '', 'a@b>\r\nBcc: evil@x.y', 'a@<>'])(
    'is well-formed for the odd address %j',
    (fromAddress) => {
      expect(messageIdHeader({ ...identity, fromAddress })).toMatch(/^<x_1\.[0-9a-z]{10}@[a-z0-9.-]+>$/);
    },
  );
});

describe('the date', () => {
  test('is the acceptance, or the release of a mail that was scheduled', () => {
    const accepted = Date.UTC(2026, 0, 1);
    const at = (days: number): number => accepted + days * 86_400_000;
    expect(readyAt({}, accepted)).toBe(accepted);
    expect(readyAt({ sendAt: new Date(at(7)).toISOString() }, accepted)).toBe(at(7));
    expect(readyAt({ sendAt: new Date(at(-7)).toISOString() }, accepted)).toBe(accepted);
  });
});
