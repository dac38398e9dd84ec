/** SMTP through real proxies (squid, microsocks), and through one that is cut at a chosen moment. */
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { startFakeGraph } from '../../../testkit/graph/fake-graph.ts';
import { createCertificates, type Certificates } from '../../../testkit/certificates.ts';
import { microsocksMissing, startMicrosocks, type Microsocks } from '../../../testkit/proxies/microsocks.ts';
import { squidMissing, startSquid, type Squid } from '../../../testkit/proxies/squid.ts';
import { until } from '../../../testkit/until.ts';
import { connectingProxy, routeTo, scriptedProxy } from '../../support/scripted-proxy.ts';
import { mailOf, sendBy, smtpPair, summary } from '../../support/smtp-client.ts';
import type { SmtpSecurity } from '../../../src/transport/smtp/settings.ts';

const login = { user: 'relay', password: 'p@ss w:rd#' };
const written = `relay:${encodeURIComponent(login.password)}@`;
const signal = new AbortController().signal;
/** A fence that tells how often it was asked. */
function counted() {
  let asked = 0;
  return { fence: () => Promise.resolve(++asked > 0), asked: () => asked };
}

let certificates: Certificates;
beforeAll(async () => {
  certificates = await createCertificates();
});

const withoutSquid = squidMissing();
const withoutSocks = microsocksMissing();
for (const missing of [withoutSquid, withoutSocks]) if (missing !== null) console.warn(`not tested: ${missing}`);

describe.skipIf(withoutSquid !== null || withoutSocks !== null)('through a real proxy', () => {
  let squid: Squid;
  let socks: Microsocks;
  let closed: Squid;
  beforeAll(async () => {
    [squid, socks] = await Promise.all([startSquid({ login }), startMicrosocks(login)]);
    closed = await startSquid({ deniedPorts: [25, 587] });
  });
  afterAll(() => Promise.all([squid.stop(), socks.stop(), closed.stop()]));

  const urlOf = (kind: 'http' | 'socks5', user = written): string =>
    `${kind}://${user}127.0.0.1:${kind === 'http' ? squid.port : socks.port}`;

  describe.each(['http', 'socks5'] as const)('%s', (kind) => {
    test.for<SmtpSecurity>(['tls', 'starttls', 'none'])('delivers with security %s', async (security) => {
      const secured = security === 'none' ? {} : { tls: certificates.server, implicitTls: security === 'tls' };
      const proxy = routeTo(urlOf(kind));
      const tls = { ca: certificates.ca, servername: null };
      const { server, transport } = await smtpPair(secured, { host: 'localhost', security, tls, proxy });
      expect(summary(await sendBy(transport, mailOf()))).toBe('accepted');
      expect(summary(await sendBy(transport, mailOf({ id: 'm2' })))).toBe('accepted');
      expect(server.received.transactions.map(({ secure }) => secure)).toEqual(Array(2).fill(security !== 'none'));
      expect(server.received.connections).toBe(1);
      const name = `${kind}://127.0.0.1:${kind === 'http' ? squid.port : socks.port}`;
      const checked = await transport.check(signal);
      expect(checked.ok && checked.detail).toContain(`through the proxy ${name}`);
      expect(JSON.stringify(checked)).not.toContain('ss w');
      await transport.close();
      const ways = async () => (kind === 'http' ? await squid.connects() : socks.connects());
      await until(async () => (await ways()).some((each) => each.includes(`localhost:${server.port}`)), {
        what: 'the proxy to tell of it',
      });
    });

    test.for<SmtpSecurity>(['tls', 'starttls'])('verifies the server itself with security %s', async (security) => {
      const secured = { tls: certificates.wrongName, implicitTls: security === 'tls', auth: login };
      const tls = { ca: certificates.ca, servername: null };
      const settings = { security, tls, auth: login, proxy: routeTo(urlOf(kind)) };
      const { server, transport } = await smtpPair(secured, settings);
      const outcome = await sendBy(transport, mailOf());
      expect(outcome).toMatchObject({ fault: 'tls', reply: { code: 'ERR_TLS_CERT_ALTNAME_INVALID' } });
      expect(server.received.authAttempts).toEqual([]);
    });

    test('a wrong login is a fault of the connector before the fence, and says what to do', async () => {
      const { server, transport } = await smtpPair({}, { proxy: routeTo(urlOf(kind, 'relay:wrong-secret@')) });
      const { fence, asked } = counted();
      const outcome = await sendBy(transport, mailOf(), { fence });
      expect(outcome).toMatchObject({ kind: 'connector-fault', fault: 'auth', reply: { code: 'EPROXYAUTH' } });
      expect(JSON.stringify(outcome)).toContain('check the user and password in its URL');
      expect(JSON.stringify(outcome)).not.toContain('wrong-secret');
      expect([asked(), server.received.connections]).toEqual([0, 0]);
    });

    test('a server that is away is a fault that names the proxy and the server', async () => {
      const { server, transport } = await smtpPair({}, { port: 1, proxy: routeTo(urlOf(kind)) });
      const { fence, asked } = counted();
      const outcome = await sendBy(transport, mailOf(), { fence });
      expect(outcome).toMatchObject({ kind: 'connector-fault', fault: 'unreachable', reply: { code: 'EPROXY' } });
      expect(JSON.stringify(outcome)).toMatch(/the proxy \S+ .*127\.0\.0\.1:1.*check the name/);
      expect([asked(), server.received.connections]).toEqual([0, 0]);
    });
  });

  test('a port that its rules do not allow is a fault of the configuration', async () => {
    const { transport } = await smtpPair({}, { port: 587, proxy: routeTo(`http://127.0.0.1:${closed.port}`) });
    const outcome = await sendBy(transport, mailOf());
    expect(outcome).toMatchObject({ kind: 'connector-fault', fault: 'config', reply: { code: 'EPROXYDENIED' } });
    expect(JSON.stringify(outcome)).toContain('permit CONNECT to this host and port');
  });

  test('the token of a login takes the same way', async () => {
    const graph = await startFakeGraph();
    onTestFinished(() => graph.stop());
    const proxy = routeTo(urlOf('http'));
    const identity = {
      tenantId: graph.tenantId,
      clientId: graph.app.clientId,
      credential: { kind: 'clientSecret', clientSecret: graph.app.clientSecret ?? '' },
      authorityHost: graph.authorityHost,
      ca: graph.ca,
      proxy,
      tokenMs: 60_000,
    } as const;
    const oauth2 = { provider: 'microsoft', identity, scope: 'https://outlook.office365.com/.default' } as const;
    const user = 'sales@example.com';
    const { transport } = await smtpPair(
      { auth: { user, password: '', mechanisms: ['XOAUTH2'] }, script: { AUTH: '235 2.7.0 welcome' } },
      { auth: { user, oauth2 }, allowInsecureAuth: true, proxy },
    );
    expect(summary(await sendBy(transport, mailOf()))).toBe('accepted');
    await until(async () => (await squid.connects()).some((each) => each.includes(`127.0.0.1:${graph.port}`)), {
      what: 'the proxy to tell of the token',
    });
  });
});

