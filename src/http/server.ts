/** The listener: plain or TLS, with its limits and timeouts; it names the client, checks `Host`, and tells what was answered. */
import { createServer, type IncomingMessage, type Server, type ServerOptions, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import type { ApiSettings } from '../config/api.ts';
import { settlesWithin } from '../async/timeout.ts';
import { isOurs } from '../observability/host.ts';
import { createClientReader, type Client } from './client.ts';
import * as limit from './limits.ts';
import { problemDocument, type Problem } from './problem.ts';
import type { Trace } from './trace.ts';

export interface ServerParts {
  readonly settings: ApiSettings;
  /** Answers what needs no token. → false if the path is none of those. */
  readonly health: (request: IncomingMessage, response: ServerResponse) => boolean;
  readonly answer: (request: Request, bindings: Bindings) => Response | Promise<Response>;
  /** Called once per request, when its answer has ended. */
  readonly answered: (request: AnsweredRequest) => void;
}

/** What an answer may need beside the request. */
interface Bindings extends Exchange {
  readonly trace: Trace;
  readonly from: Client;
}

interface Exchange {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
}

interface AnsweredRequest extends Omit<Trace, 'startedAt'> {
  readonly method: string;
  readonly status: number;
  readonly durationMs: number;
}

export interface ListeningServer {
  readonly port: number;
  /** New hosts, proxies and certificates. What else changes takes a new listener. */
  apply(settings: ApiSettings): void;
  /** Takes no more, lets running requests end for a while, and closes. `ending` ends streams. */
  close(ending: () => void): Promise<void>;
}

/** Rejects if the port is in use, or the certificate and the key do not belong together. */
export async function startServer({ settings, health, answer, answered }: ServerParts): Promise<ListeningServer> {
  let { hosts } = settings;
  let clientOf = createClientReader(settings.proxies);
  const about = new WeakMap<IncomingMessage, Omit<Bindings, keyof Exchange>>();
  const toApi = getRequestListener(
    (request, env) => {
      const { incoming, outgoing } = env as unknown as Exchange;
      return answer(request, { incoming, outgoing, ...about.get(incoming)! });
    },
    { overrideGlobalObjects: false },
  );

  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    const client = clientOf(request.headers, request.socket.remoteAddress ?? '', 'encrypted' in request.socket);
    const trace: Trace = {
      startedAt: performance.now(),
      client: client.address,
      route: 'unknown',
      tokenId: null,
      id: null,
      code: null,
      span: null,
    };
    about.set(request, { trace, from: client });
    if (closing) response.setHeader('Connection', 'close');
    if (!isOurs(client.host, request.socket.localAddress, hosts)) {
      return refuse(response, { code: 'misdirected', detail: 'the header Host has a name that is not in api.hosts' });
    }
    const url = request.url ?? '';
    if (!url.startsWith('/') || url.length > limit.maxUrlChars) {
      return refuse(response, { code: 'malformed-request', detail: 'the path is too long, or is none' });
    }
    if (health(request, response)) return;
    response.once('close', () => {
      const { startedAt, ...noted } = trace;
      const durationMs = Math.round((performance.now() - startedAt) * 10) / 10;
      answered({ ...noted, method: methodOf(request), status: response.statusCode, durationMs });
    });
    void toApi(request, response);
  };

  let closing = false;
  const options: ServerOptions = {
    maxHeaderSize: limit.maxHeaderBytes,
    headersTimeout: limit.headerMs,
    requestTimeout: limit.requestMs,
    keepAliveTimeout: limit.keepAliveMs,
    connectionsCheckingInterval: 1_000,
  };
  const { tls } = settings;
  const server = tls === null ? createServer(options, listener) : createTlsServer({ ...options, ...tls }, listener);
  server.maxConnections = limit.maxConnections;
  await listen(server, settings.listen);
  return {
    port: (server.address() as AddressInfo).port,

    apply(next) {
      hosts = next.hosts;
      clientOf = createClientReader(next.proxies);
      if (next.tls !== null && 'setSecureContext' in server) server.setSecureContext(next.tls);
    },

    async close(ending) {
      closing = true;
      const closed = new Promise<void>((resolve) => void server.close(() => resolve()));
      ending();
      server.closeIdleConnections();
      await settlesWithin(closed, limit.drainMs);
      server.closeAllConnections();
      await closed;
    },
  };
}

function listen(server: Server, { host, port }: ApiSettings['listen']): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

const knownMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

/** Anyone may invent methods. */
function methodOf({ method = '' }: IncomingMessage): string {
  return knownMethods.has(method) ? method : 'OTHER';
}

function refuse(response: ServerResponse, problem: Problem): void {
  const { status, body, headers } = problemDocument(problem);
  const type = 'application/problem+json';
  response.writeHead(status, { 'Content-Type': type, 'Cache-Control': 'no-store', ...headers, Connection: 'close' });
  response.end(`${JSON.stringify(body)}\n`);
}
