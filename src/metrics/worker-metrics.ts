/** Counts what a worker's events say, and shows what it has in hand at the time of a scrape. Nothing here knows a connector by name. */
import type { Registry } from '@prometheus-io/client';
import type { AttemptOutcome, WorkerEvent } from '../worker/events.ts';
import type { Health, Load } from '../worker/vitals.ts';
import { workerMetrics } from './catalogue.ts';
import { faultClasses } from './fault-classes.ts';
import { metersOf, type Meters } from './meters.ts';

export interface WorkerMetricsOptions {
  readonly registry: Registry;
  /** `smtp` or `graph`; null where the connector is gone. */
  readonly transportOf: (connectorId: string) => string | null;
}

export interface WorkerMetrics {
  readonly onEvent: (event: WorkerEvent) => void;
  /** Sets the gauges. */
  show(health: Health, load: Load): void;
}

/** The values of labels that are known before anything happens, so that a rule sees the first increase from 0. */
const known = {
  transport: ['smtp', 'graph'],
  outcome: [
    'accepted',
    'partial',
    'deferred',
    'rejected',
    'uncertain',
    'set-aside',
    'fault',
    'stopped',
  ] satisfies AttemptOutcome[],
  recipients: ['accepted', 'deferred', 'rejected', 'uncertain', 'redirected', 'suppressed'],
  state: ['sent', 'partial', 'dead'],
  reason: ['rejected', 'expired', 'no-route', 'invalid-message', 'too-large', 'uncertain', 'stalled', 'suppressed'],
  rule: ['exact', 'domain', 'default', 'via'],
  way: ['out', 'back'],
  fault: faultClasses,
  token: ['ok', ...faultClasses],
  priority: ['high', 'normal', 'low'],
} as const;

/** Whatever the value is, no series is made that is not in the list. */
function oneOf(values: readonly string[], value: string | null): string {
  return value !== null && values.includes(value) ? value : 'other';
}

export function createWorkerMetrics({ registry, transportOf }: WorkerMetricsOptions): WorkerMetrics {
  const meters = metersOf(workerMetrics, registry);
  prepare(meters);
  const onAttempt = (event: Extract<WorkerEvent, { readonly event: 'attempt' }>): void => {
    const transport = oneOf(known.transport, transportOf(event.connector));
    meters.attempts_total.inc({ transport, outcome: event.outcome });
    if (event.accepted > 0) meters.recipients_total.inc({ outcome: 'accepted' }, event.accepted);
    if (event.deferred > 0) meters.recipients_total.inc({ outcome: 'deferred' }, event.deferred);
    if (event.rejected > 0) meters.recipients_total.inc({ outcome: 'rejected' }, event.rejected);
    if (event.uncertain > 0) meters.recipients_total.inc({ outcome: 'uncertain' }, event.uncertain);
    if (event.durationMs === null) return;
    meters.attempt_duration_seconds.observe({ transport }, event.durationMs / 1_000);
    meters.message_bytes.observe({ transport }, event.bytes);
    if (event.waitMs !== null) meters.queue_wait_seconds.observe({ priority: event.priority }, event.waitMs / 1_000);
  };
  return {
    onEvent(event) {
      // What is not here is not counted: a wait, or the other half of something that is.
      // oxlint-disable-next-line typescript/switch-exhaustiveness-check -- events that are not counted are many
      switch (event.event) {
        case 'attempt':
          return onAttempt(event);
        case 'sent':
          if (event.state === 'sent') meters.messages_settled_total.inc({ state: 'sent' });
          if (event.latencyMs !== null) {
            meters.delivery_latency_seconds.observe({ priority: event.priority }, event.latencyMs / 1_000);
          }
          return;
        case 'dead':
          meters.dead_letters_total.inc({ reason: event.reason });
          meters.messages_settled_total.inc({ state: oneOf(known.state, event.state) });
          return;
        case 'redirected':
        case 'suppressed':
          return meters.recipients_total.inc({ outcome: event.event }, event.recipients);
        case 'routed':
          return meters.messages_routed_total.inc({ rule: oneOf(known.rule, event.rule) });
        case 'invalid':
          return meters.messages_invalid_total.inc();
        case 'key-missing':
          return meters.messages_without_key_total.inc(event.messages);
        case 'duplicate':
          return meters.messages_duplicate_total.inc();
        case 'held':
          return meters.messages_held_total.inc();
        case 'connector-fault':
          return meters.connector_faults_total.inc({ fault: oneOf(known.fault, event.fault) });
        case 'fell-back':
          return meters.fallback_messages_total.inc({ way: event.back ? 'back' : 'out' }, event.messages);
        case 'token':
          return meters.token_requests_total.inc({
            provider: event.provider,
            outcome: oneOf(known.token, event.outcome),
          });
        case 'error':
          return meters.errors_total.inc();
        default:
      }
    },

    show({ idleForMs }, load) {
      meters.slots.set(load.slots);
      meters.slots_busy.set(load.slotsBusy);
      meters.inflight_bytes.set(load.bytesInFlight);
      meters.inflight_limit_bytes.set(load.maxBytesInFlight);
      meters.sessions_open.set(load.sessions);
      meters.loop_idle_seconds.set(idleForMs / 1_000);
      meters.redis_reconnects_total.reset();
      meters.redis_reconnects_total.inc(load.redisReconnects);
    },
  };
}

function prepare(meters: Meters<typeof workerMetrics>): void {
  for (const transport of known.transport) {
    for (const outcome of known.outcome) meters.attempts_total.inc({ transport, outcome }, 0);
    meters.attempt_duration_seconds.zero({ transport });
    meters.message_bytes.zero({ transport });
  }
  for (const outcome of known.recipients) meters.recipients_total.inc({ outcome }, 0);
  for (const state of known.state) meters.messages_settled_total.inc({ state }, 0);
  for (const reason of known.reason) meters.dead_letters_total.inc({ reason }, 0);
  for (const rule of known.rule) meters.messages_routed_total.inc({ rule }, 0);
  for (const way of known.way) meters.fallback_messages_total.inc({ way }, 0);
  for (const fault of known.fault) meters.connector_faults_total.inc({ fault }, 0);
  for (const priority of known.priority) {
    meters.delivery_latency_seconds.zero({ priority });
    meters.queue_wait_seconds.zero({ priority });
  }
}
