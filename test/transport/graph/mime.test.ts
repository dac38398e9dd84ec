/** Graph sends to whom the header names, so the header names exactly the recipients of the attempt. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { addressTo } from '../../../src/transport/graph/mime.ts';
import { parseMailboxList } from '../../../src/message/address.ts';
import { readHeaderBlock } from '../../../src/message/header-block.ts';

const mail = (...lines: string[]): Buffer => Buffer.from(`${lines.join('\r\n')}\r\n\r\nbody: \r\nBcc: not a field\r\n`);
const addressed = (bytes: Buffer, recipients: string[]): string => {
  const result = addressTo(bytes, recipients);
  if (!result.ok) throw new Error(result.problem);
  return result.bytes.toString('utf8');
};

describe('recipients in the header', () => {
  test('leaves every byte unchanged if To and Cc name exactly the recipients', () => {
    const bytes = mail(
      'From: a@x.example',
      'To: "B, b" <B@x.example>,\r\n =?utf-8?q?=C3=A9?= <c@x.example>',
      'Cc: d@x.example',
    );
    expect(addressed(bytes, ['b@x.example', 'c@x.example', 'd@x.example'])).toBe(bytes.toString('utf8'));
  });

  test('adds recipients that no field names in a folded Bcc field before all others', () => {
    const bytes = mail('From: a@x.example', 'To: b@x.example');
    const result = addressed(bytes, ['b@x.example', 'hidden@x.example', 'zwei@y.example']);
    expect(result).toBe(`Bcc: hidden@x.example,\r\n zwei@y.example\r\n${bytes.toString('utf8')}`);
  });

  test('removes addresses that are no recipients of this attempt, so that they get no second copy', () => {
    const bytes = mail('From: a@x.example', 'To: Ä <b@x.example>, Ö Ü <c@x.example>', 'Subject: s', 'Cc: d@x.example');
    const result = addressed(bytes, ['c@x.example']);
    expect(result).toContain('Subject: s');
    expect(result).not.toMatch(/b@x|d@x|Cc:/);
    const to = /^To: (.*)\r$/m.exec(result)?.[1] ?? '';
    expect(parseMailboxList(to)).toEqual({ ok: true, value: [{ name: 'Ö Ü', address: 'c@x.example' }] });
  });

  test('removes a group without members, which Graph refuses', () => {
    const result = addressed(mail('To: undisclosed-recipients:;', 'From: a@x.example'), ['b@x.example']);
    expect(result).toMatch(/^Bcc: b@x\.example\r\nFrom: a@x\.example\r\n\r\n/);
  });

  test('sends one copy to a recipient who is named twice', () => {
    const result = addressed(mail('To: b@x.example', 'Cc: B@X.example'), ['b@x.example']);
    expect(result).not.toContain('Bcc: b');
    expect(result).not.toMatch(/^Cc:/m);
  });

  test('refuses an unreadable To instead of letting Graph guess', () => {
    expect(addressTo(mail('To: one@x.example two@x.example'), ['one@x.example'])).toMatchObject({ ok: false });
  });

  test('refuses a message that already has a Bcc field', () => {
    expect(addressTo(mail('To: a@x.example', 'bcc: b@x.example'), ['a@x.example'])).toMatchObject({ ok: false });
  });

  test('names exactly the recipients, whatever To and Cc contained', () => {
    const person = fc.constantFrom(...Array.from({ length: 12 }, (_, at) => `p${at}@x.example`));
    const people = fc.uniqueArray(person, { maxLength: 8 });
    fc.assert(
      fc.property(people, people, fc.uniqueArray(person, { minLength: 1 }), (to, cc, recipients) => {
        const bytes = mail(
          'From: a@x.example',
          ...(to.length === 0 ? [] : [`To: ${to.join(', ')}`]),
          `Cc: ${cc.join(',\r\n ')}`,
        );
        const result = addressTo(bytes, recipients);
        const fields = result.ok ? readHeaderBlock(result.bytes).fields : [];
        const named = fields
          .filter(({ name }) => /^(?:to|cc|bcc)$/i.test(name))
          .flatMap(({ value }) => value.split(',').map((each) => each.trim()));
        expect(named.toSorted()).toEqual(recipients.toSorted());
      }),
    );
  });
});
