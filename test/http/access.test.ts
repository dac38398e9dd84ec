/** Who may use the API: tokens, scopes, rates and names, asked from outside of the process. */
import { expect, test } from 'vitest';
import { scopes } from '../../src/config/scopes.ts';
import { until } from '../../testkit/until.ts';
import { hashOf, serveApi } from '../support/http-server.ts';

const day = (offset: number): string => new Date(Date.now() + offset * 86_400_000).toISOString().slice(0, 10);

test('without a token only health, metrics and the OpenAPI document are shown, on the loopback too', async () => {
  const { ask } = await serveApi();
  // It listens before it has reached Redis.
  await until(async () => (await ask('/readyz', { as: null })).status === 200, { what: 'it to be ready' });
  for (const path of ['/livez', '/readyz', '/metrics', '/v1/openapi.json']) {
    expect([path, (await ask(path, { as: null })).status]).toEqual([path, 200]);
  }
  for (const path of [
    '/v1/whoami',
    '/v1/messages/a',
    '/v1/nothing',
    '/',
    '//v1/whoami',
    '/v1/../v1/whoami',
    '/v1/whoami/',
  ]) {
    const answered = await ask(path, { as: null });
    expect([path, answered.status, answered.body.code]).toEqual([path, 401, 'unauthenticated']);
    expect(answered.headers['www-authenticate']).toBe('Bearer realm="postlane"');
    expect(answered.headers['content-type']).toBe('application/problem+json');
  }
});

test('a token that is unknown, expired, too long or not a bearer is refused; one is accepted on its last day', async () => {
  const tokens = [
    { id: 'old', scopes: ['viewer'], expires: day(-1) },
    { id: 'today', scopes: ['viewer'], expires: day(0) },
  ];
  const { ask, tokens: secrets } = await serveApi({ tokens });
  const all = secrets.get('all')!;
  const statusOf = async (authorization: string) =>
    (await ask('/v1/whoami', { as: null, headers: { authorization } })).status;
  expect((await ask('/v1/whoami', { as: 'old' })).body).toMatchObject({ status: 401, code: 'unauthenticated' });
  expect((await ask('/v1/whoami', { as: 'today' })).status).toBe(200);
  expect(await statusOf(`bearer ${all}`)).toBe(200);
  expect(await statusOf(`Basic ${Buffer.from(`all:${all}`).toString('base64')}`)).toBe(401);
  expect(await statusOf(`Bearer ${all}x`)).toBe(401);
  expect(await statusOf(`Bearer ${hashOf(all)}`)).toBe(401);
  expect(await statusOf(`Bearer ${'x'.repeat(5_000)}`)).toBe(401);
  expect((await ask(`/v1/whoami?access_token=${all}`, { as: null })).status).toBe(401);
});

test('`whoami` shows the token without its secret, and roles as their scopes', async () => {
  const { ask } = await serveApi({
    tokens: [
      {
        id: 'shop',
        scopes: ['messages:send', 'viewer'],
        from: ['*@Example.com'],
        ratePerMinute: 600,
        recipientsPerDay: 50,
        expires: '2099-12-31',
      },
    ],
  });
  expect((await ask('/v1/whoami', { as: 'shop' })).body).toEqual({
    id: 'shop',
    scopes: ['messages:send', 'messages:read', 'dead:read', 'connectors:read'],
    from: ['*@example.com'],
    ratePerMinute: 600,
    messagesPerDay: null,
    recipientsPerDay: 50,
    used: { messagesPerDay: null, recipientsPerDay: 0 },
    expiresAt: '2099-12-31T23:59:59.999Z',
  });
  expect((await ask('/v1/whoami')).body).toMatchObject({ id: 'all', scopes: [...scopes], from: null });
});

test('a token without the scope gets 403, which names the scope and not the token', async () => {
  const { ask, tokens } = await serveApi({ tokens: [{ id: 'send', scopes: ['messages:send'] }] });
  const answered = await ask('/v1/messages/a', { as: 'send' });
  expect(answered.body).toMatchObject({ status: 403, code: 'forbidden' });
  expect(answered.body.detail).toContain('messages:read');
  expect(answered.text).not.toContain(tokens.get('send'));
});

test('beyond its rate a token gets 429 with Retry-After, in all processes alike', async () => {
  const { ask, here } = await serveApi({ tokens: [{ id: 'slow', scopes: ['viewer'], ratePerMinute: 3 }] });
  const second = await here.serve();
  const port = Number((await second.logged('serving'))['port']);
  const statuses: number[] = [];
  for (let i = 0; i < 4; i += 1) statuses.push((await ask('/v1/whoami', { as: 'slow' })).status);
  expect(statuses).toEqual([200, 200, 200, 429]);
  const answered = await ask('/v1/whoami', { as: 'slow' });
  expect(answered.body).toMatchObject({ status: 429, code: 'rate-limited' });
  expect(Number(answered.headers['retry-after'])).toBeGreaterThan(0);
  expect(Number(answered.headers['retry-after'])).toBeLessThanOrEqual(20);
  expect((await ask('/v1/whoami')).status).toBe(200);
  expect((await ask('/v1/whoami', { as: 'slow', port })).status).toBe(429);
  expect(await second.end()).toBe(0);
});

