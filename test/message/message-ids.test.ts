/** In-Reply-To and References: a reply to a mail with an odd Message-ID can be sent, and nothing gets into the header with it. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readMessageIds } from '../../src/message/message-ids.ts';
import { defaultMessageLimits } from '../../src/message/message.ts';
import { parseMessage } from '../../src/message/schema.ts';
import { composedMail } from '../support/compose.ts';

const minimal = { from: 'sales@example.com', to: 'a@example.net', text: 'x' };

function accepted(part: object) {
  const parsed = parseMessage({ ...minimal, ...part }, defaultMessageLimits);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.issues));
  return parsed.message;
}

async function headerOf(part: object): Promise<string[]> {
  const options = {
    messageId: '<m@example.com>',
    date: new Date(0),
    boundarySeed: 's',
    contentOf: () => Buffer.alloc(1),
  };
  const bytes = await composedMail(accepted(part), options);
  const header = bytes.toString('latin1').split('\r\n\r\n')[0] ?? '';
  return header.replaceAll(/\r\n(?=[ \t])/g, '').split('\r\n');
}

describe('odd ids', () => {
  test.each<[string, string[]]>([
    ['<no-at>', ['<no-at>']],
    ['<a@>', ['<a@>']],
    ['<a@@b>', ['<a@@b>']],
    ['<a b@c>', ['<a b@c>']],
    ['<a@b> (the comment of a program)', ['<a@b>']],
    ['(x <not@this>) <a@b>', ['<a@b>']],
    ['<a@b><c@d>', ['<a@b>', '<c@d>']],
    ['<a@b>,<c@d>, <e@f>', ['<a@b>', '<c@d>', '<e@f>']],
    ['a@b c@d', ['<a@b>', '<c@d>']],
    ['abc', ['<abc>']],
    ['<a@b', ['<a@b>']],
    ['a@b>', ['<a@b>']],
    ['<a<b@c>', ['<b@c>']],
    ['Your message of Monday', []],
    ['Your message of Monday <a@b>', ['<a@b>']],
    ['<>', []],
    ['< >', []],
    ['', []],
    ['<ü@example.com> <a@b>', ['<a@b>']],
    [`<${'a'.repeat(899)}@b> <a@b>`, ['<a@b>']],
  ])('of %j what can stand in a header is kept', (text, ids) => {
    expect(readMessageIds(text)).toEqual(ids);
    expect(accepted({ references: text }).references).toEqual(ids);
    expect(accepted({ references: ['<x@y>', text] }).references).toEqual(['<x@y>', ...ids]);
    expect(accepted({ inReplyTo: text }).inReplyTo).toBe(ids.length === 0 ? undefined : ids.join(' '));
  });

  test.each([{}, { attachments: [{ content: 'x' }] }])(
    'arrive in the header as their program wrote them (%j)',
    async (more) => {
      const header = await headerOf({ ...more, inReplyTo: '<a b@@c>', references: ['<no-at><d@>', '<a b@@c>'] });
      expect(header).toContain('In-Reply-To: <a b@@c>');
      expect(header).toContain('References: <no-at> <d@> <a b@@c>');
    },
  );

  test('that cannot be kept leave no field behind', async () => {
    const header = await headerOf({ inReplyTo: 'ü', references: ['<ü@x>'] });
    expect(header.filter((line) => /^(?:In-Reply-To|References)/i.test(line))).toEqual([]);
  });

  test('come back from the normal form unchanged', () => {
    const once = accepted({ inReplyTo: '<a><b c>', references: '<a b@c>,d@e' });
    expect(accepted(once)).toEqual(once);
  });

  test('folded as they stood in the parent are taken', () => {
    expect(accepted({ references: '<a@b>\r\n <c@d>\n\t<e@f>' }).references).toEqual(['<a@b>', '<c@d>', '<e@f>']);
  });
});

test.each(['<a@b>\r\nBcc: evil@x.y', '<a@b>\nBcc: evil@x.y', '<a@b\r>', '<a\0@b>'])(
  'a line break or NUL in %j is refused, as in any header value',
  (text) => {
    for (const part of [{ inReplyTo: text }, { references: text }, { references: [text] }]) {
      expect(parseMessage({ ...minimal, ...part }, defaultMessageLimits)).toMatchObject({
        ok: false,
        issues: [{ rule: 'control-character' }],
      });
    }
  },
);

test('no text makes another field, a line of its own or a byte beyond ASCII of the header', async () => {
  const pieces = [
    '<',
    '>',
    '@',
    ' ',
    '\t',
    ',',
    '(',
    ')',
    '"',
    '\\',
    ':',
    'a',
    'Bcc: e@x.y',
    '=?utf-8?Q?=0D=0A?=',
    'ü',
    '\u2028',
    '\u0001',
  ];
  const text = fc.array(fc.constantFrom(...pieces), { maxLength: 30 }).map((parts) => parts.join(''));
  await fc.assert(
    fc.asyncProperty(text, fc.array(text, { maxLength: 3 }), async (inReplyTo, references) => {
      const header = await headerOf({ inReplyTo, references });
      const names = header.map((line) => line.split(':')[0]);
      expect(new Set(names).size).toBe(names.length);
      expect(names).not.toContain('Bcc');
      // oxlint-disable-next-line no-control-regex -- the range is what a header may have
      expect(header.join('\n')).toMatch(/^[\t\n -~]*$/);
    }),
    { numRuns: 300 },
  );
});
