/** `outbox`: the database by its URL or by POSTLANE_DATABASE_URL, its password by reference, TLS without a way around its checks. */
import { expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { brief, goodConfig, loadText, mistakes, onlyIssue, withConnector } from './load-text.ts';

const config = (more: string) => withConnector('direction: outgoing\nsmtp: { host: smtp.example.com }') + more;

test('without a section there is no database, and the relay has its defaults', async () => {
  expect((await goodConfig(config(''))).outbox).toEqual({
    database: null,
    batchRows: 200,
    batchBytes: 16 * 2 ** 20,
    pollMs: 1_000,
    listen: false,
    acknowledgeReplicas: 0,
  });
});

const plain = { host: 'db', port: 5432, database: 'shop', user: 'relay', password: null, options: null, tls: null };
const tls = { ca: null, cert: null, key: null, servername: null };

test.each([
  ['postgres://relay@db/shop', plain],
  [
    'postgresql://relay:p%2Fw@[::1]:6543/a%20b',
    { ...plain, host: '::1', port: 6543, database: 'a b', password: 'p/w' },
  ],
  ['postgres://relay@db/shop?sslmode=verify-full', { ...plain, tls }],
  ['postgres://relay@db/shop?sslmode=require', { ...plain, tls }],
  ['postgres://relay@x/shop?host=/run/postgresql', { ...plain, host: '/run/postgresql' }],
  ['postgres://relay@db/shop?options=-c%20search_path%3Dmail', { ...plain, options: '-c search_path=mail' }],
])('outbox.url takes %s', async (url, held) => {
  expect((await goodConfig(config(`outbox: { url: "${url}" }`))).outbox.database).toEqual(held);
});

test.each([
  'mysql://relay@db/shop',
  'postgres://db/shop',
  'postgres://relay@db',
  'postgres://relay@db/shop?sslmode=prefer',
  'postgres://relay@db/shop?sslmode=no-verify',
  'postgres://relay@db/shop?statement_timeout=1',
  'postgres://relay:%zz@db/shop',
])('outbox.url refuses %s without repeating it', async (url) => {
  const issue = await onlyIssue(config(`outbox: { url: "${url}" }`));
  expect(issue).toMatchObject({ key: 'outbox.url', rule: 'database-url' });
  expect(issue.message).not.toContain('relay@db');
});

test.each([
  ['postgres://relay@db/shop', true],
  ['postgres://relay@10.0.0.5/shop?options=-c%20search_path%3Dmail', true],
  ['postgres://relay@localhost/shop', false],
  ['postgres://relay@127.0.0.1/shop', false],
  ['postgres://relay@[::1]/shop', false],
  ['postgres://relay@db/shop?host=/run/postgresql', false],
  ['postgres://relay@db/shop?sslmode=disable', false],
  ['postgres://relay@db/shop?sslmode=require', false],
])('a connection to %s warns of a network that can read it: %s', async (url, warns) => {
  const expected = warns ? ['7 database-plain outbox.url'] : [];
  const warningsOf = async (text: string) => (await loadText(config(text))).warnings.map(brief);
  expect(await warningsOf(`outbox: { url: "${url}" }`)).toEqual(expected);
  expect(await warningsOf(`outbox: { url: "${url.replace('sslmode=disable', '')}", tls: {} }`)).toEqual([]);
});

test('`outbox.tls` turns TLS on, and is refused where the URL turns it off, or with half a certificate', async () => {
  const url = 'url: "postgres://relay@db/shop"';
  expect((await goodConfig(config(`outbox: { ${url}, tls: { servername: pg } }`))).outbox.database?.tls).toEqual({
    ...tls,
    servername: 'pg',
  });
  const off = 'url: "postgres://relay@db/shop?sslmode=disable"';
  expect(await mistakes(config(`outbox: { ${off}, tls: {} }`))).toEqual(['7 database-tls outbox.tls']);
});

test('a password by reference may have every character, and POSTLANE_DATABASE_URL overrides the file', async () => {
  const text = config('outbox: { url: "postgres://relay:${PW}@db/shop" }');
  const load = (env: Record<string, string>) =>
    loadConfig({ cwd: '/', env, readFile: async () => ({ ok: true, bytes: Buffer.from(text) }) });
  expect(await load({ PW: '/#?@:%' })).toMatchObject({
    ok: true,
    config: { outbox: { database: { password: '/#?@:%' } } },
  });
  const over = { POSTLANE_DATABASE_URL: 'postgres://other:x@other/other' };
  expect(await load(over)).toMatchObject({ ok: true, config: { outbox: { database: { host: 'other' } } } });
  const bad = await load({ PW: 'x', POSTLANE_DATABASE_URL: 'postgres://PLANTED' });
  expect(bad).toMatchObject({
    ok: false,
    issues: [{ key: 'outbox.url', rule: 'database-url', file: 'POSTLANE_DATABASE_URL' }],
  });
  expect(JSON.stringify(bad)).not.toContain('PLANTED');
});
