/** Talks to the fake Graph byte for byte: no client library between the test and the wire. */
import { Agent, request } from 'node:https';
import type { IncomingHttpHeaders } from 'node:http';
import { onTestFinished } from 'vitest';
import { startFakeGraph, type FakeGraph, type FakeGraphOptions } from '../../testkit/graph/fake-graph.ts';

export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly json: Record<string, unknown>;
}

interface Asked {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
  readonly signal?: AbortSignal;
}

export interface Caller {
  readonly graph: FakeGraph;
  /** To a path, or to a whole URL; nothing is added. @throws the socket's error. */
  readonly ask: (url: string, asked?: Asked) => Promise<Reply>;
  /** To a path below `/v1.0/users/`, with a token. */
  readonly mail: (path: string, asked?: Asked) => Promise<Reply>;
  readonly post: (path: string, json: unknown, headers?: Readonly<Record<string, string>>) => Promise<Reply>;
  readonly postMime: (path: string, mime: string) => Promise<Reply>;
  readonly token: (form?: Readonly<Record<string, string>>) => Promise<Reply>;
}

/** A fake that ends with the test, and a client that has a token for it. */
export async function callFakeGraph(options: FakeGraphOptions = {}): Promise<Caller> {
  const graph = await startFakeGraph(options);
  const agent = new Agent({ keepAlive: true, ca: graph.ca });
  onTestFinished(async () => {
    agent.destroy();
    await graph.stop();
  });
  const caller: Caller = {
    graph,
    ask: (url, { method = 'GET', headers = {}, body = '', signal } = {}) =>
      new Promise((resolve, reject) => {
        const target = url.startsWith('https:') ? url : null;
        const { port, path } = target === null ? { port: graph.port, path: url } : split(target);
        const length =
          method === 'GET' || method === 'DELETE' ? {} : { 'content-length': String(Buffer.byteLength(body)) };
        const options = { agent, host: '127.0.0.1', port, path, method, headers: { ...length, ...headers }, signal };
        const asking = request(options, (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.once('error', reject);
          response.once('end', () => {
            const text = Buffer.concat(chunks).toString('utf8');
            resolve({ status: response.statusCode ?? 0, headers: response.headers, text, json: parse(text) });
          });
        });
        asking.once('error', reject);
        asking.end(body);
      }),
    mail: (path, { headers = {}, ...asked } = {}) =>
      caller.ask(`/v1.0/users/${path}`, { ...asked, headers: { authorization: `Bearer ${token}`, ...headers } }),
    post: (path, json, headers = {}) =>
      caller.mail(path, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify(json),
      }),
    postMime: (path, mime) =>
      caller.mail(path, {
        method: 'POST',
        headers: { 'content-type': 'text/plain' },
        body: Buffer.from(mime).toString('base64'),
      }),
    token: (form = {}) => {
      const asked = {
        grant_type: 'client_credentials',
        client_id: graph.app.clientId,
        client_secret: graph.app.clientSecret ?? '',
        scope: `${graph.graphBaseUrl}/.default`,
        ...form,
      };
      return caller.ask(`/${graph.tenantId}/oauth2/v2.0/token`, {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams(asked).toString(),
      });
    },
  };
  const token = String((await caller.token()).json['access_token']);
  return caller;
}

/** Not through `URL`, which would tidy the path up. */
function split(url: string): { port: number; path: string } {
  const [, port = '', path = ''] = /^https:\/\/[^/:]+:(\d+)(\/.*)$/.exec(url) ?? [];
  return { port: Number(port), path };
}

function parse(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return {};
  }
}

/** The code of an error, and its status: `404 ErrorItemNotFound`. */
export function errorOf({ status, json }: Reply): string {
  const error = json['error'];
  return typeof error === 'object' && error !== null && 'code' in error
    ? `${status} ${String(error.code)}`
    : String(status);
}
