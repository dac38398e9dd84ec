/** Who gets into the dashboard, for how long, and what a page of another site can do there: nothing. */
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { createSessions, linkMs, sessionMs } from '../../../src/http/ui/session.ts';
import { sameOrigin, signIn, visitorOf, wordsOf } from '../../support/dashboard.ts';
import { hashOf, serveApi } from '../../support/http-server.ts';
import { testOperator } from '../../support/postlane.ts';
import { redisUrl } from '../../support/redis.ts';

const viewer = { id: 'looker', scopes: ['viewer'] };

test('a token is exchanged for a session, which the log-out ends; without one, every page leads to the log-in', async () => {
  const api = await serveApi();
  const visitor = visitorOf(api);
  const before = await visitor.get('/ui/connectors?state=paused');
  expect(before.status).toBe(303);
  expect(before.headers['location']).toBe('/ui/login?next=%2Fui%2Fconnectors%3Fstate%3Dpaused');
  const form = await visitor.get(String(before.headers['location']));
  expect(form.status).toBe(200);
  expect(form.text).toContain('action="/ui/login?next=%2Fui%2Fconnectors%3Fstate%3Dpaused"');
  const wrong = await visitor.post('/ui/login', { token: `${api.tokens.get('all')}x`, csrf: '' });
  expect(wrong.status).toBe(401);
  expect(wordsOf(wrong)).toContain('This token is not valid.');
  const right = await visitor.post('/ui/login?next=%2Fui%2Fconnectors', { token: api.tokens.get('all')!, csrf: '' });
  expect(right.status).toBe(303);
  expect(right.headers['location']).toBe('/ui/connectors');
  expect(String(right.headers['set-cookie'])).toMatch(
    /^postlane-session=[\w.-]+; Path=\/; HttpOnly; SameSite=Strict; Max-Age=28800$/,
  );
  expect(String(right.headers['set-cookie'])).not.toContain(api.tokens.get('all')!);
  expect((await visitor.get('/ui/')).status).toBe(200);
  const out = await visitor.post('/ui/sign-out');
  expect(out.headers['location']).toBe('/ui/login');
  expect((await visitor.get('/ui/')).status).toBe(303);
});

test('an open redirect is not possible: the log-in leads to pages of the dashboard alone', async () => {
  const api = await serveApi();
  for (const next of [
    'https://evil.example/',
    '//evil.example/',
    '/ui/../../x\\evil',
    '/\\evil.example',
    '/v1/whoami',
  ]) {
    const answer = await visitorOf(api).post(`/ui/login?next=${encodeURIComponent(next)}`, {
      token: api.tokens.get('all')!,
      csrf: '',
    });
    expect(answer.headers['location']).toBe('/ui/');
  }
});

test('every page forbids scripts that are no file of ours, frames and foreign forms', async () => {
  const api = await serveApi();
  const visitor = await signIn(api);
  for (const path of [
    '/ui/login',
    '/ui/',
    '/ui/connectors',
    '/ui/connectors/relay',
    '/ui/nothing',
    '/ui/assets/live.js',
  ]) {
    const { headers, text } = await visitor.get(path);
    expect(headers['content-security-policy']).toBe(
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    );
    expect(headers['x-content-type-options']).toBe('nosniff');
    expect(text).not.toMatch(
      /<[^>]+\son[a-z]+=|<[^>]+\sstyle=|<style|<script(?! type="module" src="\/ui\/assets\/live.js">)/,
    );
  }
});

test('a form of another site changes nothing, whatever it knows of the address', async () => {
  const api = await serveApi();
  const visitor = await signIn(api);
  const csrf = await visitor.csrf();
  const fields = { reason: 'forged', csrf };
  const foreign: Record<string, string>[] = [
    { origin: 'https://evil.example' },
    { origin: 'http://localhost', 'sec-fetch-site': 'cross-site' },
    { origin: 'http://localhost', 'sec-fetch-site': 'same-site' },
    { origin: 'null' },
    { origin: 'https://localhost' },
    {},
  ];
  for (const headers of foreign) {
    expect((await visitor.post('/ui/connectors/relay/pause', fields, headers)).status).toBe(403);
  }
  const stranger = await signIn(api);
  for (const forged of ['', 'x', await stranger.csrf()]) {
    expect((await visitor.post('/ui/connectors/relay/pause', { ...fields, csrf: forged })).status).toBe(403);
  }
  expect((await api.ask('/v1/connectors/relay')).body.paused).toBe(false);
  expect((await visitor.post('/ui/connectors/relay/pause', fields)).status).toBe(303);
  expect((await api.ask('/v1/connectors/relay')).body.paused).toBe(true);
});

