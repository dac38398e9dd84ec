/** The key `proxy`, and the variables of the environment that stand in for it: what is taken, refused, and never shown. */
import { describe, expect, test } from 'vitest';
import { proxyName, wayOf } from '../../src/transport/proxy.ts';
import { goodConfig, loadText, mistakes, onlyIssue, withConnector } from './load-text.ts';

const smtp = 'direction: outgoing\nsmtp: { host: smtp.example.com }';
const withProxy = (proxy: string): string => withConnector(`${smtp}\nproxy: ${proxy}`);

async function shown(text: string, env: Record<string, string> = {}): Promise<string | null> {
  return wayOf((await goodConfig(text, { env })).connectors[0]!.transport).proxy;
}

describe('the key of a connector', () => {
  test('a login by references arrives as it is, whatever characters it has', async () => {
    const env = { PROXY_USER: 'dom\\relay', PROXY_PASSWORD: 'p@ss/w:rd#%?' };
    const text = withProxy('"http://${PROXY_USER}:${PROXY_PASSWORD}@proxy.example.com:3128"');
    const { connectors } = await goodConfig(text, { env });
    expect(connectors[0]!.transport).toMatchObject({
      smtp: { proxy: { variable: null, proxy: { login: { user: env.PROXY_USER, password: env.PROXY_PASSWORD } } } },
    });
    expect(await shown(text, env)).toBe('http://proxy.example.com:3128');
  });

  test('the whole URL may be a reference', async () => {
    const files = { '/run/secrets/proxy': 'socks5://a:b@proxy.example.com\n' };
    const { connectors } = await goodConfig(withProxy('"${file:/run/secrets/proxy}"'), { files });
    expect(wayOf(connectors[0]!.transport).proxy).toBe('socks5://proxy.example.com:1080');
  });

  test.for([
    'proxy.example.com:3128',
    'http://user:hunter2@proxy.example.com:99999',
    'http://user:hunter2@',
    'ftp://user:hunter2@proxy.example.com',
    'hunter2',
    'http://user:hunt%zzer2@proxy.example.com',
    'socks5://hunter2@proxy.example.com',
  ])('%s is refused with its line, and not shown', async (proxy) => {
    const result = await loadText(withProxy(proxy));
    const issues = result.ok ? [] : result.issues;
    expect(issues).toMatchObject([{ rule: 'proxy', key: 'connectors.c.proxy', line: 7 }]);
    expect(JSON.stringify(issues)).not.toMatch(/hunter2|example\.com/);
  });

  test('what is no text is refused', async () => {
    expect(await onlyIssue(withProxy('3128'))).toMatchObject({ rule: 'type', key: 'connectors.c.proxy' });
  });

  test('an unset reference is the only mistake that is told', async () => {
    expect(await mistakes(withProxy('"http://${NOBODY}@proxy.example.com"'))).toEqual([
      '7 missing-variable connectors.c.proxy',
    ]);
  });

  test('reaches everything that the connector connects to', async () => {
    const oauth = '{ provider: google, clientId: a, clientSecret: b, refreshToken: c }';
    const body = `direction: both\naddress: a@example.com\nbounces: true\nproxy: http://proxy.example.com:3128
incoming: { protocol: imap, host: imap.example.com, user: a, oauth2: ${oauth} }
smtp: { host: smtp.example.com }`;
    const [smtpConnector] = (await goodConfig(withConnector(body))).connectors;
    const proxy = { proxy: { host: 'proxy.example.com', port: 3128 } };
    expect(smtpConnector!.transport).toMatchObject({ smtp: { proxy, auth: { oauth2: { proxy } } } });
    expect(smtpConnector!.bounces).toMatchObject([{ login: { proxy, auth: { oauth2: { proxy } } } }]);
    const entra = 'tenantId: t.example, clientId: b, credential: { clientSecret: c }';
    const graph = `direction: both\naddress: a@example.com\nbounces: true\nproxy: http://proxy.example.com:3128\ngraph: { ${entra} }`;
    const [graphConnector] = (await goodConfig(withConnector(graph))).connectors;
    expect(graphConnector!.transport).toMatchObject({ graph: { proxy } });
    expect(graphConnector!.bounces).toMatchObject([{ graph: { proxy } }]);
    const login = `direction: outgoing\nproxy: http://proxy.example.com:3128
smtp: { host: a.example, auth: { user: a, oauth2: { provider: microsoft, ${entra} } } }`;
    const [loginConnector] = (await goodConfig(withConnector(login))).connectors;
    expect(loginConnector!.transport).toMatchObject({ smtp: { proxy, auth: { oauth2: { identity: { proxy } } } } });
  });
});

