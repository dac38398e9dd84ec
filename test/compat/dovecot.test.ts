/** Dovecot's submission service, which relays each command while it answers: it offers what the next hop may refuse. */
import { describe, expect, onTestFinished, test } from 'vitest';
import { dovecotLogin, startDovecot } from '../../testkit/mailservers/dovecot.ts';
import type { SmtpServerOptions } from '../../testkit/smtp/server.ts';
import { mailOf, sendBy, summary } from '../support/smtp-client.ts';
import { copiesAt, letter, missing, startSink, transportTo } from './support.ts';

if (missing !== null) console.warn(`Dovecot is not tested: ${missing}`);

const login = { auth: dovecotLogin, allowInsecureAuth: true };

async function dovecot(options: SmtpServerOptions = {}) {
  const sink = await startSink(options);
  const server = await startDovecot({ relayPort: sink.port });
  onTestFinished(() => server.stop());
  return { server, sink };
}

const eightBit = letter('eight', 'grün\r\n', [
  'MIME-Version: 1.0',
  'Content-Type: text/plain; charset=utf-8',
  'Content-Transfer-Encoding: 8bit',
]);

describe.skipIf(missing !== null)('Dovecot', () => {
  test('before a server without 8BITMIME, 8-bit content arrives in 7 bits', async () => {
    const { server, sink } = await dovecot({ extensions: ['PIPELINING', 'SIZE'] });
    expect(summary(await sendBy(transportTo(server, login), mailOf({ bytes: eightBit })))).toBe('accepted');
    await copiesAt(sink, 1);
    expect(sink.received.transactions.at(-1)?.bytes.toString('latin1')).toContain('gr=C3=BCn');
  });

  test('before a server with 8BITMIME, 8-bit content arrives as it is', async () => {
    const { server, sink } = await dovecot();
    expect(summary(await sendBy(transportTo(server, login), mailOf({ bytes: eightBit })))).toBe('accepted');
    await copiesAt(sink, 1);
    expect(sink.received.transactions.at(-1)?.bytes.includes('grün')).toBe(true);
  });

  test('a wrong password is a fault `auth` of the connector', async () => {
    const { server, sink } = await dovecot();
    const wrong = { ...login, auth: { ...dovecotLogin, password: 'wrong' } };
    expect(summary(await sendBy(transportTo(server, wrong), mailOf()))).toBe('fault auth');
    expect(sink.received.transactions).toEqual([]);
  });

  test('what the next hop says to each recipient is the outcome of that recipient', async () => {
    const RCPT = ({ line }: { line: string }) => (line.includes('bad@') ? '550 5.1.1 no such user' : undefined);
    const { server } = await dovecot({ script: { RCPT } });
    const to = ['a@example.net', 'bad@example.net', 'b@example.net'];
    expect(summary(await sendBy(transportTo(server, login), mailOf({ to, bytes: letter('mixed') })))).toBe(
      'accepted rejected accepted',
    );
  });
});
