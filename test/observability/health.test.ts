/** The health check over HTTP: what it answers, to whom, and to which requests. */
import { expect, onTestFinished, test } from 'vitest';
import { startHealthServer, type HealthState } from '../../src/observability/health.ts';

async function setUp(state: HealthState, ready = true): Promise<(path: string, method?: string) => Promise<Response>> {
  const server = await startHealthServer({ host: '127.0.0.1', port: 0, health: () => state, ready: () => ready });
  onTestFinished(() => server.close());
  return (path, method = 'GET') => fetch(`http://127.0.0.1:${server.port}${path}`, { method });
}

const good: HealthState = { ok: true, redis: 'ready', idleForMs: 12 };

test.each(['/healthz', '/health', '/readyz', '/readyz?verbose'])('GET %s is 200 while all is well', async (path) => {
  const response = await (await setUp(good))(path);
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toBe('application/json');
  expect(await response.json()).toMatchObject(good);
});

test('/healthz is 503 while Redis is away, and says which', async () => {
  const response = await (await setUp({ ok: false, redis: 'reconnecting', idleForMs: 45_000 }))('/healthz');
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
