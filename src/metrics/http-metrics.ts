/** Counts the requests of the HTTP API, by the name of the route and the class of the status: both are sets that are closed. */
import type { Registry } from '@prometheus-io/client';
import type { ProcessEvent } from '../observability/process-events.ts';
import { httpMetrics } from './catalogue.ts';
import { metersOf } from './meters.ts';

type AnsweredRequest = Extract<ProcessEvent, { readonly event: 'request' }>;

/** A stream lasts as long as its client listens, which says nothing of the server. */
const streaming = 'followEvents';

export function createHttpMetrics(registry: Registry): (request: AnsweredRequest) => void {
  const meters = metersOf(httpMetrics, registry);
  return ({ route, status, durationMs }) => {
    meters.http_requests_total.inc({ route, status: `${Math.floor(status / 100)}xx` });
    if (route !== streaming) meters.http_request_duration_seconds.observe(durationMs / 1_000);
  };
}
