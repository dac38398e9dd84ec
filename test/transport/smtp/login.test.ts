/** AUTH: a mechanism that the server does not serve is skipped, a wrong password is tried once, and the list of EHLO is renewed. */
import { describe, expect, test } from 'vitest';
import { mailOf, sendBy, smtpPair, summary } from '../../support/smtp-client.ts';
import { teller } from '../../support/smtp-teller.ts';
import type { SmtpScriptEntry } from '../../../testkit/smtp/script.ts';

const login = { user: 'relay', password: 'pa55-wörd' };
const plain = { auth: login, allowInsecureAuth: true };

const base64 = (text: string): string => Buffer.from(text, 'utf8').toString('base64');

/** Says this to AUTH PLAIN, and serves the other mechanisms. */
function refusingPlain(reply: string): Record<string, SmtpScriptEntry> {
  return { AUTH: ({ line }: { line: string }) => (line.startsWith('AUTH PLAIN') ? reply : undefined) };
}

describe('the next mechanism is tried after', () => {
  test.for([
    '504 5.5.4 Unrecognized authentication type',
    '502 5.5.1 command not implemented',
    '501 5.5.2 cannot decode the initial response',
    '534 5.7.9 Authentication mechanism is too weak',
    '538 5.7.11 Encryption required for requested authentication mechanism',
    '535 5.7.8 Error: authentication failed: Invalid authentication mechanism',
    '550 AUTH PLAIN not supported',
    '501 5.5.4 Optional argument not permitted for that AUTH mode',
    '504 5.7.4 Unrecognized authentication type',
  ])('%s', async (reply) => {
    const { server, transport } = await smtpPair({ auth: login, script: refusingPlain(reply) }, plain);
    expect(summary(await sendBy(transport, mailOf()))).toBe('accepted');
    expect(server.received.authAttempts.at(-1)).toEqual({ mechanism: 'LOGIN', ...login });
    expect(server.received.connections).toBe(1);
  });
});

describe('no other mechanism is tried after', () => {
  test.for([
    '535 5.7.8 Authentication credentials invalid',
    '535 5.7.8 authentication failed',
    '534-5.7.9 Application-specific password required.\n534 5.7.9 For more information, visit the help page',
    '534 5.7.14 Please log in via your web browser and then try again',
    '454 4.7.0 Temporary authentication failure',
    '421 4.7.0 too many errors',
    '550 Too many messages. Try again in 92 seconds',
    '500 5.5.1 too many authentication attempts',
    '503 5.3.2 service temporarily unavailable',
    '454 4.7.0 Authentication mechanism temporarily unavailable',
  ])('%s', async (reply) => {
    const { server, transport } = await smtpPair({ auth: login, script: refusingPlain(reply) }, plain);
    expect(summary(await sendBy(transport, mailOf()))).toMatch(/^fault /);
    expect(server.received.commands.filter((command) => command.startsWith('AUTH'))).toHaveLength(1);
  });
});

describe('a 334', () => {
  test.for<[string, string]>([
    ['without text', '334'],
    ['with a blank alone', '334 '],
    ['with a prompt that is not base64', '334 Username:'],
    ['with base64 that is malformed', '334 VXNlcm5hbWU6==='],
    ['with a prompt of its own', '334 RW50ZXIgeW91ciBhY2NvdW50'],
  ])('%s is answered with the user and the password (LOGIN)', async ([, prompt]) => {
    const told = await teller(['250-x\n250 AUTH LOGIN\n', `${prompt}\n`, `${prompt}\n`, '535 5.7.8 no\n']);
    const { transport } = await smtpPair({}, { ...plain, port: told.port });
    expect(summary(await sendBy(transport, mailOf()))).toBe('fault auth');
    const sent = told.heard.slice(1, 4).map((line) => line.trim());
    expect(sent).toEqual(['AUTH LOGIN', base64(login.user), base64(login.password)]);
  });

  test.for(['334', '334 ', '334 !'])('"%s" to AUTH PLAIN is answered with the login', async (prompt) => {
    const told = await teller(['250-x\n250 AUTH PLAIN\n', `${prompt}\n`, '535 5.7.8 no\n']);
    const { transport } = await smtpPair({}, { ...plain, port: told.port });
    expect(summary(await sendBy(transport, mailOf()))).toBe('fault auth');
    const response = base64(`\0${login.user}\0${login.password}`);
    expect(told.heard.slice(1, 3)).toEqual([`AUTH PLAIN ${response}\r\n`, `${response}\r\n`]);
  });
});

