/** What the producer accepts as an address, the SMTP side can write, and nothing else: both ask the same function. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { defaultMessageLimits } from '../../../src/message/message.ts';
import { parseMessage } from '../../../src/message/schema.ts';
import { isPath, mailCommand, rcptCommand } from '../../../src/transport/smtp/commands.ts';
import { mailOf, sendBy, smtpPair, summary } from '../../support/smtp-client.ts';

const noExtensions = {
  eightBitMime: false,
  smtpUtf8: false,
  size: false,
  pipelining: false,
  dsn: false,
  maxBytes: null,
};
const mail = (from: string): string =>
  mailCommand(
    { from, to: ['a@b.c'], size: 0, use8BitMime: false, useSmtpUtf8: false, dsn: null },
    noExtensions as never,
  );

const long = `${'v'.repeat(87)}@example.jp`;
const addresses = ['"user name"@example.jp', '"a..b"@example.jp', long, `${'v'.repeat(240)}@example.jp`];

test.each(addresses)(
  '%s is accepted as recipient, sender, reply address and envelope sender, and in the To of a raw mail',
  (address) => {
    const parsed = parseMessage(
      {
        from: address,
        to: [address, 'good@example.net'],
        cc: address,
        replyTo: address,
        text: 'x',
        envelope: { from: address },
      },
      defaultMessageLimits,
    );
    expect(parsed).toMatchObject({
      ok: true,
      message: { envelope: { from: address, to: [address, 'good@example.net'] } },
    });
    const raw = parseMessage({ raw: `From: a@b.c\r\nTo: ${address}, d@e.f\r\n\r\nx` }, defaultMessageLimits);
    expect(raw).toMatchObject({ ok: true, message: { envelope: { to: [address, 'd@e.f'] } } });
  },
);

test.each(addresses)(
  '%s is written into MAIL and RCPT with its quotes, beside the other recipients',
  async (address) => {
    const { server, transport } = await smtpPair({});
    const to = [address, 'good@example.net'];
    expect(summary(await sendBy(transport, mailOf({ to, from: address })))).toBe('accepted accepted');
    expect(server.received.commands.map((line) => line.split(' SIZE=')[0])).toContain(`MAIL FROM:<${address}>`);
    expect(server.received.commands).toContain(`RCPT TO:<${address}>`);
  },
);

test('an address of more octets than a path may have is refused', () => {
  expect(parseMessage({ to: `${'v'.repeat(250)}@b.cd`, text: 'x' }, defaultMessageLimits)).toMatchObject({
    ok: false,
    issues: [{ field: 'to', rule: 'address' }],
  });
});

const pieces = [
  'a',
  '"',
  ' ',
  '..',
  '.',
  '@',
  '<',
  '>',
  '\\',
  '\r\n',
  '\0',
  '\t',
  'ü',
  '\u2028',
  '\u00a0',
  '\u3000',
  '\u200b',
  '(c)',
  ',',
  ':',
  '@b.c',
  '[1.2.3.4]',
  'x'.repeat(70),
];
const anything = fc.oneof(
  fc.array(fc.constantFrom(...pieces), { maxLength: 8 }).map((parts) => parts.join('')),
  fc.array(fc.constantFrom(...pieces), { maxLength: 5 }).map((parts) => `"${parts.join('')}"@example.jp`),
  fc.array(fc.constantFrom(...pieces), { maxLength: 5 }).map((parts) => `${parts.join('')}@example.jp`),
  fc.string({ unit: 'binary' }).map((text) => `${text}@b.c`),
  fc.emailAddress(),
);

describe('whatever the producer accepts', () => {
  test('the SMTP side writes as one command of one line, with one path in it', () => {
    let accepted = 0;
    fc.assert(
      fc.property(anything, (text) => {
        for (const part of [{ to: text }, { to: { address: text } }, { to: 'a@b.c', envelope: { to: text } }]) {
          const parsed = parseMessage({ text: 'x', ...part }, defaultMessageLimits);
          if (!parsed.ok) continue;
          accepted += 1;
          for (const address of parsed.message.envelope.to) {
            expect(isPath(address)).toBe(true);
            expect(rcptCommand(address, null)).toBe(`RCPT TO:<${address}>\r\n`);
            expect(mail(address)).toBe(`MAIL FROM:<${address}>\r\n`);
            // oxlint-disable-next-line no-control-regex -- control characters are what must not be there
            expect(address).toMatch(/^(?:[^\u0000-\u0020"<>]+|"[^\u0000-\u001f"<>\\]+")@[a-z0-9.-]+$/);
          }
        }
      }),
      { numRuns: 3_000 },
    );
    expect(accepted).toBeGreaterThan(100);
  });

  test.each([
    'a b@c.d',
    'a@b.c>',
    '<a@b.c',
    'a@b.c\r\nRCPT TO:<e@x.y>',
    '"a"b"@c.d',
    '"a\\"@c.d',
    'a\u00a0b@c.d',
    '@c.d',
    'a@',
  ])('and what it refuses is never written: %j', (address) => {
    expect(isPath(address)).toBe(false);
    expect(() => rcptCommand(address, null)).toThrow(TypeError);
    expect(() => mail(address)).toThrow(TypeError);
  });
});
