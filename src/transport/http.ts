/**
 * One HTTPS request, and how far it got. Not `fetch`, which does not tell whether the body had left when the connection died:
 * the difference between "try again" and "may have been sent".
 */
import http from 'node:http';
import https from 'node:https';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { asError, printable } from '../errors.ts';
import { createKeyedSemaphore, type KeyedSemaphore } from '../async/semaphore.ts';
import { proxyForUrl, proxyName, type ProxyRoute, type ProxySettings } from './proxy.ts';
import { createProxyAgent, type Opening } from './proxy-agent.ts';
import { checkServerIdentity } from './server-identity.ts';
import { ProxyFailure } from './tunnel.ts';

/** `connect`: nothing of the request was on the wire. `partial`: not all of its body. `complete`: all of it, but no answer came. */
export type HttpStage = 'connect' | 'partial' | 'complete';

export class HttpFailure extends Error {
  readonly stage: HttpStage;
  /** The socket's error code. */
  readonly code: string | null;
  /** No connection came about, and there is a proxy on the way. */
  readonly ofProxy: boolean;

  constructor(stage: HttpStage, code: string | null, text: string, ofProxy = false) {
    super(printable(text, 500));
    this.name = 'HttpFailure';
    this.stage = stage;
    this.code = code;
    this.ofProxy = ofProxy;
  }
}

interface HttpRequest {
  readonly url: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Buffer | null;
  readonly signal: AbortSignal;
  /** Until the answer is complete, in ms. */
  readonly timeoutMs: number;
  /** The text of the answer has a character for each octet, instead of being read as UTF-8. */
  readonly octets?: boolean;
  /** Asked once the connection is there, and before anything of the request is on the wire. False ends the request as if stopped. */
  readonly mayBegin?: () => Promise<boolean>;
}

export interface HttpAnswer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
  /** `cut`: here, as it was too long. `broken`: by the server or the network; how much is missing is not known. */
  readonly end: AnswerEnd;
}

export type AnswerEnd = 'whole' | 'cut' | 'broken';

export interface HttpClient {
  /** Rejects with HttpFailure. Follows no redirect, so that a token goes only to a configured host. */
  request(request: HttpRequest): Promise<HttpAnswer>;
  close(): void;
}

/** How long a host may take to accept a connection. */
const connectMs = 30_000;
/** A request on a connection that the server is about to close would make its message uncertain. */
const idleMs = 5_000;
/**
 * Answers are small: a token, a page of ids, or an error. Longer ones are cut, and the connection ends. Answers are asked for
 * without compression and never decompressed, so this bounds what is in memory, too.
 */
const maxAnswerBytes = 1024 * 1024;

interface HttpClientOptions {
  /** URLs may be http, for services of the machine itself; no proxy is asked for them. */
  readonly plain?: boolean;
  /** The way to the servers. Default: directly. */
  readonly proxy?: ProxyRoute | null;
}

/** Connects when the first request comes. `ca`: PEM text that replaces the public CAs, also behind a proxy. */
export function createHttpClient(
  ca: string | null,
  maxConnections: number,
  { plain = false, proxy: route = null }: HttpClientOptions = {},
): HttpClient {
  const tls: https.AgentOptions = {
    // RFC 8996 ends TLS 1.0 and 1.1.
    minVersion: 'TLSv1.2',
    rejectUnauthorized: true,
    checkServerIdentity,
    ...(ca === null ? {} : { ca }),
  };
  const options: https.AgentOptions = {
    ...tls,
    keepAlive: true,
    maxSockets: maxConnections,
    timeout: idleMs,
    // Node's default of 250 ms for each address would never reach a distant server.
    autoSelectFamilyAttemptTimeout: 2_000,
  };
  const agent = new https.Agent(options);
  const closed = new AbortController();
  const tunnels = route === null ? null : createProxyAgent(options, route.proxy);
  const turns = createKeyedSemaphore(maxConnections);
  return {
    request(request) {
      if (plain && request.url.startsWith('http:')) {
        // Node's common agent may go through a proxy (NODE_USE_ENV_PROXY).
        return exchange((about) => http.request(request.url, { ...about, agent: false }), request, null);
      }
      const proxy = proxyForUrl(route, request.url);
      if (proxy === null || tunnels === null) {
        return exchange((about) => https.request(request.url, { ...about, ...tls, agent }), request, null);
      }
      return inTurn(turns, request, { closed: closed.signal, way: throughText(proxy) }, (left, opening) => {
        const own = { ...tls, agent: tunnels, opening };
        return exchange((about) => https.request(request.url, { ...about, ...own }), left, proxy);
      });
    },
    close() {
      closed.abort();
      agent.destroy();
      tunnels?.destroy();
    },
  };
}

