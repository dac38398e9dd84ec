/** Which proxy a connection takes: how its URL is read and shown, and what NO_PROXY excepts. */
import { describe, expect, test } from 'vitest';
import {
  parseNoProxy,
  parseProxyUrl,
  proxyFor,
  proxyForUrl,
  proxyName,
  wayOf,
  wayText,
} from '../../src/transport/proxy.ts';

describe('the URL of a proxy', () => {
  test.for<[string, string]>([
    ['http://proxy.example.com:3128', 'http://proxy.example.com:3128'],
    ['http://proxy.example.com', 'http://proxy.example.com:80'],
    ['http://proxy.example.com:80/', 'http://proxy.example.com:80'],
    ['https://proxy.example.com', 'https://proxy.example.com:443'],
    ['https://proxy.example.com:80', 'https://proxy.example.com:80'],
    ['SOCKS5://PROXY.example.com', 'socks5://proxy.example.com:1080'],
    ['socks5h://proxy.example.com:9050', 'socks5://proxy.example.com:9050'],
    ['http://[2001:db8::1]:3128', 'http://[2001:db8::1]:3128'],
    ['http://bücher.example:3128', 'http://xn--bcher-kva.example:3128'],
    ['http://squid_1:3128', 'http://squid_1:3128'],
  ])('%s is %s', ([text, name]) => {
    const proxy = parseProxyUrl(text);
    expect(proxy === null ? null : proxyName(proxy)).toBe(name);
  });

  test.for([
    'proxy.example.com:3128',
    'ftp://proxy.example.com',
    'socks4://proxy.example.com',
    'http://',
    'http://:3128',
    'http://proxy.example.com:0',
    'http://proxy.example.com:65536',
    'http://proxy.example.com/path',
    'http://proxy.example.com/?a=b',
    'http://:password@proxy.example.com',
    'http://user:%zz@proxy.example.com',
    'http://user:a%0d%0aX-Header:%20b@proxy.example.com',
    'http://us%3aer:password@proxy.example.com',
    'socks5://user@proxy.example.com',
    `http://user:${'x'.repeat(256)}@proxy.example.com`,
    'none',
    '',
  ])('%s is refused', (text) => expect(parseProxyUrl(text)).toBeNull());

  test('a login is decoded, and its name does not show it', () => {
    const proxy = parseProxyUrl('http://re%6Cay:p%40ss%2Fw%3Ard@proxy.example.com:3128');
    expect(proxy?.login).toEqual({ user: 'relay', password: 'p@ss/w:rd' });
    expect(proxyName(proxy!)).toBe('http://proxy.example.com:3128');
  });

  test('without a scheme it is http, but in the environment only', () => {
    expect(parseProxyUrl('10.0.0.1:3128', 'http')).toMatchObject({ protocol: 'http', host: '10.0.0.1', port: 3128 });
    expect(parseProxyUrl('10.0.0.1:3128')).toBeNull();
  });
});

