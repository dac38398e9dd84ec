/** Addresses: what is read, what is refused, and what an attacker would try. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  domainOf,
  parseAddressPattern,
  parseMailbox,
  parseMailboxList,
  routingKey,
  type Parsed,
} from '../../src/message/address.ts';
import { growsLinearly } from '../support/growth.ts';

function valueOf<T>(parsed: Parsed<T>): T {
  if (!parsed.ok) throw new Error(parsed.problem);
  return parsed.value;
}

function addressesOf(text: string): readonly string[] | null {
  const parsed = parseMailboxList(text);
  return parsed.ok ? parsed.value.map((each) => each.address) : null;
}

describe('one mailbox', () => {
  test.each([
    ['a@example.com', { address: 'a@example.com' }],
    ['<a@example.com>', { address: 'a@example.com' }],
    ['  Ann  <a@Example.COM> ', { name: 'Ann', address: 'a@example.com' }],
    ['"Doe, \\"J\\" <j>" <a@b.c>', { name: 'Doe, "J" <j>', address: 'a@b.c' }],
    ['sales@b.c <a@b.c>', { name: 'sales@b.c', address: 'a@b.c' }],
    ['Jörg Müller <A.b+c@b.c>', { name: 'Jörg Müller', address: 'A.b+c@b.c' }],
    ['a@bücher.example', { address: 'a@xn--bcher-kva.example' }],
    ['用户@例え.jp', { address: '用户@xn--r8jz45g.jp' }],
    ['"a..b"@docomo.example', { address: '"a..b"@docomo.example' }],
    ['"john"@b.c', { address: 'john@b.c' }],
    ['root@localhost', { address: 'root@localhost' }],
  ])('reads %s', (text, mailbox) => {
    expect(parseMailbox(text)).toEqual({ ok: true, value: mailbox });
  });

  test('reads the object form, whose name may hold any printable character', () => {
    const input = { name: 'a@b.c, (x) <y>;"', address: 'a@b.c' };
    expect(parseMailbox(input)).toEqual({ ok: true, value: input });
  });

  test.each([
    ['', 'nothing'],
    ['a', 'no domain'],
    ['@b.c', 'no local part'],
    ['a@', 'empty domain'],
    ['a@b..c', 'empty label'],
    ['a@b.c.', 'trailing dot'],
    ['a@-b.c', 'hyphen first'],
    ['a@b_c.d', 'underscore in a domain'],
    [`a@${'b'.repeat(64)}.c`, 'label of 64'],
    [`a@${'b.'.repeat(130)}c`, 'address of more than 254'],
    ['.a@b.c', 'dot first'],
    ['a b@c.d', 'space'],
    ['a@b.c, d@e.f', 'list'],
    ['Group: a@b.c;', 'group'],
    ['a@b.c (comment)', 'comment'],
    ['(comment) <a@b.c>', 'comment as name'],
    ['<@relay.example:a@b.c>', 'source route'],
    ['a@[192.0.2.1]', 'address literal'],
    ['a@[x@evil.example]', 'address literal with an address in it'],
    ['a@192.0.2.1', 'IPv4 address'],
    ['a@0x7f.1', 'IPv4 address in hexadecimal'],
    ['Ann a@b.c>', 'no opening bracket'],
    ['"Ann <a@b.c>', 'open quote'],
  ])('refuses %s (%s)', (text) => {
    expect(parseMailbox(text).ok).toBe(false);
  });

  test('says what is wrong', () => {
    expect(parseMailbox('a@b@c')).toEqual({ ok: false, problem: 'has more than one @' });
  });

  test('is idempotent: a mailbox in normal form parses to itself', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.emailAddress(),
          fc.string({ unit: 'grapheme' }).map((s) => `${s}@example.com`),
        ),
        (text) => {
          const first = parseMailbox(text);
          fc.pre(first.ok);
          expect(parseMailbox(first.value)).toEqual(first);
        },
      ),
    );
  });

  test('gives only addresses without control characters, brackets or a second @, whatever the text', () => {
    const hostile = fc.string({ unit: fc.constantFrom(...'ab@<>"\\,;:() .\r\n\0é\u202e=?'.split('')), maxLength: 30 });
    fc.assert(
      fc.property(hostile, (text) => {
        const parsed = parseMailbox(text);
        expect(parsed.ok ? parsed.value.address : 'a@b').toMatch(/^[^\p{Cc}<>@\\,;:()\u202e]+@[a-z0-9.-]+$/u);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('attacks on addresses', () => {
  test.each([
    ['SMTP command smuggling', 'b@x.y\r\nRCPT TO:<evil@x.y>'],
    ['bare LF', 'b@x.y\nBcc: evil@x.y'],
    ['NUL truncation', 'b@x.y\0@evil.example'],
    ['CR LF in the name', 'Ann\r\nBcc: evil@x.y <b@x.y>'],
    ['double angle brackets', '<<b@x.y>>'],
    ['two bracketed addresses', 'Ann <b@x.y> <evil@x.y>'],
    ['quoted local part with @ (GHSA-mm7p-fcc7-pg87)', '"evil@evil.example"@x.y'],
    ['quoted local part with > and a recipient', '"b>,<evil"@x.y'],
    ['quoted local part with an escaped quote', '"b\\"@evil.example"@x.y'],
    ['two @', 'b@evil.example@x.y'],
    ['percent-encoded domain', 'b@%65vil.example'],
    ['domain ended by a slash', 'b@evil.example/.x.y'],
    ['non-ASCII domain ended by a slash', 'b@evil.example/.\u00fc.x'],
    ['domain ended by a fraction slash that maps to one', 'b@evil.example\u2100.x.y'],
    ['soft hyphen in the domain', 'b@ex\u00adample.com'],
    ['zero width space in the domain', 'b@ex\u200bample.com'],
    ['full-width IPv4 address', 'b@１２７.１'],
    ['right-to-left override in the local part', 'b\u202ea@x.y'],
    ['no-break space in the local part', 'b\u00a0a@x.y'],
    ['lone surrogate in the local part', 'b\ud800@x.y'],
  ])('refuses %s', (_, text) => {
    expect(parseMailbox(text).ok).toBe(false);
    const split = text.lastIndexOf('<') > 0 ? text.slice(text.lastIndexOf('<')) : text;
    expect(parseMailbox({ name: 'Ann', address: split }).ok).toBe(false);
  });

  test('refuses CR LF in the name of the object form', () => {
    expect(parseMailbox({ name: 'Ann\r\nBcc: evil@x.y', address: 'b@x.y' }).ok).toBe(false);
  });

  test.each([
    'b@x.y\r\nRCPT TO:<evil@x.y>',
    'b@x.y RCPT TO:<evil@x.y>',
    '<<a@b.c>>',
    'x <a@b.c> y <c@d.e>',
    'a@b.c c@d.e',
  ])('refuses the list %j, in which a recipient would be lost or changed', (text) => {
    expect(parseMailboxList(text).ok).toBe(false);
  });

  test.each([
    ['@', (size: number) => '@'.repeat(size)],
    ['quotes', (size: number) => `"${'\\"'.repeat(size / 2)}`],
    ['brackets', (size: number) => '<'.repeat(size)],
    ['dots', (size: number) => `a@${'a.'.repeat(size / 2)}`],
    ['local part', (size: number) => `${'a.'.repeat(size / 2)}@`],
    ['spaces', (size: number) => `${' '.repeat(size)}a@b.c`],
    ['non-ASCII', (size: number) => `a@${'ü'.repeat(size)}`],
  ])('costs no more than linear time for 1 MB of %s', async (_, make) => {
    const work = (size: number): void => {
      const text = make(size);
      parseMailbox(text);
      parseMailbox({ name: text, address: text });
      parseAddressPattern(text);
      routingKey(text);
    };
    expect(await growsLinearly(work, 1e6)).toBe(true);
  });
});

describe('routing keys and patterns', () => {
  test('compare the whole address without case and the domain as A-label', () => {
    expect(routingKey('Sales@BÜCHER.example')).toBe('sales@xn--bcher-kva.example');
    expect(routingKey('Sales+X@Example.com')).toBe('sales+x@example.com');
  });

  test('keep apart what only Unicode case folding makes equal (U+212A KELVIN SIGN)', () => {
    expect(routingKey('boo\u212a@b.c')).not.toBe(routingKey('book@b.c'));
  });

  test('domainOf gives what is behind the @', () => {
    expect(domainOf('a@b.c')).toBe('b.c');
    expect(domainOf('none')).toBe('');
  });

  test('a pattern is an address or *@domain, in lower case', () => {
    expect(valueOf(parseAddressPattern('Finance@Example.com'))).toBe('finance@example.com');
    expect(valueOf(parseAddressPattern('*@BÜCHER.example'))).toBe('*@xn--bcher-kva.example');
  });

  test.each(['*', '*@', '*@*', '*@*.example.com', 'a*@b.c', 'Ann <a@b.c>', '@b.c', ''])(
    'refuses the pattern %j',
    (text) => {
      expect(parseAddressPattern(text).ok).toBe(false);
    },
  );
});

describe('address lists', () => {
  test.each([
    ['a@b.c, D <d@e.f>', ['a@b.c', 'd@e.f']],
    ['a@b.c,,d@e.f', ['a@b.c', 'd@e.f']],
    ['Team: a@b.c, "Z, q" <z@y.x>; , q@r.s', ['a@b.c', 'z@y.x', 'q@r.s']],
    ['undisclosed-recipients:;', []],
    ['a@b.c (Ann @ work)', ['a@b.c']],
    ['"x@y.z" <a@b.c>', ['a@b.c']],
    ["A@b.c <a@b.c>, 'd@e.f' <d@e.f>", ['a@b.c', 'd@e.f']],
    ['', []],
  ])('reads %j', (text, addresses) => {
    expect(addressesOf(text)).toEqual(addresses);
  });

  test('decodes encoded words in names', () => {
    expect(parseMailboxList('=?utf-8?Q?J=C3=B6rg?= =?iso-8859-1?B?TfxsbGVy?= <a@b.c>')).toEqual({
      ok: true,
      value: [{ name: 'JörgMüller', address: 'a@b.c' }],
    });
  });

  test('an encoded word cannot bring a line break into a name', () => {
    expect(valueOf(parseMailboxList('=?utf-8?Q?a=0D=0AB?= <a@b.c>'))).toEqual([{ name: 'a B', address: 'a@b.c' }]);
  });

  test('cut long names at whole characters', () => {
    const [mailbox] = valueOf(parseMailboxList(`"${'x'.repeat(78)}🎉🎉" <a@b.c>`));
    expect(mailbox?.name?.isWellFormed()).toBe(true);
  });

  test('refuses the whole list for one part without an address, and names it', () => {
    expect(parseMailboxList('a@b.c, bob')).toMatchObject({ ok: false, problem: expect.stringContaining('"bob"') });
  });

  test.each(['(', '"', '<', ':', ',', '=?a?q?', '?= =?', '\\'])(
    'cost no more than linear time for 1 MB of %j',
    async (unit) => {
      expect(await growsLinearly((size) => void parseMailboxList(unit.repeat(size / unit.length)), 1e6)).toBe(true);
    },
  );
});
