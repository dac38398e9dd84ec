/** As many tunnels as a client may have connections, also while they are being opened; and none that nobody waits for. */
import { expect, onTestFinished, test } from 'vitest';
import { createHttpClient, type HttpClient, type HttpFailure } from '../../src/transport/http.ts';
import type { ScriptedProxy } from '../support/scripted-proxy.ts';
import { connectingProxy, routeTo, scriptedProxy } from '../support/scripted-proxy.ts';
import { httpsServer } from '../support/https-server.ts';
import { until } from '../../testkit/until.ts';

const never = new AbortController().signal;

function clientOf(proxy: ScriptedProxy, maxConnections: number, ca: string | null = null): HttpClient {
  const client = createHttpClient(ca, maxConnections, { proxy: routeTo(`http://127.0.0.1:${proxy.port}`) });
  onTestFinished(() => client.close());
  return client;
}

/** Connects, and never answers CONNECT. */
const silent = () => scriptedProxy(() => undefined);

/** The failure of a request, or its status. */
function ask(client: HttpClient, change: { timeoutMs?: number; signal?: AbortSignal; url?: string } = {}) {
  const { url = 'https://a.example/', timeoutMs = 20_000, signal = never } = change;
  const request = { url, method: 'POST', headers: {}, body: 'x', signal, timeoutMs };
  return client.request(request).then(
    ({ status }) => status,
    (error: HttpFailure) => ({ code: error.code, stage: error.stage, text: error.message, ofProxy: error.ofProxy }),
  );
}

test('a proxy that never answers CONNECT gets no more connections than the client may have, and all requests end in time', async () => {
  const proxy = await silent();
  const client = clientOf(proxy, 2);
  const startedAt = performance.now();
  const ended = await Promise.all(Array.from({ length: 6 }, () => ask(client, { timeoutMs: 500 })));
  expect(performance.now() - startedAt).toBeLessThan(2_000);
  for (const each of ended) expect(each).toMatchObject({ stage: 'connect', code: 'ETIMEDOUT', ofProxy: true });
  expect(proxy.connections()).toBe(2);
  await until(() => proxy.open() === 0, { what: 'the end of the tunnels that nobody waits for' });
});

test('an abort closes the tunnel that is being opened, and the next request gets its turn', async () => {
  const proxy = await silent();
  const client = clientOf(proxy, 1);
  const abort = new AbortController();
  const [first, second] = [ask(client, { signal: abort.signal }), ask(client, { timeoutMs: 3_000 })];
  await until(() => proxy.open() === 1, { what: 'the first tunnel' });
  abort.abort();
  expect(await first).toMatchObject({ stage: 'connect', code: null });
  await until(() => proxy.connections() === 2 && proxy.open() === 1, { what: 'the second tunnel alone' });
  client.close();
  expect(await second).toMatchObject({ stage: 'connect' });
});

test('a request that waits for its turn ends at once with its signal', async () => {
  const proxy = await silent();
  const client = clientOf(proxy, 1);
  const abort = new AbortController();
  const [first, waiting] = [ask(client), ask(client, { signal: abort.signal })];
  await until(() => proxy.open() === 1, { what: 'the first tunnel' });
  abort.abort();
  expect(await waiting).toMatchObject({ stage: 'connect', code: null, text: expect.stringContaining('stopped') });
  expect(proxy.connections()).toBe(1);
  client.close();
  await first;
});

test('a client that is closed ends the requests that wait for their turn', async () => {
  const proxy = await silent();
  const client = clientOf(proxy, 1);
  const requests = [ask(client), ask(client), ask(client)];
  await until(() => proxy.open() === 1, { what: 'the first tunnel' });
  client.close();
  for (const each of await Promise.all(requests)) expect(each).toMatchObject({ stage: 'connect' });
  expect(proxy.connections()).toBe(1);
});

test('requests at once share as many tunnels as the client may have', async () => {
  const server = await httpsServer((_request, response) => void response.end('hello'));
  const proxy = await connectingProxy();
  const client = clientOf(proxy, 2, server.ca);
  const url = `${server.origin}/x`;
  expect(await Promise.all(Array.from({ length: 8 }, () => ask(client, { url })))).toEqual(Array(8).fill(200));
  expect(proxy.connections()).toBe(2);
});
