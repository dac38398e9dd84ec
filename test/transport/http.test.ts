/** Answers over HTTPS that are too long, too dense, or that never end: bounded in memory and in time. */
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { createHttpClient, type HttpAnswer } from '../../src/transport/http.ts';
import { httpsServer, pourInto } from '../support/https-server.ts';
import { until } from '../../testkit/until.ts';

const megabyte = 1024 * 1024;

async function get(origin: string, ca: string, timeoutMs = 10_000, octets = false): Promise<HttpAnswer> {
  const client = createHttpClient(ca, 1);
  try {
    const signal = new AbortController().signal;
    const request = { url: `${origin}/`, method: 'GET', headers: {}, body: null, signal, timeoutMs, octets };
    return await client.request(request);
  } finally {
    client.close();
  }
}

test('attack: an answer without an end is cut after a mebibyte, and its connection ends', async () => {
  const server = await httpsServer((_request, response) => pourInto(response, 'x'.repeat(16_384)));
  const { status, text, end } = await get(server.origin, server.ca);
  expect([status, text.length <= megabyte, end]).toEqual([200, true, 'cut']);
  await until(() => server.open() === 0, { what: 'the connection to end' });
  expect(server.sent()).toBeLessThan(20 * megabyte);
});

test('attack: an answer that is compressed without being asked for is not decompressed', async () => {
  const bomb = gzipSync(Buffer.alloc(64 * megabyte));
  const encodings: (string | string[] | undefined)[] = [];
  const server = await httpsServer((request, response) => {
    encodings.push(request.headers['accept-encoding']);
    response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb);
  });
  const { text } = await get(server.origin, server.ca);
  expect(encodings).toEqual(['identity']);
  expect(text.length).toBeLessThan(megabyte);
});

test('attack: an answer whose text trickles is cut after the time of the request', async () => {
  const server = await httpsServer((_request, response) => void response.write('{"begun":'));
  const { status, text, end } = await get(server.origin, server.ca, 300);
  expect([status, text, end]).toEqual([200, '{"begun":', 'broken']);
  await until(() => server.open() === 0, { what: 'the connection to end' });
});

test('an answer that breaks off is told from one that is whole', async () => {
  const server = await httpsServer(({ url }, response) => {
    response.writeHead(200, { 'content-length': '10' });
    response.write('hello', () => (url === '/' ? response.destroy() : undefined));
  });
  const { text, end } = await get(server.origin, server.ca);
  expect([text, end]).toEqual(['hello', 'broken']);
  const whole = await httpsServer((_request, response) => void response.end('hello'));
  expect((await get(whole.origin, whole.ca)).end).toBe('whole');
});

test('octets come one for one, whatever they are', async () => {
  const all = Buffer.from(Array.from({ length: 256 }, (_, at) => at));
  const server = await httpsServer((_request, response) => void response.end(all));
  expect(Buffer.from((await get(server.origin, server.ca, 10_000, true)).text, 'latin1')).toEqual(all);
});

test('attack: a header without an end is a failure', async () => {
  const server = await httpsServer((_request, response) => {
    response.socket?.write('HTTP/1.1 200 OK\r\n');
    for (let i = 0; i < 5_000; i += 1) response.socket?.write(`X-Header-${i}: ${'y'.repeat(100)}\r\n`);
  });
  await expect(get(server.origin, server.ca)).rejects.toMatchObject({ name: 'HttpFailure' });
});

test('a URL that is not https is refused, as it would carry a token in the open', async () => {
  await expect(get('http://127.0.0.1:1', '')).rejects.toThrow('Protocol "http:" not supported');
});

test('attack: a redirect to another host is an answer, and nothing is sent there', async () => {
  const other = await httpsServer((_request, response) => void response.end());
  const server = await httpsServer((_request, response) => {
    response.writeHead(307, { location: `${other.origin}/steal` }).end();
  });
  expect((await get(server.origin, server.ca)).status).toBe(307);
  expect(other.requests).toEqual([]);
});
