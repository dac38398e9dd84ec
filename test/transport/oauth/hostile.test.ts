/** A hostile token endpoint, or a proxy that looks into TLS: it costs its connector a token, and nothing else. */
import http, { type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { requestToken } from '../../../src/transport/oauth/entra.ts';
import type { IdentitySettings } from '../../../src/transport/oauth/settings.ts';
import { createTokenSource, type TokenSource } from '../../../src/transport/oauth/token-source.ts';
import { httpsServer, pourInto, type TestHttpsServer } from '../../support/https-server.ts';
import { until } from '../../../testkit/until.ts';

const tenant = '11111111-2222-3333-4444-555555555555';
const signal = new AbortController().signal;
const megabyte = 1024 * 1024;

type Answer = (response: ServerResponse) => void;
const json =
  (value: unknown): Answer =>
  (response) =>
    void response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));

/** An authority that answers well but for what is given. */
async function authority(answers: { discovery?: Answer; token?: Answer }): Promise<TestHttpsServer> {
  const server: TestHttpsServer = await httpsServer((request, response) => {
    const base = `${server.origin}/${tenant}`;
    const discovery =
      answers.discovery ??
      json({
        issuer: `${base}/v2.0`,
        token_endpoint: `${base}/oauth2/v2.0/token`,
        authorization_endpoint: `${base}/oauth2/v2.0/authorize`,
        jwks_uri: `${base}/keys`,
      });
    const token = answers.token ?? json({ token_type: 'Bearer', expires_in: 3_600, access_token: 'good' });
    (request.method === 'GET' ? discovery : token)(response);
  });
  return server;
}

function tokensOf({ origin, ca }: TestHttpsServer, tokenMs = 10_000): TokenSource {
  const identity: IdentitySettings = {
    tenantId: tenant,
    clientId: '99999999-8888-7777-6666-555555555555',
    credential: { kind: 'clientSecret', clientSecret: 'a client secret' },
    authorityHost: origin,
    ca,
    tokenMs,
  };
  const scope = 'https://graph.microsoft.com/.default';
  return createTokenSource({
    request: (limit) => requestToken(identity, scope, limit),
    timeoutMs: tokenMs,
    now: Date.now,
  });
}

const bomb = gzipSync(Buffer.alloc(64 * megabyte, ' '));

test('a token comes from an authority that answers well', async () => {
  expect(await tokensOf(await authority({})).get(signal)).toBe('good');
});

describe.each(['discovery', 'token'] as const)('attack: an answer for the %s', (which) => {
  test('without an end is cut after a mebibyte, and its connection ends', async () => {
    const server = await authority({ [which]: (response: ServerResponse) => pourInto(response, ' '.repeat(16_384)) });
    await expect(tokensOf(server).get(signal)).rejects.toMatchObject({ fault: 'unreachable' });
    await until(() => server.open() === 0, { what: 'the connection to end' });
    expect(server.sent()).toBeLessThan(20 * megabyte);
  });

  test('that is a gzip bomb is not decompressed', async () => {
    const explode: Answer = (response) => void response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb);
    const before = process.memoryUsage();
    await expect(tokensOf(await authority({ [which]: explode })).get(signal)).rejects.toMatchObject({
      fault: 'unreachable',
    });
    const after = process.memoryUsage();
    expect(after.heapUsed + after.external - before.heapUsed - before.external).toBeLessThan(32 * megabyte);
  });

  test('that never comes ends its request with the time for tokens', async () => {
    const server = await authority({ [which]: () => undefined });
    await expect(tokensOf(server, 500).get(signal)).rejects.toMatchObject({ fault: 'unreachable' });
    await until(() => server.open() === 0, { what: 'the connection to end' });
  });

  test('that redirects to another host is not followed', async () => {
    const other = await httpsServer((_request, response) => void response.end());
    const redirect: Answer = (response) => void response.writeHead(307, { location: `${other.origin}/steal` }).end();
    await expect(tokensOf(await authority({ [which]: redirect })).get(signal)).rejects.toMatchObject({
      name: 'TokenFailure',
    });
    expect(other.requests).toEqual([]);
  });
});

test('attack: a discovery document that names a token endpoint elsewhere gets no secret sent there', async () => {
  const other = await httpsServer((_request, response) => void response.end());
  const server: TestHttpsServer = await authority({
    discovery: (response) => {
      const base = `${server.origin}/${tenant}`;
      json({
        issuer: `${base}/v2.0`,
        token_endpoint: `${other.origin}/oauth2/v2.0/token`,
        authorization_endpoint: `${base}/oauth2/v2.0/authorize`,
        jwks_uri: `${base}/keys`,
      })(response);
    },
  });
  await expect(tokensOf(server).get(signal)).rejects.toMatchObject({ name: 'TokenFailure' });
  expect(other.requests).toEqual([]);
});

test('a managed identity gets its token from an endpoint of the machine itself, over http', async () => {
  const requests: string[] = [];
  const server = http.createServer((request, response) => {
    requests.push(String(request.headers['x-identity-header']));
    const body = {
      access_token: 'managed',
      expires_on: String(Math.floor(Date.now() / 1_000) + 3_600),
      token_type: 'Bearer',
    };
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    vi.unstubAllEnvs();
    server.closeAllConnections();
    server.close();
  });
  vi.stubEnv('IDENTITY_ENDPOINT', `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`);
  vi.stubEnv('IDENTITY_HEADER', 'proof');
  const identity: IdentitySettings = {
    tenantId: '',
    clientId: '',
    credential: { kind: 'managedIdentity', clientId: null },
    authorityHost: 'https://login.microsoftonline.com',
    ca: null,
    tokenMs: 5_000,
  };
  const { token } = await requestToken(identity, 'https://graph.microsoft.com/.default', signal);
  expect([token, requests]).toEqual(['managed', ['proof']]);
});

test.each([
  ['a line end', 'good\r\nX-Header: injected'],
  ['a space', 'good token'],
  ['letters beyond ASCII', 'gööd'],
  ['nothing', ''],
  ['a length of 20,000', 'x'.repeat(20_000)],
])('attack: a token with %s is no token', async (_, value) => {
  const server = await authority({ token: json({ token_type: 'Bearer', expires_in: 3_600, access_token: value }) });
  await expect(tokensOf(server).get(signal)).rejects.toMatchObject({ name: 'TokenFailure', fault: 'unreachable' });
});