test('a log-in that another site sends is refused, so nobody is signed in as somebody else', async () => {
  const api = await serveApi();
  const headers = { ...sameOrigin, 'sec-fetch-site': 'cross-site' };
  const answer = await visitorOf(api).post('/ui/login', { token: api.tokens.get('all')!, csrf: '' }, headers);
  expect(answer.status).toBe(403);
  expect(answer.headers['set-cookie']).toBeUndefined();
});

test('a token that is removed from the configuration ends its sessions', async () => {
  const api = await serveApi({ tokens: [viewer] });
  const visitor = await signIn(api, 'looker');
  expect((await visitor.get('/ui/')).status).toBe(200);
  api.here.write('postlane.yaml', api.config([]));
  api.serve.child.kill('SIGHUP');
  await api.serve.logged('config-applied');
  expect((await visitor.get('/ui/')).status).toBe(303);
  expect((await visitor.get('/ui/')).headers['location']).toContain('ended=1');
});

const proxied =
  'ui: { trustedHeader: { name: X-Forwarded-User, proxies: [127.0.0.1], roles: { anna@example.com: operator, ben: viewer } } }';
const anna = { 'x-forwarded-user': 'anna@example.com' };

test('a user whom a trusted proxy names is signed in without a token, with the role of the configuration, and acts under that name', async () => {
  const api = await serveApi({ rest: [proxied] });
  const visitor = visitorOf(api);
  const page = await visitor.get('/ui/connectors/relay', anna);
  expect(page.status).toBe(200);
  expect(wordsOf(page)).toContain('user:anna@example.com');
  expect(page.text).not.toContain('/ui/sign-out');
  expect((await visitor.get('/ui/login', anna)).headers['location']).toBe('/ui/');
  const csrf = /name="csrf" value="([^"]+)"/.exec(page.text)?.[1] ?? '';
  const paused = await visitor.post('/ui/connectors/relay/pause', { reason: 'r', csrf }, { ...sameOrigin, ...anna });
  expect(paused.status).toBe(303);
  expect((await api.ask('/v1/audit')).body.items).toMatchObject([
    { by: 'user:anna@example.com', through: 'ui', action: 'pause' },
  ]);
  // The form of one user is none of another's, and a page of another site sends none.
  const ben = { 'x-forwarded-user': 'ben' };
  expect((await visitor.post('/ui/connectors/relay/resume', { csrf }, { ...sameOrigin, ...ben })).status).toBe(403);
  const foreign = { origin: 'https://evil.example', ...anna };
  expect((await visitor.post('/ui/connectors/relay/resume', { csrf }, foreign)).status).toBe(403);
  expect((await visitor.get('/ui/audit', anna)).status).toBe(403);
  // The header is for the dashboard alone.
  expect((await api.ask('/v1/whoami', { as: null, headers: anna })).status).toBe(401);
  expect((await visitor.get('/ui/', { 'x-forwarded-user': 'carl' })).headers['location']).toContain('/ui/login');
});

