/** Keys as they are given: forms, names, and mistakes. */
import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { createKeyring } from '../../src/sealing/keyring.ts';
import { keyIssues, readKey } from '../../src/sealing/keys.ts';

const bytes = Buffer.alloc(32, 0xfb);

describe('readKey()', () => {
  test.each([
    ['bytes', new Uint8Array(bytes)],
    ['base64', bytes.toString('base64')],
    ['base64 without padding', bytes.toString('base64').replace('=', '')],
    ['base64url', bytes.toString('base64url')],
    ['hex', bytes.toString('hex')],
    ['hex in capitals', bytes.toString('hex').toUpperCase()],
    ['base64 with the line end of a file', `${bytes.toString('base64')}\n`],
  ])('reads %s', (_form, given) => {
    expect(readKey(given)).toEqual(bytes);
  });

  test.each([
    ['31 bytes', bytes.subarray(1)],
    ['31 bytes in base64', bytes.subarray(1).toString('base64')],
    ['33 bytes in base64', Buffer.alloc(33).toString('base64')],
    ['a password', 'correct horse battery staple 1234'],
    ['32 characters', 'a'.repeat(32)],
    ['base64 with a blank in it', `${bytes.toString('base64').slice(0, 20)} ${bytes.toString('base64').slice(20)}`],
    ['nothing', ''],
  ])('refuses %s', (_form, given) => {
    expect(readKey(given)).toBeNull();
  });
});

describe('keyIssues()', () => {
  const good = randomBytes(32).toString('base64');

  test('has none for a rotation', () => {
    expect(keyIssues({ active: 'k2', keys: { k1: bytes, k2: good } })).toEqual([]);
  });

  test('names each mistake by its path, and shows no key', () => {
    const issues = keyIssues({ active: 'k9', keys: { k1: 'too-short', 'K 2': good, k3: good, k4: good } });
    expect(issues.map(({ field, rule }) => `${field} ${rule}`)).toEqual([
      'keys.k1 key-bytes',
      'keys.K 2 key-name',
      'keys.k4 key-twice',
      'active key-active',
    ]);
    expect(JSON.stringify(issues)).not.toContain(good);
    expect(JSON.stringify(issues)).not.toContain('too-short');
  });

  test('bounds the number of keys', () => {
    const keys = Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`k${i}`, randomBytes(32)]));
    expect(keyIssues({ active: 'k0', keys }).map(({ rule }) => rule)).toEqual(['key-count']);
  });

  test('does not take a name of the prototype for a key', () => {
    expect(keyIssues({ active: 'constructor', keys: { k1: good } }).map(({ rule }) => rule)).toEqual(['key-active']);
  });
});

describe('createKeyring()', () => {
  test('refuses keys with mistakes, all at once', () => {
    const wrong = { active: 'x', keys: { k1: 'y' } };
    expect(() => createKeyring(wrong)).toThrow(
      expect.objectContaining({ code: 'config-invalid', issues: [expect.anything(), expect.anything()] }),
    );
  });

  test('derives other keys for bodies and for contents, and for each salt', () => {
    const keyring = createKeyring({ active: 'k1', keys: { k1: bytes } });
    const name = keyring.sealing!;
    const of = (salt: string, what: 'body' | 'content'): string =>
      keyring.derive(name, Buffer.from(salt), what)!.export().toString('hex');
    expect(new Set([of('a', 'body'), of('b', 'body'), of('a', 'content')]).size).toBe(3);
    expect(of('a', 'body')).toBe(of('a', 'body'));
  });

  test('keeps no more derived keys than it may, whatever salts come', () => {
    const keyring = createKeyring({ active: 'k1', keys: { k1: bytes } });
    for (let i = 0; i < 5_000; i += 1) keyring.derive(keyring.sealing!, Buffer.from(`salt ${i}`), 'body');
    expect(keyring.derive(keyring.sealing!, Buffer.from('salt 0'), 'body')).not.toBeNull();
  });

  test('does not derive with another key of the same name', () => {
    const one = createKeyring({ active: 'k1', keys: { k1: randomBytes(32) } });
    const other = createKeyring({ active: 'k1', keys: { k1: randomBytes(32) } });
    expect(one.derive(other.sealing!, Buffer.alloc(16), 'body')).toBeNull();
  });
});
