/** The span of a request to the API: a part of the trace that its client names, so that a message belongs to the request that sent it. */
import type { IncomingHttpHeaders } from 'node:http';
import { readContext, textOf } from '../../tracing/context.ts';
import { isInSpan, tracing, type TracedSpan } from '../../tracing/tracing.ts';
import type { Route } from './route.ts';

/** null without an SDK, or an instrumentation of HTTP has begun a span already. */
export function beginRequest(
  { method, path }: Pick<Route, 'method' | 'path'>,
  { traceparent, tracestate }: IncomingHttpHeaders,
): TracedSpan | null {
  const found = tracing();
  if (found === null || isInSpan()) return null;
  return found.begin(`${method} ${path}`, {
    kind: 'server',
    parent: textOf(readContext(traceparent, tracestate)),
    attributes: { 'http.request.method': method, 'http.route': path },
  });
}

export async function answerTraced(span: TracedSpan, answer: () => Promise<Response>): Promise<Response> {
  try {
    const response = await span.run(answer);
    span.set({ 'http.response.status_code': response.status });
    span.end(response.status >= 500 ? String(response.status) : null);
    return response;
  } catch (thrown) {
    span.end('error');
    throw thrown;
  }
}
