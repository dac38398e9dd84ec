/** The span of the routing of a message, and how what is told of a message gets the ids of its span. */
import { idOfIntakeJob } from '../queue/jobs.ts';
import type { IntakeJob } from '../queue/lanes/intake.ts';
import { tracing, type TracedSpan, type TraceIds, type Tracing } from '../tracing/tracing.ts';
import type { Listener, WorkerEvent } from './events.ts';

/** A message that is being routed. */
export interface RouteTrace {
  readonly tracing: Tracing;
  /** The context in which it was sent; that of its routing if none is known. */
  readonly origin: string;
  /** It was routed before, and was sent in this context. */
  replayed(origin: string): void;
}

/** Tools that tell what happens with the ids of a span. */
export function telling<Tools extends { readonly emit: Listener }>(tools: Tools, ids: TraceIds): Tools {
  return { ...tools, emit: (event: WorkerEvent) => tools.emit(event, ids) };
}

/** What routes a message, and may be told of its trace. */
interface RoutingTools {
  readonly emit: Listener;
  readonly now: () => number;
  readonly parentWithinMs: () => number;
  readonly trace?: RouteTrace;
}

/** Where the process traces, within a span; to find that out is all that tracing costs a message where it does not. */
export function routeTraced<Tools extends RoutingTools, Result>(
  job: IntakeJob,
  token: string,
  tools: Tools,
  route: (job: IntakeJob, token: string, tools: Tools) => Promise<Result>,
): Promise<Result> {
  const found = tracing();
  return found === null ? route(job, token, tools) : routeWithin(found, job, token, tools, route);
}

async function routeWithin<Tools extends RoutingTools, Result>(
  found: Tracing,
  job: IntakeJob,
  token: string,
  tools: Tools,
  route: (job: IntakeJob, token: string, tools: Tools) => Promise<Result>,
): Promise<Result> {
  const { id, timestamp, trace } = job;
  const isPart = tools.now() - timestamp <= tools.parentWithinMs();
  const span = found.begin('route outbound', {
    kind: 'consumer',
    parent: isPart ? trace : '',
    links: isPart ? [] : [trace],
    attributes: {
      ...messaging,
      'messaging.operation.name': 'route',
      'messaging.message.id': idOfIntakeJob(id, timestamp),
    },
  });
  let error: string | null = null;
  const emit = (event: WorkerEvent): void => {
    error = noteRouting(span, event) ?? error;
    tools.emit(event, span.ids);
  };
  const own = { tracing: found, origin: trace || span.text, replayed: (origin: string) => span.link(origin) };
  try {
    return await route(job, token, { ...tools, emit, trace: own });
  } catch (thrown) {
    error = 'error';
    throw thrown;
  } finally {
    span.end(error);
  }
}

const messaging = { 'messaging.system': 'postlane', 'messaging.destination.name': 'outbound' } as const;

/** What an event says of the routing of a message. */
function noteRouting(span: TracedSpan, event: WorkerEvent): string | null {
  // oxlint-disable-next-line typescript/switch-exhaustiveness-check -- what else is told says nothing of the routing
  switch (event.event) {
    case 'routed':
      span.set({ 'postlane.connector.id': event.connector, 'postlane.rule': event.rule });
      return null;
    case 'duplicate':
      span.set({ 'postlane.duplicate': true });
      return null;
    case 'dead':
      return event.reason;
    case 'error':
      return 'error';
    default:
      return null;
  }
}