test('a forged user header from an address that is no trusted proxy signs nobody in, whatever it says of its way', async () => {
  const api = await serveApi({ rest: [proxied.replace('127.0.0.1', '192.0.2.1')], api: 'proxies: [127.0.0.1]' });
  const visitor = visitorOf(api);
  for (const forged of [
    anna,
    { ...anna, 'x-forwarded-for': '192.0.2.1' },
    { ...anna, forwarded: 'for=192.0.2.1' },
    { 'X-FORWARDED-USER': 'anna@example.com' },
  ] as Record<string, string>[]) {
    const answer = await visitor.get('/ui/connectors', forged);
    expect(answer.status).toBe(303);
    expect(answer.headers['location']).toBe('/ui/login?next=%2Fui%2Fconnectors');
    const sent = await visitor.post(
      '/ui/connectors/relay/pause',
      { reason: 'r', csrf: 'x' },
      { ...sameOrigin, ...forged },
    );
    expect(sent.headers['location']).toBe('/ui/login?ended=1');
  }
  expect((await api.ask('/v1/connectors/relay')).body.paused).toBe(false);
});

test('a user header that a client smuggles past the proxy beside its own names nobody', async () => {
  const any = proxied.replace('ben: viewer', '"*": viewer');
  const api = await serveApi({ rest: [any] });
  const visitor = visitorOf(api);
  const twice = [
    'anna@example.com, ben',
    'anna@example.com,anna@example.com',
    'ben\tanna@example.com',
    '',
    'anna@example.com ;x',
    '__proto__ x',
  ];
  for (const written of twice) {
    expect((await visitor.get('/ui/', { 'x-forwarded-user': written })).status).toBe(303);
  }
  const raw = await rawGet(api.port, '/ui/', ['X-Forwarded-User: ben', 'X-Forwarded-User: anna@example.com']);
  expect(raw).toContain('303');
  expect((await visitor.get('/ui/', { 'x-forwarded-user': '__proto__' })).status).toBe(200);
  expect(wordsOf(await visitor.get('/ui/', { 'x-forwarded-user': 'carl' }))).toContain('user:carl');
});

test('a user who loses the role is out with the next request, and so is an open stream', async () => {
  const api = await serveApi({ rest: [proxied] });
  const visitor = visitorOf(api);
  expect((await visitor.get('/ui/', anna)).status).toBe(200);
  const stream = await fetch(`http://127.0.0.1:${api.port}/ui/stream`, { headers: anna });
  expect(stream.status).toBe(200);
  api.here.write('postlane.yaml', api.config([]).replace(proxied, ''));
  api.serve.child.kill('SIGHUP');
  await api.serve.logged('config-applied');
  expect((await visitor.get('/ui/', anna)).status).toBe(303);
  // It ends by itself.
  await stream.text();
});

test('a session that is over ends its stream of events', async () => {
  const api = await serveApi({ tokens: [viewer] });
  const operator = await testOperator(api.prefix, redisUrl());
  const token = { id: 'looker', sha256: hashOf(api.tokens.get('looker')!) };
  const left = 5_000;
  const session = createSessions(await operator.sessionKey()).begin(token, Date.now() - sessionMs + left);
  const headers = { cookie: `postlane-session=${session}` };
  const begun = Date.now();
  const stream = await fetch(`http://127.0.0.1:${api.port}/ui/stream`, { headers });
  expect(stream.status).toBe(200);
  // It ends by itself, and before the tokens are looked at again.
  await stream.text();
  expect(Date.now() - begun).toBeLessThan(15_000);
  expect((await fetch(`http://127.0.0.1:${api.port}/ui/`, { headers, redirect: 'manual' })).status).toBe(303);
  expect((await fetch(`http://127.0.0.1:${api.port}/ui/stream`, { headers })).status).toBe(401);
});

