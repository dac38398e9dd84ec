/** A proxy that speaks TLS itself: its certificate is verified for its own name, and TLS with it is none with the server. */
import { connect, type AddressInfo } from 'node:net';
import tls from 'node:tls';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { createHttpClient } from '../../src/transport/http.ts';
import type { SmtpSecurity } from '../../src/transport/smtp/settings.ts';
import { createCertificates, type Certificates } from '../../testkit/certificates.ts';
import { httpsServer } from '../support/https-server.ts';
import { routeTo } from '../support/scripted-proxy.ts';
import { mailOf, sendBy, smtpPair, summary } from '../support/smtp-client.ts';

const before = tls.getCACertificates('default');
let own: Certificates;
beforeAll(async () => {
  own = await createCertificates();
  // As NODE_EXTRA_CA_CERTS does it.
  tls.setDefaultCACertificates([...before, own.ca]);
});
afterAll(() => tls.setDefaultCACertificates(before));

/** Takes every CONNECT, over TLS. → its URL. */
async function proxyWith(keys: { readonly key: string; readonly cert: string }): Promise<string> {
  const server = tls.createServer(keys, (client) => {
    client.on('error', () => undefined);
    client.once('data', (request: Buffer) => {
      const [, port = ''] = /^CONNECT [^ ]+:(\d+) HTTP/.exec(request.toString('latin1')) ?? [];
      const next = connect({ host: '127.0.0.1', port: Number(port) }, () => {
        client.write('HTTP/1.1 200 OK\r\n\r\n');
        client.pipe(next).pipe(client);
      });
      next.on('error', () => client.destroy());
      client.on('close', () => next.destroy());
    });
  });
  server.on('tlsClientError', () => undefined);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return `https://localhost:${(server.address() as AddressInfo).port}`;
}

test.for<SmtpSecurity>(['tls', 'starttls', 'none'])('mail with security %s goes through it', async (security) => {
  const other = await createCertificates();
  const url = await proxyWith(own.server);
  const secured = security === 'none' ? {} : { tls: other.server, implicitTls: security === 'tls' };
  const verified = { ca: other.ca, servername: null };
  const { server, transport } = await smtpPair(secured, { security, tls: verified, proxy: routeTo(url) });
  expect(summary(await sendBy(transport, mailOf()))).toBe('accepted');
  expect(server.received.transactions.map(({ secure }) => secure)).toEqual([security !== 'none']);
  const checked = await transport.check(new AbortController().signal);
  const detail = checked.ok ? checked.detail : '';
  expect([detail.includes('not encrypted'), detail.includes('TLSv1')]).toEqual([
    security === 'none',
    security !== 'none',
  ]);
  await transport.close();
});

test('requests go through it', async () => {
  const server = await httpsServer((_request, response) => void response.end('hello'));
  const client = createHttpClient(server.ca, 1, { proxy: routeTo(await proxyWith(own.server)) });
  onTestFinished(() => client.close());
  const { signal } = new AbortController();
  const about = { url: `${server.origin}/`, method: 'GET', headers: {}, body: null, signal, timeoutMs: 10_000 };
  expect((await client.request(about)).text).toBe('hello');
  client.close();
});

test.for(['wrongName', 'untrusted', 'expired'] as const)(
  'attack: a proxy whose certificate is %s is told nothing',
  async (which) => {
    const url = (await proxyWith(own[which])).replace('https://', 'https://user:hunter2@');
    const { server, transport } = await smtpPair({}, { proxy: routeTo(url) });
    const outcome = await sendBy(transport, mailOf());
    expect(outcome).toMatchObject({ kind: 'connector-fault', fault: 'tls' });
    expect(JSON.stringify(outcome)).toContain('the proxy https://localhost:');
    expect(server.received.connections).toBe(0);
  },
);
