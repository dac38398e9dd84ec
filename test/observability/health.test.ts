/** The health check over HTTP: what it answers, to whom, and to which requests. */
import { request } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import { startHealthServer, type HealthOptions, type HealthState } from '../../src/observability/health.ts';

async function setUp(state: HealthState, ready = true): Promise<(path: string, method?: string) => Promise<Response>> {
  const server = await startHealthServer({ host: '127.0.0.1', port: 0, health: () => state, ready: () => ready });
  onTestFinished(() => server.close());
  return (path, method = 'GET') => fetch(`http://127.0.0.1:${server.port}${path}`, { method });
}

const good: HealthState = { ok: true, live: true, redis: 'ready', idleForMs: 12 };

test.each(['/livez', '/healthz', '/health', '/readyz', '/readyz?verbose'])(
  'GET %s is 200 while all is well',
  async (path) => {
    const response = await (await setUp(good))(path);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('application/json');
    expect(await response.json()).toMatchObject(good);
  },
);

test('/healthz is 503 while Redis is away, and says which', async () => {
  const response = await (await setUp({ ok: false, live: true, redis: 'reconnecting', idleForMs: 45_000 }))('/healthz');
  expect(response.status).toBe(503);
  expect(await response.json()).toMatchObject({ status: 'failing', ok: false, redis: 'reconnecting' });
});

test('/readyz is 503 before it serves and while it stops, though /healthz is 200', async () => {
  const ask = await setUp(good, false);
  expect((await ask('/readyz')).status).toBe(503);
  expect((await ask('/healthz')).status).toBe(200);
});

test.each(['POST', 'PUT', 'DELETE', 'OPTIONS'])('%s is refused with 405', async (method) => {
  const response = await (await setUp(good))('/healthz', method);
  expect(response.status).toBe(405);
  expect(response.headers.get('allow')).toBe('GET, HEAD');
});

test('HEAD has the status and no body', async () => {
  const response = await (await setUp(good))('/healthz', 'HEAD');
  expect(response.status).toBe(200);
  expect(await response.text()).toBe('');
});

test('every other path is 404', async () => {
  expect((await (await setUp(good))('/')).status).toBe(404);
});

test('an outage of Redis does not fail /livez, but a loop that hangs does', async () => {
  const away = await setUp({ ok: false, live: true, redis: 'reconnecting', idleForMs: 4_000_000 });
  expect((await away('/livez')).status).toBe(200);
  const hanging = await setUp({ ok: false, live: false, redis: 'ready', idleForMs: 100_000 });
  expect((await hanging('/livez')).status).toBe(503);
});

async function start(options: Partial<HealthOptions>): Promise<number> {
  const server = await startHealthServer({
    host: '127.0.0.1',
    port: 0,
    health: () => good,
    ready: () => true,
    ...options,
  });
  onTestFinished(() => server.close());
  return server.port;
}

const counted = { contentType: 'text/plain; version=0.0.4', text: 'a_total 1\n' };

/** `fetch` does not let a caller choose the Host. */
async function ask(port: number, path: string, headers: Record<string, string> = {}) {
  const answered = Promise.withResolvers<{ status: number | undefined; type: string | undefined; body: string }>();
  const asked = request({ host: '127.0.0.1', port, path, headers }, (response) => {
    const { statusCode: status, headers } = response;
    void text(response).then((body) => answered.resolve({ status, type: headers['content-type'], body }));
  });
  asked.on('error', answered.reject).end();
  return answered.promise;
}

test('/metrics answers in the form of Prometheus, and is no path where nothing is counted', async () => {
  const port = await start({ metrics: () => Promise.resolve(counted) });
  expect(await ask(port, '/metrics')).toEqual({ status: 200, type: counted.contentType, body: counted.text });
  expect((await ask(await start({}), '/metrics')).status).toBe(404);
});

test('metrics that cannot be read are a 500 without a word of the reason', async () => {
  const port = await start({ metrics: () => Promise.reject(new Error('PLANTED')) });
  const { status, body } = await ask(port, '/metrics');
  expect([status, body.includes('PLANTED')]).toEqual([500, false]);
});

test.each(['localhost', 'LOCALHOST:9464', '127.0.0.1:1', '[::1]:9464', 'worker', 'worker.:80'])(
  'the Host %s is answered',
  async (host) => {
    const port = await start({ hosts: ['worker'], metrics: () => Promise.resolve(counted) });
    expect((await ask(port, '/metrics', { host })).status).toBe(200);
  },
);

test.each(['rebound.example', '10.0.0.1', 'localhost.evil.example', 'worker@evil.example', '['])(
  'attack: a page that gives its own name our address (Host %j) reads nothing',
  async (host) => {
    const port = await start({ hosts: ['worker'], metrics: () => Promise.resolve(counted) });
    for (const path of ['/metrics', '/readyz']) {
      const { status, body } = await ask(port, path, { host });
      expect([status, body.includes('a_total')]).toEqual([421, false]);
    }
  },
);

test('attack: a header that does not end is refused at its bound', async () => {
  const port = await start({});
  expect((await ask(port, '/livez', { 'x-long': 'x'.repeat(20_000) })).status).toBe(431);
});

test('attack: clients beyond the bound are not served, and those before them are', async () => {
  const port = await start({});
  const idle = Array.from({ length: 100 }, () => connect(port, '127.0.0.1'));
  for (const socket of idle) socket.on('error', () => undefined);
  onTestFinished(() => idle.forEach((socket) => socket.destroy()));
  await Promise.all(idle.map((socket) => new Promise((resolve) => socket.once('connect', resolve))));
  await expect(ask(port, '/livez')).rejects.toThrow(/socket hang up|ECONNRESET/);
  idle[0]!.write('GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n');
  expect(await text(idle[0]!)).toContain('200 OK');
});
