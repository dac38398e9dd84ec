/** Return paths of single mails: made, read back, and not made up. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseAddress } from '../../src/message/address.ts';
import { idInReturnPath, returnPath } from '../../src/message/return-path.ts';

const key = Buffer.alloc(32, 7);
const pattern = 'bounces+{id}@example.com';
const id = '0192f3a4-5b6c-7d8e-9f01-23456789abcd';
const path = returnPath(pattern, id, key)!;

test('the id of a mail is read back out of its return path, which is an address', () => {
  const ids = fc.stringMatching(/^[A-Za-z0-9_-]{1,36}$/);
  fc.assert(
    fc.property(
      ids,
      fc.constantFrom(pattern, '{id}@example.com', 'b-{id}.r@example.com', '{id}=x@xn--bcher-kva.example'),
      (each, given) => {
        const made = returnPath(given, each, key)!;
        expect(parseAddress(made)).toEqual({ ok: true, value: made });
        expect(idInReturnPath(made, given, key)).toBe(each);
      },
    ),
  );
});

test('a server may write domain, pattern and signature in capitals', () => {
  const [, rest = ''] = path.split('+');
  expect(
    idInReturnPath(`BOUNCES+${rest.slice(0, 12).toUpperCase()}${rest.slice(12)}`.replace('.com', '.COM'), pattern, key),
  ).toBe(id);
});

test('an id for which there is no room has no return path', () => {
  expect(returnPath(pattern, 'x'.repeat(43), key)).toMatch(/^.{64}@/);
  expect(returnPath(pattern, 'x'.repeat(44), key)).toBeNull();
});

test.each([
  ['another id under the signature of a mail', path.replace('abcd@', 'abce@')],
  ['the id alone', `bounces+${id}@example.com`],
  ['a signature that is shorter', path.replace(/\+./, '+')],
  ['no signature', `bounces+-${id}@example.com`],
  ['no id', path.replace(`-${id}`, '-')],
  ['another domain', path.replace('example.com', 'example.net')],
  ['another pattern', path.replace('bounces+', 'bounced+')],
  ['what overlaps the pattern', 'bounces+@example.com'],
  ['nothing', ''],
])('attack: %s is no return path', (_what, address) => {
  expect(idInReturnPath(address, pattern, key)).toBeNull();
});

test('attack: a path that was signed with another key is none', () => {
  expect(idInReturnPath(returnPath(pattern, id, Buffer.alloc(32, 8))!, pattern, key)).toBeNull();
});

test('a dollar in an id or a pattern is no command', () => {
  expect(returnPath('$&{id}@example.com', 'a', key)).toMatch(/^\$&[a-z2-7]{12}-a@example\.com$/);
});
