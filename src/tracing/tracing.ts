/**
 * Spans of OpenTelemetry, where the process has an SDK: `tracing()` says whether, and is the one check that a message costs without one.
 * No other room knows the package, and nothing here decides what is traced.
 */
import {
  context,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  type Context,
  type Span,
  type Tracer,
} from '@opentelemetry/api';
import { parentOf, readText, textOf } from './context.ts';

/** Of a span, for the log. */
export interface TraceIds {
  readonly traceId: string;
  readonly spanId: string;
  /** 1 if it is sampled. */
  readonly flags: number;
}

export type Attributes = Readonly<Record<string, string | number | boolean>>;

interface SpanOptions {
  readonly kind: 'producer' | 'consumer' | 'client' | 'server';
  /** What it is a part of: what is active here, or a context as text; '' begins a trace. */
  readonly parent: 'active' | (string & {});
  /** Contexts as text; those that are none are left out. */
  readonly links?: readonly string[];
  readonly attributes?: Attributes;
}

export interface TracedSpan {
  readonly ids: TraceIds;
  /** Its context as text, with tracestate, and without. */
  readonly text: string;
  readonly traceparent: string;
  set(attributes: Attributes): void;
  link(text: string): void;
  event(name: string): void;
  /** Runs something as a part of it: what it begins, here or in a library, belongs to it. */
  run<T>(work: () => T): T;
  /** Begins the span of something that is asked of a server. `startedAt` in ms since the epoch; default: now. */
  child(name: string, attributes: Attributes, startedAt?: number): TracedSpan;
  /** `error`: the class of a failure, if there was one. `endedAt` in ms since the epoch; default: now. One that is never ended is never told. */
  end(error?: string | null, endedAt?: number): void;
}

export interface Tracing {
  begin(name: string, options: SpanOptions): TracedSpan;
}

const kinds = {
  producer: SpanKind.PRODUCER,
  consumer: SpanKind.CONSUMER,
  client: SpanKind.CLIENT,
  server: SpanKind.SERVER,
} as const;

/** null where no SDK is registered: a look at a global, without an allocation. */
export function tracing(): Tracing | null {
  const tracer = registeredTracer();
  return tracer === null ? null : tracingBy(tracer);
}

/** A function of its own: what a closure takes with it is allocated where its function begins, also if none is made. */
function tracingBy(tracer: Tracer): Tracing {
  return { begin: (name, options) => begin(tracer, name, options) };
}

/** Whether something here has begun a span that is going on, as an instrumentation of HTTP does. */
export function isInSpan(): boolean {
  return trace.getActiveSpan() !== undefined;
}

/** Has the SDK hand over what it holds. A process that ends calls it; where there is no SDK, it does nothing. */
export async function flushTraces(): Promise<void> {
  const provider: object = trace.getTracerProvider();
  const sdk: unknown = 'getDelegate' in provider ? (provider as { getDelegate(): unknown }).getDelegate() : provider;
  const { forceFlush } = Object(sdk) as { forceFlush?: unknown };
  if (typeof forceFlush !== 'function') return;
  try {
    await forceFlush.call(sdk);
  } catch {
    // A collector that is away keeps no process from its end.
  }
}

/** The API hands out a proxy, which has a delegate once there is an SDK; that may come after the first message. */
function registeredTracer(): Tracer | null {
  const provider: object = trace.getTracerProvider();
  if ('getDelegateTracer' in provider) {
    return (provider as { getDelegateTracer(name: string): Tracer | undefined }).getDelegateTracer(scope) ?? null;
  }
  return (provider as { getTracer(name: string): Tracer }).getTracer(scope);
}

/** Names the instrumentation. */
const scope = 'postlane';

function begin(tracer: Tracer, name: string, { kind, parent, links = [], attributes = {} }: SpanOptions): TracedSpan {
  const within = parent === 'active' ? context.active() : remote(parent);
  const found = links.flatMap((text) => readText(text) ?? []).map((each) => ({ context: each }));
  const span = tracer.startSpan(name, { kind: kinds[kind], attributes, links: found }, within);
  return wrap(tracer, span, trace.setSpan(within, span));
}

/** Not what is active: a worker may have been started within a span of its application. */
function remote(text: string): Context {
  const parent = readText(text);
  return parent === null ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, parent);
}

function wrap(tracer: Tracer, span: Span, within: Context): TracedSpan {
  const own = span.spanContext();
  return {
    ids: { traceId: own.traceId, spanId: own.spanId, flags: own.traceFlags },
    text: textOf(own),
    traceparent: parentOf(own),
    set: (attributes) => void span.setAttributes(attributes),
    link(text) {
      const linked = readText(text);
      if (linked !== null) span.addLink({ context: linked });
    },
    event: (name) => void span.addEvent(name),
    run: (work) => context.with(within, work),
    child(name, attributes, startTime) {
      const options = { kind: SpanKind.CLIENT, attributes, ...(startTime === undefined ? {} : { startTime }) };
      const child = tracer.startSpan(name, options, within);
      return wrap(tracer, child, trace.setSpan(within, child));
    },
    end(error, endedAt) {
      if (error !== undefined && error !== null) {
        span.setAttribute('error.type', error);
        span.setStatus({ code: SpanStatusCode.ERROR });
      }
      span.end(endedAt);
    },
  };
}
