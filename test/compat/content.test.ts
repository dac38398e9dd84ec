/** What a message holds, through each real server: the octets that a reader of the mail sees are those that were sent. */
import { join } from 'node:path';
import { simpleParser } from 'mailparser';
import { describe, expect, onTestFinished, test } from 'vitest';
import { dovecotLogin, startDovecot } from '../../testkit/mailservers/dovecot.ts';
import { startExim } from '../../testkit/mailservers/exim.ts';
import { harakaMissing, startHaraka } from '../../testkit/mailservers/haraka.ts';
import { startOpenSmtpd } from '../../testkit/mailservers/opensmtpd.ts';
import type { Contained } from '../../testkit/mailservers/contained.ts';
import { root } from '../support/source.ts';
import { settled } from '../support/accounting.ts';
import type { SmtpSettingsChange } from '../../testkit/smtp/settings.ts';
import type { SmtpServer } from '../../testkit/smtp/server.ts';
import { until } from '../../testkit/until.ts';
import { startRelay } from './relay.ts';
import { missing, startSink } from './support.ts';

const packages = join(root, 'test/compat/haraka');
const withoutHaraka = harakaMissing(packages);
if (missing !== null) console.warn(`Content is not tested: ${missing}`);

interface Place {
  readonly start: (sink: SmtpServer) => Promise<Contained>;
  readonly change?: SmtpSettingsChange;
  readonly missing?: string | null;
}

const login = { auth: dovecotLogin, allowInsecureAuth: true };
const places: Readonly<Record<string, Place>> = {
  Exim: { start: ({ port }) => startExim({ sinkPort: port }) },
  OpenSMTPD: { start: ({ port }) => startOpenSmtpd({ sinkPort: port }) },
  Dovecot: { start: ({ port }) => startDovecot({ relayPort: port }), change: login },
  Haraka: { start: ({ port }) => startHaraka(packages, { relayPort: port }), missing: withoutHaraka },
};

/** Dots at the beginnings of lines, lines that are too long for SMTP, letters beyond ASCII, and empty lines at the end. */
const text = ['.', '..', '.dot', '...three', 'x'.repeat(5_000), 'grün 🎉', '', 'From here', ' end  ', '', ''].join(
  '\n',
);
const octets = Buffer.from(Array.from({ length: 4_096 }, (_, at) => at % 256));

describe.skipIf(missing !== null).for(Object.entries(places))('%s', ([, place]) => {
  test.skipIf((place.missing ?? null) !== null).for([
    ['with 8BITMIME', ['PIPELINING', '8BITMIME', 'SMTPUTF8', 'SIZE']],
    ['without 8BITMIME', ['PIPELINING', 'SIZE']],
  ] as const)('before a server %s hands on text, octets and header as they were', async ([, extensions]) => {
    const sink = await startSink({ extensions });
    const server = await place.start(sink);
    onTestFinished(() => server.stop());
    const relay = { id: 'relay', port: server.port, ...(place.change === undefined ? {} : { change: place.change }) };
    const { producer } = await startRelay([relay]);
    const from = { name: 'Jürgen Müller', address: dovecotLogin.user };
    const subject = `Grüße ${'lang '.repeat(60)}end`;
    const content = octets.toString('base64');
    const attachments = [{ filename: 'grün.bin', content, encoding: 'base64' as const }];
    const raw = [
      `From: ${dovecotLogin.user}`,
      'To: raw@example.net',
      'Subject: raw',
      'MIME-Version: 1.0',
      'Content-Type: text/plain; charset=utf-8',
      'Content-Transfer-Encoding: 8bit',
      '',
      text.replaceAll('\n', '\r\n'),
      '',
    ].join('\r\n');
    await producer.sendMany([
      { id: 'made', from, to: 'made@example.net', subject, text, attachments },
      { id: 'raw', raw: Buffer.from(raw) },
    ]);
    expect((await settled(producer, ['made', 'raw'])).map(({ state }) => state)).toEqual(['sent', 'sent']);
    const arrived = async (address: string) => {
      const found = await until(
        () => sink.received.transactions.find(({ to, accepted }) => accepted && to.includes(address)),
        { what: `the message to ${address}` },
      );
      return simpleParser(found.bytes);
    };
    const made = await arrived('made@example.net');
    expect(made.subject).toBe(subject);
    expect(made.from?.value).toEqual([from]);
    expect(made.text?.trimEnd()).toBe(text.trimEnd());
    expect(made.attachments.map(({ filename, content }) => [filename, content.equals(octets)])).toEqual([
      ['grün.bin', true],
    ]);
    expect((await arrived('raw@example.net')).text?.trimEnd()).toBe(text.trimEnd());
  });
});
