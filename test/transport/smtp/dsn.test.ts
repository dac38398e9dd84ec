/** What is asked of a server about delivery reports: the parameters on the wire, what cannot break out of them, and servers that refuse them. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { mailDsn, rcptDsn, xtext } from '../../../src/transport/smtp/dsn.ts';
import type { DsnRequest } from '../../../src/transport/transport.ts';
import { mailOf, sendBy, smtpPair, summary } from '../../support/smtp-client.ts';

const asked: DsnRequest = { notify: ['failure', 'delay'], return: 'headers', envelopeId: 'm1.abc@example.com' };
const to = ['a+b=c@example.net', 'ben@example.net'];
const extensions = ['PIPELINING', 'SIZE 1000000', 'DSN'];

const told = (commands: readonly string[]): string[] => commands.filter((line) => /^(?:MAIL|RCPT) /.test(line));

test('a server that offers DSN is told what is wanted, the id of the envelope, and each recipient as it is here', async () => {
  const { server, transport } = await smtpPair({ extensions });
  expect(summary(await sendBy(transport, { ...mailOf({ to }), dsn: asked }))).toBe('accepted accepted');
  expect(told(server.received.commands)).toEqual([
    expect.stringMatching(/^MAIL FROM:<sales@example\.com> SIZE=\d+ RET=HDRS ENVID=m1\.abc@example\.com$/),
    'RCPT TO:<a+b=c@example.net> NOTIFY=FAILURE,DELAY ORCPT=rfc822;a+2Bb+3Dc@example.net',
    'RCPT TO:<ben@example.net> NOTIFY=FAILURE,DELAY ORCPT=rfc822;ben@example.net',
  ]);
});

test('a server that does not offer DSN, and a message that asks for nothing, have none of these parameters', async () => {
  for (const [offered, dsn] of [
    [['PIPELINING'], { dsn: asked }],
    [extensions, {}],
  ] as const) {
    const { server, transport } = await smtpPair({ extensions: offered });
    expect(summary(await sendBy(transport, { ...mailOf({ to }), ...dsn }))).toBe('accepted accepted');
    expect(told(server.received.commands).filter((line) => /ENVID|RET=|NOTIFY|ORCPT/.test(line))).toEqual([]);
  }
});

describe('a server that offers DSN and refuses it gets the mail without it, at once, and is not asked again', () => {
  test.each([
    ['MAIL', '555 5.5.4 unsupported parameter ENVID'],
    ['MAIL', '501 5.5.4 Syntax error in parameters'],
    ['RCPT', '555 5.5.4 NOTIFY parameter not recognized'],
    ['RCPT', '555 RCPT parameters not recognized'],
    ['RCPT', '501 5.5.4 Invalid ORCPT'],
  ])('at %s: %s', async (verb, reply) => {
    const script = {
      [verb]: ({ line }: { readonly line: string }) => (/ENVID|NOTIFY/.test(line) ? reply : undefined),
    };
    const { server, transport } = await smtpPair({ extensions, script });
    const mail = { ...mailOf({ to }), dsn: asked };
    expect(summary(await sendBy(transport, mail))).toBe('accepted accepted');
    expect(server.received.transactions.filter(({ accepted }) => accepted)).toHaveLength(1);
    const before = server.received.commands.length;
    expect(summary(await sendBy(transport, { ...mail, id: 'm2' }))).toBe('accepted accepted');
    const again = server.received.commands.slice(before).filter((line) => /ENVID/.test(line));
    expect(again).toHaveLength(verb === 'MAIL' ? 0 : 1);
  });
});

test('never and full are written as the RFC has them, and what is not asked for is left out', () => {
  expect(rcptDsn('a@b.test', { notify: 'never', envelopeId: null })).toEqual(['NOTIFY=NEVER', 'ORCPT=rfc822;a@b.test']);
  expect(rcptDsn('a@b.test', { envelopeId: null })).toEqual(['ORCPT=rfc822;a@b.test']);
  expect(mailDsn({ return: 'full', envelopeId: null })).toEqual(['RET=FULL']);
  expect(mailDsn({ envelopeId: null })).toEqual([]);
});

test('attack: no Message-ID and no address adds a parameter, a command or a line', () => {
  const hostile = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 200 }),
    fc.stringMatching(/^[ -~]{0,120}$/),
    fc.constantFrom(
      'a\r\nRCPT TO:<boss@victim.test>',
      'a NOTIFY=NEVER',
      'a+0D+0A',
      'x=y',
      'ü@b.test',
      'a\0b',
      '\u2028',
    ),
  );
  fc.assert(
    fc.property(hostile, (text) => {
      for (const parameter of [...mailDsn({ envelopeId: text }), ...rcptDsn(text, { envelopeId: null })]) {
        // RFC 3461 section 4: xchar is any graphic character but + and =.
        expect(parameter).toMatch(/^(?:ENVID=|ORCPT=rfc822;)(?:[!-*,-<>-~]|\+[0-9A-F]{2})+$/);
      }
      const encoded = xtext(text, 100);
      if (encoded === null) return;
      expect(encoded.length).toBeLessThanOrEqual(100);
      const decoded = encoded.replaceAll(/\+(..)/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
      expect(decoded).toBe(text);
    }),
  );
});
