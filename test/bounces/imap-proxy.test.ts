/** A mailbox behind a proxy: real Dovecot, squid and microsocks. TLS is with the mailbox itself. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createImapSource, type MailboxLogin } from '../../src/bounces/imap.ts';
import { dovecotMissing, dovecotUser, startDovecot, type Dovecot } from '../../testkit/dovecot.ts';
import { microsocksMissing, startMicrosocks, type Microsocks } from '../../testkit/proxies/microsocks.ts';
import { squidMissing, startSquid, type Squid } from '../../testkit/proxies/squid.ts';
import { until } from '../../testkit/until.ts';
import { routeTo, scriptedProxy } from '../support/scripted-proxy.ts';
import { all, mailsOf, never, reportOn } from './reading.ts';

const missing = dovecotMissing() ?? squidMissing() ?? microsocksMissing();
if (missing !== null) console.warn(`mailboxes behind a proxy are not tested: ${missing}`);

describe.skipIf(missing !== null)('a mailbox behind a real proxy', () => {
  /** A name that squid alone knows. */
  const hosts = { 'imap.corp.test': '127.0.0.1' };
  let server: Dovecot;
  let squid: Squid;
  let socks: Microsocks;
  beforeAll(async () => {
    [server, squid, socks] = await Promise.all([startDovecot(), startSquid({ hosts }), startMicrosocks()]);
    await server.deliver([reportOn('<a@x.test>')]);
  });
  afterAll(() => Promise.all([server.stop(), squid.stop(), socks.stop()]));

  const loginOf = (security: 'tls' | 'starttls', url: string, more: Partial<MailboxLogin> = {}): MailboxLogin => ({
    host: url.startsWith('http') ? 'imap.corp.test' : 'localhost',
    port: server.ports[security],
    security,
    auth: dovecotUser,
    tls: { ca: server.ca, servername: 'localhost' },
    proxy: routeTo(url),
    ...more,
  });

  test.for([
    ['tls', 'http'],
    ['starttls', 'http'],
    ['tls', 'socks5'],
    ['starttls', 'socks5'],
  ] as const)('is read by %s through %s', async ([security, kind]) => {
    const url = `${kind}://127.0.0.1:${kind === 'http' ? squid.port : socks.port}`;
    const source = createImapSource(loginOf(security, url), Date.now);
    expect(mailsOf(await all(source))).toHaveLength(1);
    expect(await source.check(never)).toContain(`can be read through the proxy ${url}`);
    const port = String(server.ports[security]);
    const ways = async () => (kind === 'http' ? await squid.connects() : socks.connects());
    await until(async () => (await ways()).some((each) => each.endsWith(`:${port}`)), {
      what: 'the proxy to tell of it',
    });
  });

  test.for(['tls', 'starttls'] as const)('the certificate of the mailbox counts, by %s', async (security) => {
    const tls = { ca: null, servername: 'localhost' };
    const source = createImapSource(loginOf(security, `http://127.0.0.1:${squid.port}`, { tls }), Date.now);
    await expect(source.check(never)).rejects.toMatchObject({ fault: 'tls' });
  });
});

test('a proxy that refuses is told, and leaves no connection', async () => {
  const proxy = await scriptedProxy((socket) => void socket.once('data', () => socket.end('HTTP/1.1 403 No\r\n\r\n')));
  const login: MailboxLogin = {
    host: 'imap.example.com',
    port: 993,
    security: 'tls',
    auth: { user: 'a', password: 'b' },
    tls: { ca: null, servername: null },
    proxy: routeTo(`http://127.0.0.1:${proxy.port}`),
  };
  await expect(createImapSource(login, Date.now).check(never)).rejects.toMatchObject({
    fault: 'config',
    message: expect.stringContaining('does not allow connections to imap.example.com:993') as string,
  });
  await until(() => proxy.open() === 0, { what: 'the connection to end' });
});
