/** Sealed texts under attack: each test is named after what the attacker does. */
import { randomBytes } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createNonces } from '../../src/sealing/nonces.ts';
import { openSealed, readSealed, type Sealed } from '../../src/sealing/seal.ts';
import { createSealing } from '../../src/sealing/sealing.ts';

const sealing = createSealing({ active: 'k1', keys: { k1: randomBytes(32), k2: randomBytes(32) } });
const { keyring } = sealing;
const mine = { id: 'm1', from: 'a@example.com' };
const sealed = sealing.seal!(mine, 'the body');

function flipped(text: string, at: number): string {
  const bytes = Buffer.from(text, 'base64');
  bytes[at % bytes.length]! ^= 1 << (at % 8);
  return bytes.toString('base64');
}

test('opens any text that was sealed, of any length and any characters', () => {
  const text = fc.string({ unit: 'binary', maxLength: 20_000 }).map((each) => each.toWellFormed());
  fc.assert(
    fc.property(text, fc.string(), (body, id) => {
      const one = sealing.seal!({ id, from: '' }, body);
      expect(openSealed(readSealed(JSON.parse(JSON.stringify(one)))!, { id, from: '' }, keyring)).toEqual({
        kind: 'open',
        text: body,
      });
    }),
    { numRuns: 200 },
  );
});

test('the same text is another one each time it is sealed', () => {
  const again = sealing.seal!(mine, 'the body');
  expect(again.c).not.toBe(sealed.c);
  expect(again.n).not.toBe(sealed.n);
});

test('no nonce comes twice, over several draws', () => {
  const next = createNonces();
  const seen = new Set(Array.from({ length: 20_000 }, () => next().toString('hex')));
  expect(seen.size).toBe(20_000);
});

describe('who can write to Redis', () => {
  const damaged = { kind: 'damaged' };

  test('cannot give the body of one message to another', () => {
    expect(openSealed(sealed, { ...mine, id: 'm2' }, keyring)).toEqual(damaged);
  });

  test('cannot give a body another sender', () => {
    expect(openSealed(sealed, { ...mine, from: 'b@example.com' }, keyring)).toEqual(damaged);
  });

  test('cannot move the boundary between id and sender', () => {
    expect(openSealed(sealed, { id: 'm1\na@example.com', from: '' }, keyring)).toEqual(damaged);
  });

  test('cannot flip a bit of ciphertext, tag, nonce or salt', () => {
    for (const field of ['c', 't', 'n', 's'] as const) {
      for (let at = 0; at < 16; at += 1) {
        expect(openSealed({ ...sealed, [field]: flipped(sealed[field], at) }, mine, keyring)).toEqual(damaged);
      }
    }
  });

  test('cannot truncate or extend it', () => {
    const bytes = Buffer.from(sealed.c, 'base64');
    for (const c of [
      bytes.subarray(0, -1),
      bytes.subarray(1),
      Buffer.concat([bytes, Buffer.alloc(1)]),
      Buffer.alloc(0),
    ]) {
      expect(openSealed({ ...sealed, c: c.toString('base64') }, mine, keyring)).toEqual(damaged);
    }
  });

  test('cannot shorten the tag', () => {
    for (const bytes of [4, 8, 12, 15]) {
      const t = Buffer.from(sealed.t, 'base64').subarray(0, bytes).toString('base64');
      expect(readSealed({ ...sealed, t })).toBeNull();
    }
  });

  test('cannot make one key pass for another', () => {
    const other = createSealing({ active: 'k2', keys: { k2: randomBytes(32) } }).seal!(mine, 'x');
    // A key is found by its print. The name is authenticated, so another one in its place is damage.
    expect(openSealed({ ...sealed, k: 'k2' }, mine, keyring)).toEqual({ kind: 'damaged' });
    expect(openSealed({ ...sealed, f: other.f }, mine, keyring)).toEqual({ kind: 'key-missing', key: 'k1' });
    expect(openSealed(other, mine, keyring)).toEqual({ kind: 'key-missing', key: 'k2' });
  });
});

test('what a key has sealed is opened by it under another name, too', () => {
  const master = randomBytes(32);
  const before = createSealing({ active: 'old', keys: { old: master } }).seal!(mine, 'x');
  const renamed = createSealing({ active: 'new', keys: { new: master } }).keyring;
  expect(openSealed(before, mine, renamed)).toEqual({ kind: 'open', text: 'x' });
});

test('says which key is missing, and never takes that for damage', () => {
  const none = createSealing({ active: 'k9', keys: { k9: randomBytes(32) } }).keyring;
  expect(openSealed(sealed, mine, none)).toEqual({ kind: 'key-missing', key: 'k1' });
});

test('what is no sealed text is none, whatever it is', () => {
  const odd = fc.record(
    Object.fromEntries(['k', 'f', 's', 'n', 't', 'c'].map((field) => [field, fc.oneof(fc.string(), fc.anything())])),
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(fc.oneof(fc.anything(), odd), (value) => {
      const read: Sealed | null = readSealed(value);
      expect(read === null ? 'none' : openSealed(read, mine, keyring).kind).not.toBe('open');
    }),
  );
  for (const k of ['constructor ', '../k1', 'K1', '', 'k'.repeat(33)]) expect(readSealed({ ...sealed, k })).toBeNull();
  expect(readSealed({ ...sealed, s: 'A'.repeat(10_000_000) })).toBeNull();
});