/** As many requests to a server at once as there may be connections, so that no more tunnels are being opened either. */
async function inTurn(
  turns: KeyedSemaphore,
  request: HttpRequest,
  { closed, way }: { readonly closed: AbortSignal; readonly way: string },
  begin: (request: HttpRequest, opening: Opening['opening']) => Promise<HttpAnswer>,
): Promise<HttpAnswer> {
  const startedAt = performance.now();
  const limitMs = Math.min(connectMs, request.timeoutMs);
  // Not AbortSignal.any, whose signals live until the next full collection.
  const over = new AbortController();
  const end = (): void => over.abort();
  const stops = [request.signal, closed];
  for (const each of stops) each.addEventListener('abort', end);
  if (stops.some(({ aborted }) => aborted)) end();
  const timer = setTimeout(end, limitMs);
  try {
    const release = await turns.acquire(new URL(request.url).origin, over.signal);
    if (release === null) {
      const stopped = stops.some(({ aborted }) => aborted);
      const text = stopped ? 'stopped before the request' : `no connection was free within ${limitMs} ms`;
      throw new HttpFailure('connect', stopped ? null : 'ETIMEDOUT', `${text}${way}`, true);
    }
    clearTimeout(timer);
    const timeoutMs = Math.max(1, Math.ceil(request.timeoutMs - (performance.now() - startedAt)));
    return await begin({ ...request, timeoutMs }, over.signal).finally(release);
  } finally {
    clearTimeout(timer);
    for (const each of stops) each.removeEventListener('abort', end);
    end();
  }
}

function exchange(
  open: (options: http.RequestOptions) => http.ClientRequest,
  request: HttpRequest,
  proxy: ProxySettings | null,
): Promise<HttpAnswer> {
  const way = proxy === null ? '' : throughText(proxy);
  return new Promise((resolve, reject) => {
    const { method, headers, body, signal, timeoutMs, mayBegin } = request;
    if (signal.aborted) return reject(new HttpFailure('connect', null, 'stopped before the request'));
    let stage: HttpStage = 'connect';
    let settled = false;
    const length = body === null ? 0 : Buffer.byteLength(body);
    const withLength = method === 'GET' || method === 'DELETE' ? {} : { 'content-length': `${length}` };
    const sent = open({ method, headers: { ...headers, ...withLength, 'accept-encoding': 'identity' } });

    const timers = [
      setTimeout(() => end('ETIMEDOUT', `no answer within ${timeoutMs} ms`), timeoutMs),
      setTimeout(() => {
        if (stage === 'connect') end('ETIMEDOUT', `no connection within ${connectMs} ms`);
      }, connectMs),
    ];
    const onAbort = (): void => end(null, 'stopped');
    const settle = (): boolean => {
      if (settled) return false;
      settled = true;
      for (const timer of timers) clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      return true;
    };
    const end = (code: string | null, text: string, names = false): void => {
      if (!settle()) return;
      sent.destroy();
      reject(new HttpFailure(stage, code, names ? text : `${text}${way}`, stage === 'connect' && proxy !== null));
    };
    signal.addEventListener('abort', onAbort);

    sent.on('socket', (socket) => {
      const connected = (): void => void begin().catch((thrown: unknown) => end(null, asError(thrown).message));
      if (!sent.reusedSocket) return whenReady(socket, connected);
      // The server may be about to close it: whether a request has reached it would not be known.
      stage = 'partial';
      connected();
    });
    sent.on('error', (error: NodeJS.ErrnoException) => {
      end(error.code ?? null, describe(error), error instanceof ProxyFailure);
    });
    sent.on('response', (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      // The status is the answer. A connection that ends during the text is no failure, as the missing text changes nothing.
      const done = (end: AnswerEnd): void => {
        if (!settle()) return;
        const text = Buffer.concat(chunks).toString(request.octets === true ? 'latin1' : 'utf8');
        resolve({ status: response.statusCode ?? 0, headers: flat(response.headers), text, end });
      };
      const broken = (): void => done('broken');
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size <= maxAnswerBytes) chunks.push(chunk);
        else {
          done('cut');
          sent.destroy();
        }
      });
      response
        .on('end', () => done('whole'))
        .on('error', broken)
        .on('close', broken);
      for (const timer of timers.splice(0)) clearTimeout(timer);
      timers.push(
        setTimeout(() => {
          broken();
          sent.destroy();
        }, timeoutMs),
      );
    });
    const begin = async (): Promise<void> => {
      if (mayBegin !== undefined && !(await mayBegin())) return end(null, 'stopped before the request');
      if (settled) return;
      stage = 'partial';
      // Once the operating system has the last byte, the server may have it. Not the event `finish`, which also follows a
      // write that failed.
      const onBodySent = (error?: Error | null): void => {
        if (error === null || error === undefined) stage = 'complete';
      };
      if (length === 0) sent.once('finish', onBodySent);
      else sent.write(body, onBodySent);
      sent.end();
    };
  });
}

function throughText(proxy: ProxySettings): string {
  return ` (through the proxy ${proxyName(proxy)})`;
}

/** Calls once the connection is there: after TLS, where there is TLS. An agent may have waited for that itself. */
function whenReady(socket: Socket, ready: () => void): void {
  if (socket instanceof TLSSocket) {
    // Certificates are always verified, so a connection without a verified one is still in its handshake.
    if (socket.authorized) ready();
    else socket.once('secureConnect', ready);
  } else if (socket.connecting) socket.once('connect', ready);
  else ready();
}

function flat(headers: NodeJS.Dict<string | string[]>): Record<string, string> {
  const result: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) result[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  return result;
}

/** Several addresses that all fail arrive as one error with an empty message. */
function describe(error: Error): string {
  if (error instanceof AggregateError) return error.errors.map((one: Error) => one.message).join('; ');
  return error.message;
}
