/** An SDK of OpenTelemetry that keeps the spans of a test in memory. */
import { context, propagation, trace, type Tracer } from '@opentelemetry/api';
import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node';
import type { ReadableSpan } from '@opentelemetry/sdk-trace-node';
import { onTestFinished } from 'vitest';
import { until } from '../../testkit/until.ts';

export interface Traces {
  readonly tracer: Tracer;
  /** Those that have ended. */
  spans(): ReadableSpan[];
  named(name: string): ReadableSpan[];
  /** Waits until so many of a name have ended. */
  ended(name: string, count?: number): Promise<ReadableSpan[]>;
  /** Indented names: of what belongs to the trace of a span, in the order of their beginning. */
  tree(of: ReadableSpan): string[];
}

/** Registered until the test ends. */
export function traces(): Traces {
  const exporter = new InMemorySpanExporter();
  const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
  provider.register();
  onTestFinished(async () => {
    await provider.shutdown();
    trace.disable();
    context.disable();
    propagation.disable();
  });
  const spans = (): ReadableSpan[] => exporter.getFinishedSpans();
  const named = (name: string): ReadableSpan[] => spans().filter((span) => span.name === name);
  const below = (all: readonly ReadableSpan[], parent: string | undefined, depth: number): string[] =>
    all
      .filter(({ parentSpanContext }) => parentSpanContext?.spanId === parent)
      .flatMap((span) => [`${'  '.repeat(depth)}${span.name}`, ...below(all, span.spanContext().spanId, depth + 1)]);
  return {
    tracer: trace.getTracer('test'),
    spans,
    named,
    ended: (name, count = 1) =>
      until(() => (named(name).length >= count ? named(name) : false), { what: `${count} × ${name}` }) as Promise<
        ReadableSpan[]
      >,
    tree(of) {
      const { traceId } = of.spanContext();
      const all = spans()
        .filter((span) => span.spanContext().traceId === traceId)
        .toSorted((a, b) => a.startTime[0] - b.startTime[0] || a.startTime[1] - b.startTime[1]);
      return below(all, undefined, 0);
    },
  };
}

/** Ids of the spans that a span has links to. */
export function linksOf(span: ReadableSpan): string[] {
  return span.links.map(({ context: linked }) => linked.spanId);
}
