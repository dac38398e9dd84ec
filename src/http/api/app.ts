/** The HTTP API as one function from request to response: each route behind its token, scope, rate and limits. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { Hono, type Context as HonoContext } from 'hono';
import { withTimeout } from '../../async/timeout.ts';
import type { ApiToken } from '../../config/api.ts';
import { PostlaneError, unreachable } from '../../errors.ts';
import { readBody, type BodyBudget } from '../body.ts';
import { readJson } from '../json.ts';
import { answerMs, maxSmallBodyBytes } from '../limits.ts';
import { problemDocument, problemOf, type Problem } from '../problem.ts';
import type { TracedSpan } from '../../tracing/tracing.ts';
import type { Trace } from '../trace.ts';
import { authenticate, hasScope, missingScope, takeRate } from './access.ts';
import { check, checkQuery, noQuery } from './input.ts';
import { answerTraced, beginRequest } from './request-span.ts';
import type { Payload, Reply, Route, Tools } from './route.ts';

/** What the listener hands over beside the request. */
interface Bindings {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
  readonly trace: Trace;
}

export interface ApiOptions {
  readonly routes: readonly Route[];
  readonly tools: Tools;
  readonly budget: BodyBudget;
  /** The OpenAPI document, as JSON; the one path that needs no token. */
  readonly document: string;
  /** What failed within the server. */
  readonly failed: (route: string, thrown: unknown) => void;
}

type Env = { Bindings: Bindings };
type Call = HonoContext<Env>;

export function createApi(options: ApiOptions): Hono<Env> {
  const { routes, tools, document, failed } = options;
  const app = new Hono<Env>();
  app.get('/v1/openapi.json', (call) => {
    call.env.trace.route = 'getOpenApi';
    return call.body(document, 200, { 'Content-Type': 'application/json', ...plainHeaders });
  });
  for (const route of routes) app.on(route.method, honoPath(route.path), (call) => answer(call, route, options));
  const methods = Map.groupBy(routes, ({ path }) => honoPath(path));
  for (const [path, of] of methods) {
    const allow = [...new Set(of.flatMap(({ method }) => (method === 'GET' ? ['GET', 'HEAD'] : [method])))].join(', ');
    app.all(path, (call) => {
      const refused = refuseStranger(call, tools);
      const detail = `${call.req.method.slice(0, 20)} is not possible here`;
      return refused ?? respondProblem(call, { code: 'method-not-allowed', detail }, { Allow: allow });
    });
  }
  // Who has no token does not learn which paths there are.
  app.notFound((call) => {
    const refused = refuseStranger(call, tools);
    return refused ?? respondProblem(call, { code: 'not-found', detail: 'there is no such path' });
  });
  app.onError((thrown, call) => {
    failed(call.env.trace.route, thrown);
    return respondProblem(call, problemOf(thrown));
  });
  return app;
}

/** No answer is for a cache or for a page of another origin; nothing is a page, so nothing may be loaded by it. */
const plainHeaders = {
  'Cache-Control': 'no-store',
  'X-Content-Type-Options': 'nosniff',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
} as const;

function honoPath(path: string): string {
  return path.replaceAll(/\{(\w+)\}/g, ':$1');
}

function refuseStranger(call: Call, tools: Tools): Response | null {
  const access = authenticate(call.req.header('authorization'), tools);
  if (!access.ok) return respondProblem(call, access.problem);
  call.env.trace.tokenId = access.token.id;
  return null;
}

function answer(call: Call, route: Route, options: ApiOptions): Promise<Response> {
  const span = beginRequest(route, call.env.incoming.headers);
  return span === null ? answerHere(call, route, options) : answerWithin(span, call, route, options);
}

function answerWithin(span: TracedSpan, call: Call, route: Route, options: ApiOptions): Promise<Response> {
  call.env.trace.span = span.ids;
  return answerTraced(span, () => answerHere(call, route, options));
}

async function answerHere(call: Call, route: Route, options: ApiOptions): Promise<Response> {
  const { tools, failed } = options;
  const { trace } = call.env;
  trace.route = route.name;
  const access = authenticate(call.req.header('authorization'), tools);
  if (!access.ok) return respondProblem(call, access.problem);
  const { token } = access;
  trace.tokenId = token.id;
  if (!hasScope(token, route.scope)) return respondProblem(call, missingScope(token, route.scope));
  const { outgoing } = call.env;
  const gone = new AbortController();
  const left = (): void => gone.abort();
  outgoing.once('close', left);
  try {
    return respond(call, await run(call, route, token, gone.signal, options));
  } catch (thrown) {
    const problem = problemOf(thrown);
    if (problem.code === 'internal') failed(route.name, thrown);
    return respondProblem(call, problem);
  } finally {
    outgoing.off('close', left);
  }
}

