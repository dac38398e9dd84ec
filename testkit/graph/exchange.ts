/** One request from its headers to its end: recorded, faulted as scripted, worked on, answered. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { diagnosticHeaders, graphError } from './answers.ts';
import type { Concurrency } from './concurrency.ts';
import type { Fault, ResetPoint } from './faults.ts';
import {
  bearerToken,
  hideAnswerSecrets,
  hideFormSecrets,
  recordedHeaders,
  type Answer,
  type FakeRequest,
  type OpenRequest,
} from './requests.ts';
import { routeOf, type Route, type Service } from './routes.ts';
import type { Script } from './script.ts';

export interface Work {
  readonly request: FakeRequest;
  readonly route: Route;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  readonly tooLarge: boolean;
}

export interface ExchangeContext {
  readonly service: Service;
  readonly requests: OpenRequest[];
  readonly script: Script;
  readonly concurrency: Concurrency;
  readonly requestBytes: number;
  readonly now: () => number;
  /** Waits before the work is done; for requests that take their time. */
  readonly delay: ((request: FakeRequest) => Promise<void>) | null;
  readonly describeToken: (token: string) => string;
  readonly appOf: (token: string) => string | null;
  readonly mailboxOf: (user: string) => string;
  readonly reset: (request: IncomingMessage) => void;
  readonly work: (work: Work) => Promise<Answer>;
}

export async function serveExchange(
  req: IncomingMessage,
  res: ServerResponse,
  context: ExchangeContext,
): Promise<void> {
  const { request, route } = record(req, context);
  const leave = enter(request, res, context);
  const fault = context.script.take(request);
  request.fault = fault?.name ?? null;
  req.on('error', () => undefined);
  res.on('error', () => undefined);

  if (stopsAt(fault, 'before-body', req, context)) return;
  const body = await readBody(req, context, fault);
  if (body === null) return;
  request.body = request.operation === 'token' ? hideFormSecrets(body.bytes) : body.bytes;
  if (stopsAt(fault, 'after-body', req, context)) return;

  // With the token's name only: no handler of a request needs its value.
  const { headers } = request;
  const work = { request, route, headers, body: body.bytes, tooLarge: body.tooLarge };
  const answer = leave.refused ? tooMany() : await workOrFault(work, fault, context);
  if (stopsAt(fault, 'after-work', req, context)) return;
  const shown = fault?.kind === 'after-work' ? fault.answer(context.now()) : answer;
  const extra = fault?.kind === 'add-headers' ? fault.headers : {};
  const final = {
    ...shown,
    headers: { ...diagnosticHeaders(headers['client-request-id']), ...shown.headers, ...extra },
  };
  // Before the client can know of the answer: its next request must find room.
  leave();
  send(final, req, res, fault, context);
  request.answer = { ...final, body: hideAnswerSecrets(final.body), at: context.now() };
}

async function workOrFault(work: Work, fault: Fault | null, context: ExchangeContext): Promise<Answer> {
  await context.delay?.(work.request);
  return fault?.kind === 'instead' ? fault.answer(context.now()) : context.work(work);
}

function record(req: IncomingMessage, context: ExchangeContext): { request: OpenRequest; route: Route } {
  const [method, path] = [req.method ?? '', req.url ?? ''];
  const route = routeOf(context.service, method, path);
  const token = bearerToken(req.headers.authorization);
  const { user } = route.parameters;
  const request: OpenRequest = {
    serial: context.requests.length + 1,
    at: context.now(),
    operation: route.operation,
    method,
    path,
    headers: recordedHeaders(req.headers, context.describeToken),
    app: token === null ? null : context.appOf(token),
    mailbox: user === undefined ? null : context.mailboxOf(user),
    body: Buffer.alloc(0),
    answer: null,
    fault: null,
  };
  context.requests.push(request);
  return { request, route };
}

/** Counts the request until it is answered or its connection ends. */
function enter(
  { app, mailbox }: FakeRequest,
  res: ServerResponse,
  { concurrency }: ExchangeContext,
): (() => void) & { refused: boolean } {
  if (app === null || mailbox === null) return Object.assign(() => undefined, { refused: false });
  const key = concurrencyKey(app, mailbox);
  const refused = !concurrency.enter(key);
  let inside = true;
  const leave = (): void => {
    if (inside) concurrency.leave(key);
    inside = false;
  };
  res.once('close', leave);
  return Object.assign(leave, { refused });
}

export function concurrencyKey(app: string, mailbox: string): string {
  return `${app.toLowerCase()} ${mailbox.toLowerCase()}`;
}

function tooMany(): Answer {
  const text = 'Application is over its MailboxConcurrency limit.';
  return graphError(429, 'ApplicationThrottled', text, { 'retry-after': '1' });
}

/** True if the request goes no further: it is reset, or left without an answer until the client or the test ends it. */
function stopsAt(fault: Fault | null, at: ResetPoint, req: IncomingMessage, context: ExchangeContext): boolean {
  if ((fault?.kind !== 'reset' && fault?.kind !== 'hang') || fault.at !== at) return false;
  if (fault.kind === 'reset') context.reset(req);
  return true;
}

/** Null if the connection ended before the body did. Beyond the limit nothing is kept. */
async function readBody(
  req: IncomingMessage,
  context: ExchangeContext,
  fault: Fault | null,
): Promise<{ bytes: Buffer; tooLarge: boolean } | null> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of req as AsyncIterable<Buffer>) {
      if (stopsAt(fault, 'mid-body', req, context)) return null;
      size += chunk.length;
      if (size <= context.requestBytes) chunks.push(chunk);
    }
  } catch {
    return null;
  }
  return { bytes: Buffer.concat(chunks), tooLarge: size > context.requestBytes };
}

function send(
  answer: Answer,
  req: IncomingMessage,
  res: ServerResponse,
  fault: Fault | null,
  context: ExchangeContext,
): void {
  if (res.destroyed) return;
  const body = answer.octets ?? Buffer.from(answer.body);
  if (fault?.kind === 'reset' && fault.at === 'mid-response') {
    // More is promised than will come, and what there is has to be on the wire before the RST.
    res.writeHead(answer.status, { ...answer.headers, 'content-length': String(body.length + 1000) });
    res.write(body.length > 0 ? body : ' ', () => context.reset(req));
    return;
  }
  if (fault?.kind === 'cut') {
    res.writeHead(answer.status, { ...answer.headers, 'content-length': String(body.length) });
    res.write(body.subarray(0, Math.ceil(body.length / 2)), () => res.destroy());
    return;
  }
  res.writeHead(answer.status, {
    ...answer.headers,
    ...(answer.status === 204 ? {} : { 'content-length': String(body.length) }),
  });
  res.end(body);
}
