/**
 * Calls Microsoft Graph. The only file that touches @microsoft/microsoft-graph-client.
 *
 * The SDK's own middleware would repeat a POST that Graph answered with 429, 503 or 504 (the last of which may have sent the
 * mail), drop Retry-After and the cause of a failure, and follow redirects. So the chain here is: token, then HTTP. The SDK
 * encodes nothing either: every value enters a path or a query through `segment`, `encode` and `odataText`.
 */
import { randomUUID } from 'node:crypto';
import {
  Client,
  GraphClientError,
  ResponseType,
  type Context,
  type Middleware,
} from '@microsoft/microsoft-graph-client';
import { unreachable } from '../../errors.ts';
import { HttpFailure, type AnswerEnd, type HttpClient } from '../http.ts';
import { TokenFailure } from '../oauth/entra-errors.ts';
import type { TokenSource } from '../oauth/token-source.ts';

export interface GraphCall {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** Segments after the version, each encoded here: `['users', mailbox, 'sendMail']`. */
  readonly path: readonly string[];
  /** Values are encoded here. */
  readonly query?: Readonly<Record<string, string>>;
  /** Text is sent as `text/plain`, anything else as JSON. Default: an empty body. */
  readonly body?: string | object;
  readonly timeoutMs: number;
  /** The text of the answer has a character for each octet. */
  readonly octets?: boolean;
}

export type GraphAnswer =
  | {
      readonly kind: 'answer';
      readonly status: number;
      readonly headers: Headers;
      readonly text: string;
      readonly end: AnswerEnd;
    }
  | { readonly kind: 'no-answer'; readonly failure: HttpFailure }
  | { readonly kind: 'no-token'; readonly failure: TokenFailure };

export interface GraphClient {
  /** Never rejects for what Graph or the connection does. Makes a second request only if the first was refused for its token. */
  call(call: GraphCall, signal: AbortSignal): Promise<GraphAnswer>;
}

/** Passes through the SDK unchanged; errors of any other class lose their cause there. */
class Passing extends GraphClientError {
  readonly reason: HttpFailure | TokenFailure;

  constructor(reason: HttpFailure | TokenFailure) {
    super(reason.message);
    // The SDK's constructor sets the prototype to its own.
    Object.setPrototypeOf(this, Passing.prototype);
    this.reason = reason;
  }
}

export function createGraphClient(baseUrl: string, tokens: TokenSource, http: HttpClient): GraphClient {
  const client = Client.initWithMiddleware({
    baseUrl: `${baseUrl.replace(/\/+$/, '')}/`,
    defaultVersion: 'v1.0',
    middleware: [tokenMiddleware(tokens), httpMiddleware(http)],
  });
  return {
    async call({ method, path, query = {}, body, timeoutMs, octets = false }, signal) {
      const told: { end: AnswerEnd } = { end: 'whole' };
      const questions = Object.entries(query).map(([name, value]) => `${name}=${encode(value)}`);
      const url = `/${path.map(segment).join('/')}${questions.length === 0 ? '' : `?${questions.join('&')}`}`;
      const request = client
        .api(url)
        .responseType(ResponseType.RAW)
        .options({ signal, timeoutMs, octets, told })
        .headers({
          'client-request-id': randomUUID(),
          // Without it the id of a draft changes when it is sent, and the draft cannot be found again.
          // https://learn.microsoft.com/graph/outlook-immutable-id
          Prefer: 'IdType="ImmutableId"',
          ...(typeof body === 'string' ? { 'Content-Type': 'text/plain' } : {}),
        });
      try {
        const response = (await send(request, method, body)) as Response;
        const { status, headers } = response;
        return { kind: 'answer', status, headers, text: await response.text(), end: told.end };
      } catch (error) {
        if (error instanceof Passing) {
          const { reason } = error;
          return reason instanceof TokenFailure
            ? { kind: 'no-token', failure: reason }
            : { kind: 'no-answer', failure: reason };
        }
        throw error;
      }
    },
  };
}

type GraphRequest = ReturnType<Client['api']>;

function send(request: GraphRequest, method: GraphCall['method'], body: GraphCall['body']): Promise<unknown> {
  switch (method) {
    case 'GET':
      return request.get();
    case 'DELETE':
      return request.delete();
    case 'POST':
      return request.post(body ?? '');
    default:
      return unreachable(method);
  }
}

/** A dot segment would climb in the path, even percent-encoded (https://url.spec.whatwg.org/#double-dot-path-segment). */
function segment(value: string): string {
  // The content of an item (OData 4.01, URL conventions, section 4.5); no id has a dollar.
  if (value === '$value') return value;
  if (/^\.{0,2}$/.test(value)) throw new TypeError('a path segment that is empty or climbs');
  return encode(value);
}

/** Leaves nothing that separates parts of a path or a query, or that OData reads as a key in parentheses. */
function encode(value: string): string {
  const code = (char: string): string => `%${char.charCodeAt(0).toString(16).toUpperCase()}`;
  return encodeURIComponent(value.toWellFormed()).replaceAll(/[!'()*]/g, code);
}

/** A string literal of OData: single quotes are doubled. */
export function odataText(value: string): string {
  return `'${value.replaceAll("'", "''")}'`;
}

interface Options {
  method?: string;
  headers?: Record<string, string>;
  body?: string | Buffer;
  signal: AbortSignal;
  timeoutMs: number;
  octets: boolean;
  /** How the last answer ended, which a `Response` cannot say. */
  told: { end: AnswerEnd };
}

function tokenMiddleware(tokens: TokenSource): Middleware {
  let next: Middleware | undefined;
  const run = async (context: Context, token: string): Promise<void> => {
    const options = context.options as unknown as Options;
    options.headers = { ...options.headers, Authorization: `Bearer ${token}` };
    await next?.execute(context);
  };
  return {
    async execute(context) {
      const { signal } = context.options as unknown as Options;
      try {
        const token = await tokens.get(signal);
        await run(context, token);
        if (context.response?.status !== 401) return;
        // The token may have been revoked, or its key rolled. Graph has not looked at a request that it answers with 401.
        const fresh = await tokens.renew(token, signal);
        if (fresh !== token) await run(context, fresh);
      } catch (error) {
        throw error instanceof TokenFailure ? new Passing(error) : error;
      }
    },
    setNext(middleware) {
      next = middleware;
    },
  };
}

function httpMiddleware(http: HttpClient): Middleware {
  return {
    async execute(context) {
      const { method = 'GET', headers = {}, body, ...rest } = context.options as unknown as Options;
      const { signal, timeoutMs, octets, told } = rest;
      try {
        const url = String(context.request);
        const answer = await http.request({ url, method, headers, body: body ?? null, signal, timeoutMs, octets });
        told.end = answer.end;
        const empty = answer.status === 204 || answer.status === 304 || answer.text === '';
        // `Response` takes a status from 200 to 599 only; no HTTP server answers with another one.
        const status = answer.status >= 200 && answer.status <= 599 ? answer.status : 599;
        context.response = new Response(empty ? null : answer.text, { status, headers: answer.headers });
      } catch (error) {
        throw error instanceof HttpFailure ? new Passing(error) : error;
      }
    },
  };
}