async function run(
  call: Call,
  route: Route,
  token: ApiToken,
  gone: AbortSignal,
  { tools, budget }: ApiOptions,
): Promise<Reply> {
  const { incoming, outgoing, trace } = call.env;
  const over = await takeRate(token, 1, tools);
  if (over !== null) return { kind: 'problem', problem: over };
  const given = call.req.param() as Readonly<Record<string, string>>;
  const params = route.params === undefined ? null : check(route.params, given);
  if (params?.ok === false) {
    return { kind: 'problem', problem: { code: 'not-found', detail: 'there is nothing of this name' } };
  }
  trace.id = typeof given['id'] === 'string' && params !== null ? given['id'] : null;
  const query = checkQuery(route.query ?? noQuery, new URL(call.req.url).searchParams);
  if (!query.ok) return { kind: 'problem', problem: query.problem };
  const body = await bodyOf(call, route, tools, budget);
  if (!body.ok) return { kind: 'problem', problem: body.problem };
  try {
    const input = { params: params?.value, query: query.value, body: body.value, payload: body.payload };
    const socket = { request: incoming, response: outgoing };
    const about = { token, client: trace.client, through: 'api', tools, socket } as const;
    const late = (): PostlaneError => new PostlaneError('timeout', `there was no answer within ${answerMs} ms`);
    return await withTimeout(async () => route.handle(input as never, { ...about, signal: gone }), answerMs, late);
  } finally {
    body.release();
  }
}

type Body =
  | {
      readonly ok: true;
      readonly value: unknown;
      readonly payload: Payload | undefined;
      readonly release: () => void;
    }
  | { readonly ok: false; readonly problem: Problem };

const empty = (): void => undefined;

async function bodyOf(call: Call, route: Route, { config }: Tools, budget: BodyBudget): Promise<Body> {
  const { incoming } = call.env;
  const { payload, body: schema } = route;
  const types = payload === undefined ? (schema === undefined ? null : [jsonType]) : Object.keys(payload.types);
  const isOptional = types === null || (schema?.safeParse(undefined).success === true && !hasBody(incoming));
  if (isOptional) return { ok: true, value: undefined, payload: undefined, release: empty };
  const contentType = (incoming.headers['content-type'] ?? '').split(';', 1)[0]!.trim().toLowerCase();
  if (!types.includes(contentType)) {
    const detail = `Content-Type must be ${types.join(' or ')}`;
    return { ok: false, problem: { code: 'unsupported-media-type', detail } };
  }
  const most = payload === undefined ? maxSmallBodyBytes : payload.maxBytes(config());
  const read = await readBody(incoming, most, budget);
  if (!read.ok) return read;
  const { bytes, release } = read;
  if (payload !== undefined) return { ok: true, value: undefined, payload: { contentType, bytes }, release };
  release();
  const parsed = readJson(bytes);
  if (!parsed.ok) return { ok: false, problem: { code: 'malformed-request', detail: parsed.detail } };
  const checked = check(schema!, parsed.value);
  return checked.ok ? { ok: true, value: checked.value, payload: undefined, release: empty } : checked;
}

const jsonType = 'application/json';

function respond(call: Call, reply: Reply): Response {
  switch (reply.kind) {
    case 'json': {
      const headers = { 'Content-Type': jsonType, ...plainHeaders, ...reply.headers };
      return new Response(`${JSON.stringify(reply.body)}\n`, { status: reply.status, headers });
    }
    case 'empty':
      return new Response(null, { status: reply.status, headers: plainHeaders });
    case 'problem':
      return respondProblem(call, reply.problem);
    case 'streamed':
      return RESPONSE_ALREADY_SENT;
    default:
      return unreachable(reply);
  }
}

function respondProblem(call: Call, problem: Problem, more: Readonly<Record<string, string>> = {}): Response {
  const { status, body, headers } = problemDocument(problem);
  call.env.trace.code = problem.code;
  // What is left of a body that was refused unread would be taken for the next request, and is not waited for.
  const unread = !call.env.incoming.readableEnded && status >= 400 && hasBody(call.env.incoming);
  const all = {
    'Content-Type': 'application/problem+json',
    ...plainHeaders,
    ...headers,
    ...more,
    ...(unread ? { Connection: 'close' } : {}),
  };
  return new Response(`${JSON.stringify(body)}\n`, { status, headers: all });
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}