describe('NO_PROXY', () => {
  const proxy = parseProxyUrl('http://proxy.example.com:3128')!;
  const isDirect = (list: string, host: string, port = 443): boolean =>
    proxyFor({ proxy, variable: 'HTTPS_PROXY', except: parseNoProxy(list) }, host, port) === null;

  test.for<[string, string, boolean]>([
    ['', 'graph.microsoft.com', false],
    ['*', 'graph.microsoft.com', true],
    ['example.com', 'example.com', true],
    ['example.com', 'mail.example.com', true],
    ['.example.com', 'mail.example.com', true],
    ['.example.com', 'example.com', true],
    ['*.example.com', 'a.b.example.com', true],
    ['example.com', 'notexample.com', false],
    ['example.com', 'example.com.evil.test', false],
    ['EXAMPLE.com', 'Mail.Example.COM', true],
    ['example.com.', 'mail.example.com', true],
    ['a.test, example.com', 'example.com', true],
    ['a.test example.com', 'example.com', true],
    ['10.0.0.0/8', '10.1.2.3', true],
    ['10.0.0.0/8', '11.1.2.3', false],
    ['10.0.0.0/33', '10.1.2.3', false],
    ['10.1.2.3', '10.1.2.3', true],
    ['2001:db8::/32', '2001:db8::1', true],
    ['2001:db8::/32', '[2001:db8::1]', true],
    ['2001:db8::/32', '10.1.2.3', false],
    ['0.0.0.0/0', 'example.com', false],
    ['.', 'example.com', false],
    [',,', 'example.com', false],
  ])('"%s" and %s: %s', ([list, host, direct]) => expect(isDirect(list, host)).toBe(direct));

  test('an entry with a port excepts that port alone', () => {
    expect(isDirect('example.com:25', 'example.com', 25)).toBe(true);
    expect(isDirect('example.com:25', 'example.com', 587)).toBe(false);
    expect(isDirect('[2001:db8::1]:25', '2001:db8::1', 25)).toBe(true);
  });

  test.for(['localhost', 'a.localhost', '127.0.0.1', '127.9.9.9', '::1', '169.254.169.254', 'fe80::1'])(
    'attack: %s is never asked of a proxy of the environment, which would look for it elsewhere',
    (host) => expect(isDirect('', host)).toBe(true),
  );

  test('the key of a connector holds for every host', () => {
    const route = { proxy, variable: null, except: [] };
    expect(proxyFor(route, 'localhost', 25)).toBe(proxy);
    expect(proxyFor(null, 'example.com', 25)).toBeNull();
  });
});

test('attack: what is asked in the open, such as the metadata service of a cloud, goes to no proxy', () => {
  const route = { proxy: parseProxyUrl('http://proxy.example.com')!, variable: null, except: [] };
  expect(proxyForUrl(route, 'http://169.254.169.254/metadata/identity')).toBeNull();
  expect(proxyForUrl(route, 'https://login.microsoftonline.com/')).not.toBeNull();
});

test('what is shown of a connector follows each of its hosts', () => {
  const proxy = parseProxyUrl('http://u:p@proxy.example.com:3128')!;
  const route = { proxy, variable: 'https_proxy', except: ['inside.example', '2001:db8::/32'] };
  const [a, b, c] = ['a.example', 'b.inside.example', '2001:db8::1'].map((host) => ({ host, port: 25 }));
  const way = (...hosts: { host: string; port: number }[]) =>
    wayOf({ kind: 'smtp', smtp: { ...hosts[0]!, hosts, proxy: route } });
  const name = 'http://proxy.example.com:3128';
  expect(way(a!, b!)).toEqual({ proxy: name, directHosts: ['b.inside.example:25'] });
  expect(way(b!, a!, c!)).toEqual({ proxy: name, directHosts: ['b.inside.example:25', '[2001:db8::1]:25'] });
  expect(way(b!, c!)).toEqual({ proxy: null, directHosts: [] });
  expect(wayText(way(b!, a!))).toBe(`${name} (but not for b.inside.example:25)`);
  expect(wayText(way(a!))).toBe(name);
  expect(wayText(way(b!))).toBeNull();
});

test('what is shown of a connector follows its server', () => {
  const proxy = parseProxyUrl('socks5://u:p@proxy.example.com')!;
  const route = { proxy, variable: 'ALL_PROXY', except: ['inside.example'] };
  const shown = (host: string) => wayOf({ kind: 'smtp', smtp: { host, port: 25, proxy: route } }).proxy;
  expect([shown('a.inside.example'), shown('a.example')]).toEqual([null, 'socks5://proxy.example.com:1080']);
  const graph = { cloud: { graphBaseUrl: 'https://graph.microsoft.com' }, proxy: route };
  expect(wayOf({ kind: 'graph', graph }).proxy).toBe('socks5://proxy.example.com:1080');
  expect(wayOf({ kind: 'graph', graph: { cloud: graph.cloud } }).proxy).toBeNull();
});
