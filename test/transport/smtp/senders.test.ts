/** Whether an SMTP server takes each sender, asked by MAIL, RCPT and RSET, against a scripted server. */
import { expect, onTestFinished, test } from 'vitest';
import { createSmtpTransport } from '../../../src/transport/smtp/smtp.ts';
import type { SenderCheck } from '../../../src/transport/transport.ts';
import { startSmtpServer, type SmtpServer, type SmtpServerOptions } from '../../../testkit/smtp/server.ts';
import { smtpSettings, type SmtpSettingsChange } from '../../../testkit/smtp/settings.ts';

interface Asked {
  readonly checks: readonly SenderCheck[];
  readonly server: SmtpServer;
}

async function ask(
  senders: readonly string[],
  options: SmtpServerOptions,
  change: SmtpSettingsChange = {},
  signal = new AbortController().signal,
): Promise<Asked> {
  const server = await startSmtpServer(options);
  const settings = smtpSettings(server.port, change);
  const transport = createSmtpTransport({ settings, hostname: 'client.test', maxConnections: 1 });
  onTestFinished(async () => {
    await transport.close();
    await server.stop();
  });
  const checks: SenderCheck[] = [];
  await transport.trySenders?.(senders, signal, (check) => checks.push(check));
  return { checks, server };
}

const a = 'a@example.com';
const b = 'b@example.com';

test('all senders are asked for in one session, after a login, and no message is begun', async () => {
  const login = { user: 'relay', password: 'correct horse' };
  const { checks, server } = await ask([a, b], { auth: login }, { auth: login, allowInsecureAuth: true });
  expect(checks).toMatchObject([
    { address: a, result: 'ok' },
    { address: b, result: 'ok' },
  ]);
  const spoken = server.received.commands.filter((line) => !/^(?:EHLO|AUTH|QUIT)/.test(line));
  const one = (address: string): string[] => [`MAIL FROM:<${address}>`, `RCPT TO:<${address}>`, 'RSET'];
  expect(spoken).toEqual([...one(a), ...one(b)]);
  expect(server.received).toMatchObject({ connections: 1, transactions: [] });
});

test.each([
  ['550 5.7.60 SMTP; Client does not have permissions to send as this sender', 'refused', 'Send As'],
  ['554 5.2.252 SendAsDenied; relay@example.com not allowed to send as a@example.com', 'refused', 'Send As'],
  ['530 5.7.57 Client was not authenticated to send anonymous mail during MAIL FROM', 'refused', 'login'],
  ['550 5.7.1 no', 'refused', null],
  ['451 4.3.0 not now', 'unknown', null],
  ['999 what', 'unknown', null],
])('%s to MAIL means %s, missing: %s', async (reply, result, right) => {
  const { checks } = await ask([a, b], { script: { MAIL: [reply] } });
  expect(checks).toMatchObject([
    { address: a, result, right },
    { address: b, result: 'ok' },
  ]);
});

test.each([
  ['553 5.7.1 <a@example.com>: Sender address rejected: not owned by user relay', 'refused', 'Send As'],
  ['554 5.7.1 <a@example.com>: Relay access denied', 'refused', 'relay'],
  ['550 5.7.1 Unable to relay', 'refused', 'relay'],
  ['550 5.1.1 <a@example.com>: user unknown', 'unproven', null],
  ['450 4.7.1 greylisted', 'unproven', null],
])('%s to RCPT means %s, missing: %s', async (reply, result, right) => {
  const { checks } = await ask([a], { script: { RCPT: [reply] } });
  expect(checks).toMatchObject([{ address: a, result, right }]);
});

test('a server that ends the session goes on being asked in a new one, and not for ever', async () => {
  const closing = await ask([a, b], { script: { MAIL: ['421 4.7.0 too many errors'] } });
  expect(closing.checks.map(({ result }) => result)).toEqual(['unknown', 'ok']);
  const senders = Array.from({ length: 50 }, (_, i) => `s${i}@example.com`);
  const dropping = await ask(senders, { script: { MAIL: () => 'reset' } });
  expect(dropping.checks).toHaveLength(50);
  expect(new Set(dropping.checks.map(({ result }) => result))).toEqual(new Set(['unknown']));
  expect(dropping.server.received.connections).toBe(3);
});

test('a refused login is tried once, whatever the number of senders', async () => {
  const auth = { user: 'relay', password: 'correct horse' };
  const wrong = { user: 'relay', password: 'wrong horse' };
  const { checks, server } = await ask([a, b], { auth }, { auth: wrong, allowInsecureAuth: true });
  expect(checks.map(({ result }) => result)).toEqual(['unknown', 'unknown']);
  expect(server.received.authAttempts).toHaveLength(1);
  expect(JSON.stringify(checks)).not.toContain('wrong horse');
});

test('the signal ends the question to a server that says nothing', async () => {
  const { checks } = await ask([a], { script: { MAIL: 'hang' } }, {}, AbortSignal.timeout(200));
  expect(checks).toEqual([]);
});

test('an address beyond ASCII is not written to a server without SMTPUTF8', async () => {
  const { checks, server } = await ask(['jörg@example.com'], { extensions: ['PIPELINING'] });
  expect(checks).toMatchObject([{ result: 'refused', reply: { text: expect.stringContaining('SMTPUTF8') } }]);
  expect(server.received.commands.join()).not.toContain('MAIL');
});