describe('what is no wrong password', () => {
  test.for<[string, string, number | undefined]>([
    ['550 Too many messages. Try again in 92 seconds', 'throttled', 92_000],
    ['535 5.7.8 authenticate too many times', 'throttled', undefined],
    ['451 Authentication failed: Maximum credits exceeded', 'quota', undefined],
    ['454 4.7.0 Temporary authentication failure', 'unreachable', undefined],
    ['504 5.5.4 Unrecognized authentication type', 'config', undefined],
    ['535 5.7.8 Authentication credentials invalid', 'auth', undefined],
  ])('%s → %s, to send() and to check()', async ([reply, fault, pauseMs]) => {
    const { transport } = await smtpPair({ auth: login, script: { AUTH: () => reply } }, plain);
    const outcome = await sendBy(transport, mailOf());
    expect(outcome).toMatchObject({ kind: 'connector-fault', fault, reply: { code: reply.slice(0, 3) } });
    expect((outcome as { pauseMs?: number }).pauseMs).toBe(pauseMs);
    expect(await transport.check(new AbortController().signal)).toMatchObject({ ok: false, fault });
  });
});

test('where no mechanism is served, the reply to the last one is the reason', async () => {
  const script = { AUTH: ({ line }: { line: string }) => `504 5.5.4 no ${line.split(' ')[1]}` };
  const { transport } = await smtpPair({ auth: login, script }, plain);
  expect(await sendBy(transport, mailOf())).toMatchObject({ kind: 'connector-fault', reply: { text: 'no LOGIN' } });
});

test('a server that closes after it refused a mechanism is known by its refusal, not by the closed connection', async () => {
  const script = { AUTH: ['504 5.5.4 Unrecognized authentication type', 'close'] as const };
  const { transport } = await smtpPair({ auth: login, script }, plain);
  expect(await sendBy(transport, mailOf())).toMatchObject({ kind: 'connector-fault', reply: { code: '504' } });
});

describe('after the login, EHLO is said again', () => {
  const raw8bit = mailOf({
    bytes: Buffer.from(
      'From: a@example.com\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\ngrün\r\n',
    ),
  });

  test('and only what is offered then is used', async () => {
    let said = 0;
    const script = {
      EHLO: () => ((said += 1) === 1 ? '250-mx\n250-8BITMIME\n250 AUTH PLAIN' : '250-mx\n250 PIPELINING'),
    };
    const { server, transport } = await smtpPair({ auth: login, script }, plain);
    expect(summary(await sendBy(transport, raw8bit))).toBe('accepted');
    expect(server.received.commands.filter((command) => command.startsWith('MAIL'))).toEqual([
      expect.not.stringContaining('8BITMIME'),
    ]);
    expect(server.received.transactions[0]?.bytes.toString()).toContain('gr=C3=BCn');
  });

  test('and a server that refuses the second one is used by the first', async () => {
    let said = 0;
    const script = {
      EHLO: () => ((said += 1) === 1 ? '250-mx\n250-8BITMIME\n250 AUTH PLAIN' : '503 5.5.1 EHLO already said'),
    };
    const { server, transport } = await smtpPair({ auth: login, script }, plain);
    expect(summary(await sendBy(transport, raw8bit))).toBe('accepted');
    expect(server.received.commands.join()).toContain('BODY=8BITMIME');
  });

  test.for(['421 4.3.2 shutting down', 'close'] as const)(
    'and %s in its place postpones the connector',
    async (end) => {
      let said = 0;
      const script = { EHLO: () => ((said += 1) === 1 ? '250-mx\n250 AUTH PLAIN' : end) };
      const { server, transport } = await smtpPair({ auth: login, script }, plain);
      expect(summary(await sendBy(transport, mailOf()))).toMatch(/^fault (?:throttled|unreachable)$/);
      expect(server.received.transactions).toEqual([]);
    },
  );
});