describe('a proxy that fails', () => {
  test('after its answer is a fault that names it', async () => {
    const proxy = await scriptedProxy((socket) => {
      socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\n\r\n'));
    });
    const { transport } = await smtpPair({}, { proxy: routeTo(`http://127.0.0.1:${proxy.port}`) });
    const { fence, asked } = counted();
    const outcome = await sendBy(transport, mailOf(), { fence });
    expect(outcome).toMatchObject({ kind: 'connector-fault', fault: 'unreachable' });
    expect(JSON.stringify(outcome)).toContain(`through the proxy http://127.0.0.1:${proxy.port}`);
    expect(asked()).toBe(0);
  });

  test('that says nothing is given up after the time to connect', async () => {
    const proxy = await scriptedProxy(() => undefined);
    const timeouts = { connectMs: 200 };
    const { transport } = await smtpPair({}, { timeouts, proxy: routeTo(`socks5://127.0.0.1:${proxy.port}`) });
    const outcome = await sendBy(transport, mailOf());
    expect(outcome).toMatchObject({ kind: 'connector-fault', fault: 'unreachable', reply: { code: 'ETIMEDOUT' } });
    await until(() => proxy.open() === 0, { what: 'the connection to end' });
  });

  test('in the middle of a message leaves it to be sent again', async () => {
    const proxy = await connectingProxy((bytes) => {
      if (bytes.includes('first-piece')) proxy.reset();
    });
    const { server, transport } = await smtpPair(
      { script: { DATA: '354 go on' } },
      { proxy: routeTo(`http://127.0.0.1:${proxy.port}`) },
    );
    const bytes = Buffer.from('Subject: first-piece\r\n\r\n'.padEnd(20_000_000, 'yyyy\r\n'));
    const outcome = await sendBy(transport, mailOf({ bytes }));
    expect(summary(outcome)).toBe('deferred');
    expect(server.received.transactions).toEqual([]);
  });

  test('after the end of the message leaves it uncertain, as without a proxy', async () => {
    const proxy = await connectingProxy();
    const reset = (): 'hang' => {
      proxy.reset();
      return 'hang';
    };
    const route = routeTo(`http://127.0.0.1:${proxy.port}`);
    const { server, transport } = await smtpPair({ script: { '.': reset } }, { proxy: route });
    expect(summary(await sendBy(transport, mailOf()))).toBe('uncertain');
    expect(server.received.transactions).toHaveLength(1);
  });
});