test('a link signs in once, after a click, and within its time; the log does not have it', async () => {
  const api = await serveApi({ tokens: [viewer] });
  const operator = await testOperator(api.prefix, redisUrl());
  const sessions = createSessions(await operator.sessionKey());
  const token = {
    id: 'looker',
    sha256: hashOf(api.tokens.get('looker')!),
    scopes: new Set<never>(),
    from: null,
    ratePerMinute: null,
    quota: { messagesPerDay: null, recipientsPerDay: null },
    expiresAt: null,
  };
  const link = sessions.link(token, Date.now());
  const visitor = visitorOf(api);
  const page = await visitor.get(`/ui/login?link=${link}`);
  expect(page.status).toBe(200);
  expect(page.headers['set-cookie']).toBeUndefined();
  expect(wordsOf(page)).toContain('Sign in as looker');
  const cross = { ...sameOrigin, 'sec-fetch-site': 'cross-site' };
  expect((await visitor.post('/ui/login', { link, csrf: '' }, cross)).status).toBe(403);
  const entered = await visitor.post('/ui/login', { link, csrf: '' });
  expect(entered.headers['location']).toBe('/ui/');
  expect(wordsOf(await visitor.get('/ui/'))).toContain('looker');
  const again = await visitorOf(api).post('/ui/login', { link, csrf: '' });
  expect(again.status).toBe(401);
  expect(wordsOf(again)).toContain('This link is over');
  for (const wrong of [
    sessions.link(token, Date.now() - linkMs - 1),
    sessions.begin(token, Date.now()),
    sessions.link({ ...token, sha256: hashOf('other') }, Date.now()),
    `${link}x`,
    'x.y',
  ]) {
    const answer = await visitorOf(api).post('/ui/login', { link: wrong, csrf: '' });
    expect(answer.status).toBe(401);
    expect(wordsOf(await visitorOf(api).get(`/ui/login?link=${encodeURIComponent(wrong)}`))).toContain(
      'This link is over',
    );
  }
  // Neither is a link a session.
  expect(sessions.read(sessions.link(token, 1_000), [token], 1_000)).toBeNull();
  await api.serve.end();
  expect(api.serve.output()).not.toContain(link.split('.')[1]);
});

async function rawGet(port: number, path: string, headers: readonly string[]): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.end([`GET ${path} HTTP/1.1`, 'Host: localhost', 'Connection: close', ...headers, '', ''].join('\r\n'));
  return text(socket);
}

test('roles are enforced by the server: a viewer sees no button, and is refused what one would send', async () => {
  const api = await serveApi({ tokens: [viewer, { id: 'sender', scopes: ['messages:send'] }] });
  const visitor = await signIn(api, 'looker');
  const page = await visitor.get('/ui/connectors/relay');
  expect(page.status).toBe(200);
  expect(page.text).not.toContain('Pause relay');
  expect(wordsOf(await visitor.submit('/ui/connectors/relay/pause', { reason: 'r' }))).toContain(
    'Not done: the token looker does not have the scope connectors:write',
  );
  expect((await api.ask('/v1/connectors/relay')).body.paused).toBe(false);
  const sender = await signIn(api, 'sender');
  expect((await sender.get('/ui/connectors')).status).toBe(403);
});

test('a session that was changed, is over, or is of another key or secret is none', () => {
  const token = {
    id: 'a',
    sha256: hashOf('a'),
    scopes: new Set<never>(),
    from: null,
    ratePerMinute: null,
    quota: { messagesPerDay: null, recipientsPerDay: null },
    expiresAt: null,
  };
  const sessions = createSessions(Buffer.alloc(32, 1));
  const cookie = sessions.begin(token, 1_000);
  expect(sessions.read(cookie, [token], 1_000 + sessionMs)?.token).toBe(token);
  expect(sessions.read(cookie, [token], 1_001 + sessionMs)).toBeNull();
  expect(sessions.read(cookie, [{ ...token, sha256: hashOf('b') }], 2_000)).toBeNull();
  expect(sessions.read(cookie, [{ ...token, expiresAt: 1_500 }], 2_000)).toBeNull();
  expect(createSessions(Buffer.alloc(32, 2)).read(cookie, [token], 2_000)).toBeNull();
  const [body = '', mac = ''] = cookie.split('.');
  const longer = JSON.parse(Buffer.from(body, 'base64url').toString()) as { end: number };
  const forged = Buffer.from(JSON.stringify({ ...longer, end: longer.end * 2 })).toString('base64url');
  expect(sessions.read(`${forged}.${mac}`, [token], 2_000)).toBeNull();
  for (const odd of ['', '.', 'null.', `${body}.`, `${Buffer.from('"a"').toString('base64url')}.x`]) {
    expect(sessions.read(odd, [token], 2_000)).toBeNull();
  }
  // What signs a session signs nothing else.
  expect(sessions.readNotice(cookie, 2_000)).toBeNull();
});
