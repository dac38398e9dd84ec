/** Passwords and their hashes. */
import { expect, test } from 'vitest';
import { parsePasswordHash } from '../../src/config/password-hash.ts';
import { generatePassword, hashPassword, unknownHash, verifyPassword } from '../../src/submission/password.ts';

test('a hash is of its password alone, and no two are the same', async () => {
  const [one, two] = [await hashPassword('correct horse'), await hashPassword('correct horse')];
  expect(one).toMatch(/^scrypt\$15\$8\$3\$[\w-]{22}\$[\w-]{43}$/);
  expect(one).not.toBe(two);
  expect([await verifyPassword('correct horse', one), await verifyPassword('correct horsf', one)]).toEqual([
    true,
    false,
  ]);
  expect(await verifyPassword('', unknownHash())).toBe(false);
});

test.each([
  '',
  'correct horse',
  'scrypt$13$8$1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
  'scrypt$25$8$1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
  'scrypt$15$8$9$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
  'scrypt$15$8$3$short$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
  '$2b$12$abcdefghijklmnopqrstuv',
])('%j is no hash that a login may cost', (text) => {
  expect(parsePasswordHash(text)).toBe(null);
});

test('a made password has 32 characters that every device can type, each as likely as another', () => {
  const password = generatePassword();
  expect(password).toMatch(/^[a-zA-Z2-9]{32}$/);
  expect(generatePassword()).not.toBe(password);
  expect(generatePassword((size) => Buffer.alloc(size, 1))).toBe('b'.repeat(32));
});
