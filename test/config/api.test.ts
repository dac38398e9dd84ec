/** The `api` section: tokens, names, proxies and certificates, and each mistake in them. */
import { proxiedUser } from '../../src/config/ui.ts';
import { expect, test } from 'vitest';
import { createCertificates } from '../../testkit/certificates.ts';
import { scopes } from '../../src/config/scopes.ts';
import { goodConfig, loadText, mistakes, onlyIssue, withConnector } from './load-text.ts';

const config = (more: string) => withConnector('direction: outgoing\nsmtp: { host: smtp.example.com }') + more;
const hash = 'a'.repeat(64);
const token = (rest: string) =>
  config(`api:\n  tokens:\n    - { id: shop, sha256: ${hash}, scopes: [admin]${rest} }\n`);

test('a role stands for its scopes, and patterns are held in their compare form', async () => {
  const text = `api:\n  tokens:\n    - { id: a, sha256: ${hash}, scopes: [viewer, "messages:send"], from: ["*@EXAMPLE.com"], expires: 2027-12-31 }\n`;
  const [first] = (await goodConfig(config(text))).api.tokens;
  expect([...first!.scopes].toSorted()).toEqual(['connectors:read', 'dead:read', 'messages:read', 'messages:send']);
  expect(first).toMatchObject({ from: ['*@example.com'], ratePerMinute: null, expiresAt: Date.UTC(2028, 0, 1) - 1 });
  const [admin] = (await goodConfig(token(''))).api.tokens;
  expect([...admin!.scopes]).toEqual(scopes);
});

test.each([
  [', from: []', 'range'],
  [', from: [nonsense]', 'address-pattern'],
  [', ratePerMinute: 0', 'range'],
  [', expires: soon', 'date'],
  [', secret: x', 'unknown-key'],
])('a token with "%s" is refused', async (rest, rule) => {
  expect((await onlyIssue(token(rest))).rule).toBe(rule);
});

test.each([
  ['the token itself', 'plk_shop_0123456789012345678901234567890123', 'sha256'],
  ['upper-case hex', 'A'.repeat(64), 'sha256'],
])('%s in the place of its hash is refused, and not repeated', async (_what, written, rule) => {
  const issue = await onlyIssue(config(`api:\n  tokens:\n    - { id: a, sha256: ${written}, scopes: [viewer] }\n`));
  expect(issue).toMatchObject({ key: 'api.tokens[0].sha256', rule });
  expect(issue.message).not.toContain(written.slice(0, 12));
});

test('all mistakes of tokens are reported at once', async () => {
  const text = config(
    `api:\n  tokens:\n    - { id: "a b", sha256: ${hash}, scopes: [] }\n    - { id: c, sha256: ${hash}, scopes: [reader] }\n    - { id: c, sha256: b, scopes: [viewer] }\n`,
  );
  expect(await mistakes(text)).toEqual([
    '9 token-id api.tokens[0].id',
    '9 range api.tokens[0].scopes',
    '10 duplicate-token api.tokens[1].sha256',
    '10 choice api.tokens[1].scopes[0]',
    '11 duplicate-token api.tokens[2].id',
    '11 sha256 api.tokens[2].sha256',
  ]);
});

test.each(['0.0.0.0:8025', '192.0.2.1:8025', '"[::]:8025"', 'api.example.com:8025'])(
  'listening on %s without tokens is refused, and with one is not',
  async (listen) => {
    expect(await mistakes(config(`api:\n  listen: ${listen}\n`))).toEqual(['8 api-open api.listen']);
    const [, tokens] = token('').split('api:\n');
    expect((await loadText(config(`api:\n  listen: ${listen}\n${tokens}`))).ok).toBe(true);
  },
);

test.each(['127.0.0.9:1', 'localhost:1', '"[::1]:1"'])('on the loopback, at %s, no token is needed', async (listen) => {
  expect((await loadText(config(`api:\n  listen: ${listen}\n`))).ok).toBe(true);
});

test('proxies are addresses or networks, and never half of the internet', async () => {
  const of = (list: string) => config(`api: { proxies: [${list}] }`);
  expect((await goodConfig(of('10.0.0.5, 192.168.0.0/16, "fd00::/8"'))).api.proxies).toEqual([
    { address: '10.0.0.5', prefix: 32, family: 'ipv4' },
    { address: '192.168.0.0', prefix: 16, family: 'ipv4' },
    { address: 'fd00::', prefix: 8, family: 'ipv6' },
  ]);
  for (const wrong of ['0.0.0.0/0', 'proxy.example.com', '10.0.0.0/33']) {
    expect((await onlyIssue(of(wrong))).rule).toBe('network');
  }
});

test('certificate and key are PEM text, or paths of files', async () => {
  const { server } = await createCertificates(new Date('2030-01-01T00:00:00Z'));
  const files = { '/etc/postlane/tls.crt': server.cert, '/etc/postlane/tls.key': server.key };
  const { api } = await goodConfig(config('api: { tls: { cert: tls.crt, key: tls.key } }'), { files });
  expect(api.tls?.cert).toContain('BEGIN CERTIFICATE');
  expect(api.tls?.key).toContain('PRIVATE KEY');
  expect(await mistakes(config('api: { tls: { cert: tls.crt } }'), { files })).toHaveLength(1);
  const other = await createCertificates(new Date('2030-01-01T00:00:00Z'));
  const mixed = { ...files, '/etc/postlane/tls.key': other.server.key };
  const text = config('api: { tls: { cert: tls.crt, key: tls.key } }');
  expect(await loadText(text, { files: mixed })).toMatchObject({
    ok: false,
    issues: [{ key: 'api.tls.key', rule: 'certificate' }],
  });
});

test('users of a proxy need proxies that are believed, a field that browsers do not send, and roles that there are', async () => {
  const of = (header: string) => config(`ui: { trustedHeader: ${header} }`);
  const good = await goodConfig(of('{ proxies: [10.0.0.7], roles: { anna@example.com: operator, "*": viewer } }'));
  const { trustedHeader } = good.ui;
  expect(trustedHeader).toMatchObject({ name: 'X-Forwarded-User', roles: { 'anna@example.com': 'operator' } });
  expect(proxiedUser(trustedHeader, 'anna@example.com')?.scopes.has('dead:write')).toBe(true);
  expect(proxiedUser(trustedHeader, 'constructor')?.scopes.has('dead:write')).toBe(false);
  for (const name of ['a, b', 'a b', '', 'a\u0000', 'a'.repeat(129)]) {
    expect(proxiedUser(trustedHeader, name)).toBeNull();
  }
  expect((await onlyIssue(of('{ roles: { anna: viewer } }'))).rule).toBe('trusted-header');
  expect((await onlyIssue(of('{ proxies: [10.0.0.7], roles: { anna: root } }'))).rule).toBe('choice');
  for (const name of ['Cookie', 'x-forwarded-for', 'X_User', 'Accept-Language', '"a b"']) {
    expect((await onlyIssue(of(`{ name: ${name}, proxies: [10.0.0.7] }`))).rule).toBe('header-name');
  }
});