test('a removed token is refused once the file is in force, and a new one is accepted', async () => {
  const { ask, here, serve, config } = await serveApi({ tokens: [{ id: 'a', scopes: ['viewer'] }] });
  expect((await ask('/v1/whoami', { as: 'a' })).status).toBe(200);
  here.write('postlane.yaml', config([{ id: 'b', scopes: ['viewer'] }]));
  serve.child.kill('SIGHUP');
  await serve.logged('config-applied');
  expect((await ask('/v1/whoami', { as: 'a' })).status).toBe(401);
  expect((await ask('/v1/whoami', { as: 'b' })).status).toBe(200);
  expect(serve.of('restart-needed')).toEqual([]);
});

test('a page that gives its own name our address (DNS rebinding) is refused before its token is looked at', async () => {
  const { ask } = await serveApi({ api: 'hosts: [mail-api.internal]' });
  const statusOf = async (host: string) => (await ask('/v1/whoami', { headers: { host } })).status;
  expect(await statusOf('rebound.example')).toBe(421);
  expect(await statusOf('mail-api.internal:8025')).toBe(200);
  expect(await statusOf('[::1]:80')).toBe(200);
  expect((await ask('/metrics', { as: null, headers: { host: 'rebound.example' } })).status).toBe(421);
});

test('what a client says of itself is believed from a proxy of ours alone', async () => {
  const one = await serveApi();
  const forwarded = { 'x-forwarded-for': '203.0.113.9', 'x-forwarded-host': 'rebound.example' };
  expect((await one.ask('/v1/whoami', { headers: forwarded })).status).toBe(200);
  expect(await one.serve.logged('request')).toMatchObject({ client: '127.0.0.1' });
  const two = await serveApi({ api: 'proxies: [127.0.0.0/8]' });
  const by = (list: string) => two.ask('/v1/whoami', { headers: { 'x-forwarded-for': list } });
  await by('198.51.100.1, 203.0.113.9, 127.0.0.2');
  expect(await two.serve.logged('request')).toMatchObject({ client: '203.0.113.9' });
  await by('not an address');
  expect(await two.serve.logged('request', 2)).toMatchObject({ client: '127.0.0.1' });
  expect((await two.ask('/v1/whoami', { headers: forwarded })).status).toBe(421);
});

test('the line of a request has neither its token, its query nor its body', async () => {
  const { ask, serve, tokens } = await serveApi();
  await ask('/v1/routes/explain?from=someone@example.com');
  const line = await serve.logged('request');
  expect(line).toMatchObject({
    method: 'GET',
    route: 'explainRoute',
    status: 200,
    tokenId: 'all',
    client: '127.0.0.1',
  });
  await until(() => serve.output().includes('"event":"request"'), { what: 'the line' });
  expect(serve.output()).not.toContain(tokens.get('all'));
  expect(serve.output()).not.toContain('someone@example.com');
});

test('a method that is not there gets 405 with Allow, an unknown path 404', async () => {
  const { ask } = await serveApi();
  const answered = await ask('/v1/whoami', { method: 'DELETE' });
  expect(answered.body).toMatchObject({ status: 405, code: 'method-not-allowed' });
  expect(answered.headers['allow']).toBe('GET, HEAD');
  expect((await ask('/v1/nothing')).body).toMatchObject({ status: 404, code: 'not-found' });
  expect(
    (await ask('/v1/whoami', { method: 'OPTIONS', headers: { origin: 'https://a.example' } })).headers,
  ).not.toHaveProperty('access-control-allow-origin');
});

test('requests are counted by the name of their route, and a name that a client makes up is no series', async () => {
  const { ask } = await serveApi();
  await ask('/v1/whoami');
  await ask('/v1/whoami', { as: null });
  await ask('/v1/made-up');
  const { text } = await ask('/metrics', { as: null });
  expect(text).toContain('postlane_http_requests_total{route="getToken",status="2xx"} 1');
  expect(text).toContain('postlane_http_requests_total{route="getToken",status="4xx"} 1');
  expect(text).toContain('postlane_http_requests_total{route="unknown",status="4xx"} 1');
  expect(text).toContain('postlane_http_request_duration_seconds_count 3');
  expect(text).not.toContain('made-up');
});
