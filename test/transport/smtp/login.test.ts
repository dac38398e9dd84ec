/** AUTH: a mechanism that the server does not serve is skipped, a wrong password is tried once, and the list of EHLO is renewed. */
import { describe, expect, test } from 'vitest';
import { mailOf, sendBy, smtpPair, summary } from '../../support/smtp-client.ts';
import type { SmtpScriptEntry } from '../../../testkit/smtp/script.ts';

const login = { user: 'relay', password: 'pa55-wörd' };
const plain = { auth: login, allowInsecureAuth: true };

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
  ])('%s', async (reply) => {
    const { server, transport } = await smtpPair({ auth: login, script: refusingPlain(reply) }, plain);
    expect(summary(await sendBy(transport, mailOf()))).toMatch(/^fault /);
    expect(server.received.commands.filter((command) => command.startsWith('AUTH'))).toHaveLength(1);
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