describe('the environment', () => {
  test.for<[Record<string, string>, string | null]>([
    [{}, null],
    [{ HTTPS_PROXY: 'http://a.example:1' }, 'http://a.example:1'],
    [{ https_proxy: 'http://b.example:1', HTTPS_PROXY: 'http://a.example:1' }, 'http://b.example:1'],
    [{ HTTPS_PROXY: 'http://a.example:1', all_proxy: 'socks5://c.example:1' }, 'http://a.example:1'],
    [{ HTTPS_PROXY: '', ALL_PROXY: 'socks5://c.example:1' }, 'socks5://c.example:1'],
    [{ HTTPS_PROXY: 'proxy.example.com:3128' }, 'http://proxy.example.com:3128'],
    [{ HTTP_PROXY: 'http://a.example:1', http_proxy: 'http://a.example:1' }, null],
    [{ HTTPS_PROXY: 'http://a.example:1', NO_PROXY: 'example.com' }, null],
    [{ HTTPS_PROXY: 'http://a.example:1', no_proxy: 'other.example', NO_PROXY: 'example.com' }, 'http://a.example:1'],
    [{ HTTPS_PROXY: 'http://a.example:1', NO_PROXY: '*' }, null],
  ])('%j leads to %s', async ([env, name]) => expect(await shown(withConnector(smtp), env)).toBe(name));

  test('is not asked where the connector says its own, which NO_PROXY does not touch', async () => {
    const env = { HTTPS_PROXY: 'http://a.example:1', NO_PROXY: '*' };
    expect(await shown(withProxy('socks5://b.example'), env)).toBe('socks5://b.example:1080');
    expect(await shown(withProxy('none'), { HTTPS_PROXY: 'http://a.example:1' })).toBeNull();
  });

  test.for([
    ['another protocol', { HTTPS_PROXY: 'ftp://user:hunter2@a.example' }, 'HTTPS_PROXY'],
    ['no host', { all_proxy: 'http://user:hunter2@' }, 'all_proxy'],
    ['a long URL', { HTTPS_PROXY: `http://${'a'.repeat(2_000)}` }, 'HTTPS_PROXY'],
    ['a long list', { HTTPS_PROXY: 'http://a.example', NO_PROXY: 'a,'.repeat(5_001) }, 'NO_PROXY'],
  ] as const)('a mistake is told with the name of the variable: %s', async ([, env, file]) => {
    const issue = await onlyIssue(withConnector(smtp), { env });
    expect(issue).toMatchObject({ rule: 'proxy', file, line: 0 });
    expect(JSON.stringify(issue)).not.toContain('hunter2');
    expect(await shown(withProxy('none'), env)).toBeNull();
  });
});

describe('smtp.localAddress', () => {
  const local = 'direction: outgoing\nsmtp: { host: smtp.example.com, localAddress: 192.0.2.1 }';
  const env = { HTTPS_PROXY: 'http://user:hunter2@proxy.example.com:3128' };

  test.for<[string, string, Record<string, string>]>([
    ['the key', `${local}\nproxy: http://proxy.example.com`, {}],
    ['the environment', local, env],
  ])('beside %s is a mistake with its line', async ([, body, variables]) => {
    const issue = await onlyIssue(withConnector(body), { env: variables });
    expect(issue).toMatchObject({ rule: 'proxy-local-address', key: 'connectors.c.smtp.localAddress', line: 6 });
    expect(issue.message).toContain('the server sees the address of the proxy');
    expect(JSON.stringify(issue)).not.toContain('hunter2');
  });

  test('goes with proxy: none, and with a server that NO_PROXY excepts', async () => {
    expect(await mistakes(withConnector(`${local}\nproxy: none`), { env })).toEqual([]);
    expect(await mistakes(withConnector(local), { env: { ...env, NO_PROXY: '.example.com' } })).toEqual([]);
  });
});

test('the name of a proxy never has its login', async () => {
  const { connectors } = await goodConfig(withProxy('http://user:hunter2@proxy.example.com'));
  const { transport } = connectors[0]!;
  const route = transport?.kind === 'smtp' ? transport.smtp.proxy : null;
  expect(proxyName(route!.proxy)).not.toContain('hunter2');
});
