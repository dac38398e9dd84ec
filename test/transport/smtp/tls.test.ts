/** Encryption and login: every kind works, unverified sessions are never used, and nothing is silently downgraded. */
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { createServer, type TlsOptions } from 'node:tls';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { createCertificates, type Certificates } from '../../../testkit/certificates.ts';
import { mailOf, sendBy, smtpPair, summary } from '../../support/smtp-client.ts';
import type { SmtpServerOptions } from '../../../testkit/smtp/server.ts';
import type { SmtpSecurity } from '../../../src/transport/smtp/settings.ts';

let certificates: Certificates;
beforeAll(async () => {
  certificates = await createCertificates();
});

const login = { user: 'relay', password: 'pa55-wörd' };
const kinds: SmtpSecurity[] = ['tls', 'starttls'];
const signal = (): AbortSignal => new AbortController().signal;

function secured(security: SmtpSecurity, which: Exclude<keyof Certificates, 'ca'> = 'server'): SmtpServerOptions {
  return { tls: certificates[which], implicitTls: security === 'tls', auth: login };
}

describe.for(kinds)('with security %s', (security) => {
  test.for(['127.0.0.1', 'localhost'])('delivers over a verified, authenticated session to %s', async (host) => {
    const tls = { ca: certificates.ca, servername: null };
    const { server, transport } = await smtpPair(secured(security), { host, security, auth: login, tls });
    expect(summary(await sendBy(transport, mailOf()))).toBe('accepted');
    expect(server.received.transactions).toMatchObject([{ secure: true, user: 'relay', accepted: true }]);
    expect(server.received.authAttempts).toEqual([{ mechanism: 'PLAIN', ...login }]);
  });

  test('verifies the configured name instead of the host', async () => {
    const tls = { ca: certificates.ca, servername: 'other.example' };
    const { transport } = await smtpPair(secured(security, 'wrongName'), { security, auth: login, tls });
    expect(summary(await sendBy(transport, mailOf()))).toBe('accepted');
  });

  test.for(['expired', 'wrongName', 'untrusted'] as const)('refuses a certificate that is %s', async (which) => {
    const tls = { ca: certificates.ca, servername: null };
    const { server, transport } = await smtpPair(secured(security, which), { security, auth: login, tls });
    const outcome = await sendBy(transport, mailOf());
    expect(summary(outcome)).toBe('fault tls');
    expect(outcome).toHaveProperty(
      'reply.code',
      {
        expired: 'CERT_HAS_EXPIRED',
        wrongName: 'ERR_TLS_CERT_ALTNAME_INVALID',
        untrusted: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
      }[which],
    );
    expect(server.received.authAttempts).toEqual([]);
  });

  test('refuses a certificate that names the host in its common name only, and says what to do', async () => {
    const tls = { ca: certificates.ca, servername: null };
    const options = { host: 'localhost', security, auth: login, tls };
    const { server, transport } = await smtpPair(secured(security, 'commonNameOnly'), options);
    const outcome = await sendBy(transport, mailOf());
    expect(summary(outcome)).toBe('fault tls');
    expect(outcome).toHaveProperty('reply.text', expect.stringContaining('no subjectAltName for localhost'));
    expect(server.received.authAttempts).toEqual([]);
  });

  test('refuses TLS below 1.2', async () => {
    const old = { ...certificates.server, minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1' } as const;
    const tls = { ca: certificates.ca, servername: null };
    const { transport } = await smtpPair({ ...secured(security), tls: old }, { security, auth: login, tls });
    const outcome = await sendBy(transport, mailOf());
    expect(outcome.kind).toBe('connector-fault');
    expect(summary(outcome)).toMatch(/^fault (?:tls|unreachable)$/);
  });

  test('refuses a private CA that is not configured', async () => {
    const { server, transport } = await smtpPair(secured(security), { security, auth: login });
    expect(summary(await sendBy(transport, mailOf()))).toBe('fault tls');
    expect(server.received.authAttempts).toEqual([]);
  });

  test('reports from check() how the session is secured', async () => {
    const tls = { ca: certificates.ca, servername: null };
    const { server, transport } = await smtpPair(secured(security), { security, auth: login, tls });
    expect(await transport.check(signal())).toEqual({
      ok: true,
      detail: `127.0.0.1:${server.port}, ${security === 'tls' ? 'TLS' : 'STARTTLS'} (TLSv1.3), authenticated as relay, SIZE 35 MB`,
    });
  });
});

describe('no silent downgrade', () => {
  test('sends nothing when STARTTLS was stripped from the reply to EHLO', async () => {
    const { server, transport } = await smtpPair({}, { security: 'starttls', auth: login });
    expect(summary(await sendBy(transport, mailOf()))).toBe('fault tls');
    expect(server.received.commands).not.toContainEqual(expect.stringMatching(/^(?:MAIL|AUTH)/));
  });

  test('sends nothing when the server refuses STARTTLS', async () => {
    const script = { STARTTLS: '454 4.7.0 TLS not available' };
    const { server, transport } = await smtpPair({ tls: certificates.server, script }, { security: 'starttls' });
    expect(summary(await sendBy(transport, mailOf()))).toBe('fault tls');
    expect(server.received.transactions).toEqual([]);
  });

  test('reports a TLS fault when a plain port is addressed with TLS', async () => {
    const { transport } = await smtpPair({}, { security: 'tls' });
    const outcome = await sendBy(transport, mailOf());
    expect(summary(outcome)).toBe('fault tls');
    expect(outcome).toHaveProperty('reply.text', expect.stringContaining('set security: starttls'));
  });

  test.for<[string, TlsOptions, RegExp]>([
    ['TLS 1.1 only', { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1' }, /must support TLS 1\.2 or later/],
    ['no cipher of today', { ciphers: 'NULL-SHA:@SECLEVEL=0', maxVersion: 'TLSv1.2' }, /share no cipher/],
  ])('says in words what is wrong with a server that has %s', async ([, weak, words]) => {
    const server = createServer({ ...certificates.server, ...weak });
    server.on('tlsClientError', () => undefined);
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as AddressInfo;
    const { transport } = await smtpPair({}, { port, security: 'tls', tls: { ca: certificates.ca, servername: null } });
    const outcome = await sendBy(transport, mailOf());
    server.close();
    expect(summary(outcome)).toBe('fault tls');
    expect(outcome).toHaveProperty('reply.text', expect.stringMatching(words));
    expect(outcome).toHaveProperty('reply.text', expect.not.stringMatching(sourceLine));
  });

  test.for<[string, SmtpSecurity]>([
    ['an unencrypted session', 'none'],
    ['STARTTLS', 'starttls'],
  ])('a silent port that expects TLS from the first byte is named where %s was configured', async ([, security]) => {
    const { transport } = await smtpPair(
      { tls: certificates.server, implicitTls: true },
      { security, timeouts: { greetingMs: 300 } },
    );
    const outcome = await sendBy(transport, mailOf());
    expect(summary(outcome)).toBe('fault unreachable');
    expect(outcome).toHaveProperty(
      'reply.text',
      expect.stringMatching(/^no greeting within 300 ms; .*set security: tls$/),
    );
  });

  test('does not even connect with credentials for an unencrypted session', async () => {
    const { server, transport } = await smtpPair({ auth: login }, { auth: login });
    expect(summary(await sendBy(transport, mailOf()))).toBe('fault config');
    expect(await transport.check(signal())).toMatchObject({ ok: false, fault: 'config' });
    expect(server.received.connections).toBe(0);
  });

  test('sends credentials over an unencrypted session if that is allowed', async () => {
    const { server, transport } = await smtpPair({ auth: login }, { auth: login, allowInsecureAuth: true });
    expect(summary(await sendBy(transport, mailOf()))).toBe('accepted');
    expect(server.received.authAttempts).toHaveLength(1);
  });
});

/** Of OpenSSL's error queue: a source file with its line, the number of an error, the name of a library. */
const sourceLine = /\.c:\d|error:|routines|\.\.\/|[0-9A-F]{12}/;

/** Answers the client's first TLS record with these bytes, or an end without any; nothing that OpenSSL still offers could play it. */
async function oldServer(security: SmtpSecurity, answer: Buffer | 'close' | 'reset'): Promise<number> {
  const server = net.createServer((socket) => {
    const end = (): void => {
      if (answer === 'reset') socket.resetAndDestroy();
      else if (answer === 'close') socket.end();
      else socket.end(answer);
    };
    const steps = security === 'tls' ? [end] : ['250-old\r\n250 STARTTLS\r\n', '220 go ahead\r\n', end];
    if (security !== 'tls') socket.write('220 old\r\n');
    socket
      .on('error', () => undefined)
      .on('data', () => {
        const step = steps.shift();
        if (typeof step === 'string') socket.write(step);
        else step?.();
      });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

/** RFC 5246 section 7.2: an alert of the level `fatal`. */
const alert = (description: number): Buffer => Buffer.from([0x15, 3, 3, 0, 2, 2, description]);

/** RFC 5246 section 7.4.1.3: the server chose this version and cipher suite. */
function serverHello(version: readonly number[], suite: readonly number[]): Buffer {
  const body = [...version, ...Array<number>(32).fill(7), 0, ...suite, 0];
  return Buffer.from([0x16, 3, 3, 0, body.length + 4, 2, 0, 0, body.length, ...body]);
}

describe.for(kinds)('with security %s, a server with', (security) => {
  const shareNoCipher = /share no cipher: this client offers .*AES.*, and the server takes none .*RC4 or 3DES/;
  test.for<[string, Buffer, RegExp]>([
    ['RC4 and 3DES only (alert 40)', alert(40), shareNoCipher],
    ['RC4 and 3DES only (alert 71)', alert(71), shareNoCipher],
    ['a suite of RC4, whatever is offered', serverHello([3, 3], [0, 5]), shareNoCipher],
    ['a suite of 3DES, whatever is offered', serverHello([3, 3], [0, 10]), shareNoCipher],
    ['TLS 1.0 only', serverHello([3, 1], [0, 10]), /must support TLS 1\.2 or later/],
    ['TLS 1.0 only (alert 70)', alert(70), /must support TLS 1\.2 or later/],
    ['another objection', alert(47), /^the server ended the TLS handshake: .*illegal parameter/],
    ['no TLS at all', Buffer.from('500 5.5.1 what?\r\n'), /does not speak TLS|something that is not TLS/],
  ])('%s is a fault tls that says which side offers what, and names no source file', async ([, answer, words]) => {
    const port = await oldServer(security, answer);
    const { transport } = await smtpPair({}, { port, security });
    const outcome = await sendBy(transport, mailOf());
    expect(summary(outcome)).toBe('fault tls');
    expect(outcome).toHaveProperty('reply.text', expect.stringMatching(words));
    expect(outcome).toHaveProperty('reply.text', expect.not.stringMatching(sourceLine));
    expect(await transport.check(signal())).toMatchObject({ ok: false, fault: 'tls' });
  });

  test.for(['close', 'reset'] as const)('a %s in place of its part of the handshake is named so', async (end) => {
    const port = await oldServer(security, end);
    const { transport } = await smtpPair({}, { port, security });
    const outcome = await sendBy(transport, mailOf());
    // Behind a port that speaks TLS at once, a proxy may have closed whose server is away.
    expect(summary(outcome)).toBe(security === 'tls' ? 'fault unreachable' : 'fault tls');
    expect(outcome).toHaveProperty('reply.text', expect.stringContaining('closed the connection during the TLS'));
    expect(outcome).toHaveProperty('reply.text', expect.stringContaining('this client offers TLS 1.2 and 1.3'));
  });
});

describe('login', () => {
  const plain = { auth: login, allowInsecureAuth: true };

  test('uses the mechanism that the server offers', async () => {
    const { server, transport } = await smtpPair({ auth: { ...login, mechanisms: ['XOAUTH2', 'LOGIN'] } }, plain);
    expect(summary(await sendBy(transport, mailOf()))).toBe('accepted');
    expect(server.received.authAttempts).toEqual([{ mechanism: 'LOGIN', ...login }]);
  });

  test.for<[string, SmtpServerOptions]>([
    ['no AUTH', {}],
    ['no mechanism of ours', { auth: { ...login, mechanisms: ['XOAUTH2', 'GSSAPI'] } }],
  ])('is a fault of the configuration if the server offers %s', async ([, options]) => {
    const { server, transport } = await smtpPair(options, plain);
    expect(summary(await sendBy(transport, mailOf()))).toBe('fault config');
    expect(server.received.commands).not.toContainEqual(expect.stringMatching(/^(?:AUTH|MAIL)/));
  });

  test('with a wrong password is tried once per send', async () => {
    const { server, transport } = await smtpPair(
      { auth: login },
      { ...plain, auth: { user: 'relay', password: 'wrong' } },
    );
    expect(summary(await sendBy(transport, mailOf()))).toBe('fault auth');
    expect(server.received.authAttempts).toHaveLength(1);
  });

  test('keeps the password out of the outcome even if the server repeats it', async () => {
    const echo = { AUTH: ({ line }: { line: string }) => `535 5.7.8 cannot understand ${line} (${login.password})` };
    const { transport } = await smtpPair({ auth: login, script: echo }, plain);
    const outcome = JSON.stringify(await sendBy(transport, mailOf()));
    expect(outcome).toContain('cannot understand AUTH PLAIN ***');
    expect(outcome).not.toContain(login.password);
  });

  test('names the account and the sender if the account may not send as that sender', async () => {
    const refusal = '553 5.7.1 <sales@example.com>: Sender address rejected: not owned by user relay';
    const { transport } = await smtpPair({ auth: login, script: { RCPT: () => refusal } }, plain);
    expect(await sendBy(transport, mailOf())).toMatchObject({
      recipients: [
        {
          outcome: 'rejected',
          reply: { text: expect.stringContaining('the account relay may not send as sales@example.com') },
        },
      ],
    });
  });
});
