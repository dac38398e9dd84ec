/**
 * Every metric of Postlane: its name (after `postlane_`), type, labels and meaning, as docs/metrics.md lists them. Labels of what a
 * worker counts have closed sets of values; `connector` is a label of gauges of the fleet alone, which bound it.
 */
import { bouncesMetrics, outboxMetrics } from './entry-tables.ts';

export interface Definition {
  readonly type: 'counter' | 'gauge' | 'histogram';
  /** `process`: every process has it. `worker`, `http`, `submission`, `bounces`, `outbox`: each such process its own. `fleet`: one process for all. */
  readonly scope: 'process' | 'worker' | 'http' | 'submission' | 'bounces' | 'outbox' | 'fleet';
  readonly labels: readonly string[];
  readonly help: string;
  /** Upper bounds. */
  readonly buckets?: readonly number[];
}

const durations = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600];
/** Of a message: the objective is 5 minutes, the lifetime a day. */
const latencies = [0.05, 0.25, 1, 5, 15, 60, 300, 900, 3_600, 14_400, 86_400];
const sizes = [1e3, 1e4, 1e5, 1e6, 5e6, 1e7, 2.5e7];

type Table = Readonly<Record<string, Omit<Definition, 'scope'>>>;

const none: readonly string[] = [];

export const processMetrics = {
  build_info: {
    type: 'gauge',
    labels: ['version', 'node'],
    help: 'Always 1; the labels are the releases of Postlane and Node.',
  },
  ready: { type: 'gauge', labels: none, help: '1 while the process serves, 0 while it starts or stops.' },
  redis_up: { type: 'gauge', labels: none, help: '1 while the process reaches Redis.' },
  config_last_reload_successful: {
    type: 'gauge',
    labels: none,
    help: '0 after a changed configuration had mistakes; the old one stays in force.',
  },
  config_last_reload_success_timestamp_seconds: {
    type: 'gauge',
    labels: none,
    help: 'When the configuration in force was read.',
  },
} as const satisfies Table;

export const workerMetrics = {
  attempts_total: { type: 'counter', labels: ['transport', 'outcome'], help: 'Attempts, by what they came to.' },
  recipients_total: {
    type: 'counter',
    labels: ['outcome'],
    help: 'Recipients, by what the server said of each attempt; those who were redirected or suppressed once their message ends.',
  },
  messages_settled_total: {
    type: 'counter',
    labels: ['state'],
    help: 'Messages that reached their end, by state; cancelled ones are not counted.',
  },
  dead_letters_total: { type: 'counter', labels: ['reason'], help: 'New dead letters.' },
  messages_routed_total: {
    type: 'counter',
    labels: ['rule'],
    help: 'Messages that entered the lane of a connector, by the rule that chose it.',
  },
  messages_invalid_total: { type: 'counter', labels: none, help: 'Jobs that are no valid message.' },
  messages_without_key_total: { type: 'counter', labels: none, help: 'Messages whose key is not here, at each look.' },
  messages_duplicate_total: { type: 'counter', labels: none, help: 'Messages whose id was in use.' },
  messages_held_total: { type: 'counter', labels: none, help: 'Messages that began to wait for an operator.' },
  connector_faults_total: { type: 'counter', labels: ['fault'], help: 'Faults of connectors; each pauses a lane.' },
  fallback_messages_total: {
    type: 'counter',
    labels: ['way'],
    help: 'Messages that entered the lane of a fallback (`out`), or came back from it unsent (`back`).',
  },
  token_requests_total: {
    type: 'counter',
    labels: ['provider', 'outcome'],
    help: 'Requests for access tokens, by what they came to: `ok`, or a fault.',
  },
  errors_total: { type: 'counter', labels: none, help: 'Unexpected errors; the work is repeated.' },
  attempt_duration_seconds: {
    type: 'histogram',
    labels: ['transport'],
    buckets: durations,
    help: 'From the fence to the result.',
  },
  delivery_latency_seconds: {
    type: 'histogram',
    labels: ['priority'],
    buckets: latencies,
    help: 'From acceptance (or sendAt) until a server accepted the message for its first recipient.',
  },
  queue_wait_seconds: {
    type: 'histogram',
    labels: ['priority'],
    buckets: latencies,
    help: 'From the time at which an attempt was due to its fence.',
  },
  message_bytes: { type: 'histogram', labels: ['transport'], buckets: sizes, help: 'Size of the mail of an attempt.' },
  slots: { type: 'gauge', labels: none, help: 'Messages that the process can send at once.' },
  slots_busy: { type: 'gauge', labels: none, help: 'Messages that it is sending.' },
  inflight_bytes: {
    type: 'gauge',
    labels: none,
    help: 'Bytes of mail that it holds, those of small messages not counted.',
  },
  inflight_limit_bytes: { type: 'gauge', labels: none, help: 'Bytes of mail that it may hold.' },
  sessions_open: { type: 'gauge', labels: none, help: 'Leases of SMTP sessions that it has.' },
  loop_idle_seconds: { type: 'gauge', labels: none, help: 'Since the loop of its scheduler last turned.' },
  redis_reconnects_total: {
    type: 'counter',
    labels: none,
    help: 'Connections to Redis that were lost or could not be made.',
  },
} as const satisfies Table;

export const httpMetrics = {
  http_requests_total: {
    type: 'counter',
    labels: ['route', 'status'],
    help: 'Requests of the HTTP API that were answered, by the name of the operation and the class of the status.',
  },
  http_request_duration_seconds: {
    type: 'histogram',
    labels: none,
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    help: 'From the first byte of a request to the last of its answer; streams of events are left out.',
  },
} as const satisfies Table;

export const submissionMetrics = {
  smtp_submissions_total: {
    type: 'counter',
    labels: ['outcome'],
    help: 'Messages that were submitted by SMTP, and what was refused to clients, by reason.',
  },
  smtp_logins_failed_total: { type: 'counter', labels: ['reason'], help: 'Logins that failed, by reason.' },
  smtp_reply_seconds: {
    type: 'histogram',
    labels: none,
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20],
    help: 'From the end of data to the reply that the message is queued.',
  },
  smtp_clients: { type: 'gauge', labels: none, help: 'Connections of clients.' },
  smtp_clients_limit: { type: 'gauge', labels: none, help: 'Connections of clients that the process takes.' },
  smtp_held_bytes: { type: 'gauge', labels: none, help: 'Bytes of messages that are not in Redis yet.' },
  smtp_held_limit_bytes: { type: 'gauge', labels: none, help: 'Bytes of such messages that the process may hold.' },
} as const satisfies Table;

export const fleetMetrics = {
  intake_messages: { type: 'gauge', labels: ['state'], help: 'Messages that wait to be routed.' },
  unsettled_messages: { type: 'gauge', labels: none, help: 'Messages that are routed and not at their end.' },
  due_messages: {
    type: 'gauge',
    labels: none,
    help: 'Messages that could be worked on now: nothing but a free worker is missing.',
  },
  dead_letters: { type: 'gauge', labels: none, help: 'Dead letters that are kept, those of held messages included.' },
  held_messages: { type: 'gauge', labels: none, help: 'Messages that wait for an operator.' },
  set_aside_messages: {
    type: 'gauge',
    labels: none,
    help: 'Refused messages of which it is open whose fault that is.',
  },
  oldest_waiting_seconds: {
    type: 'gauge',
    labels: none,
    help: 'Age of the oldest message that waits in a lane which is not paused.',
  },
  next_deadline_seconds: { type: 'gauge', labels: none, help: 'Until the next message that is not settled expires.' },
  workers: { type: 'gauge', labels: none, help: 'Workers that serve.' },
  connectors: { type: 'gauge', labels: ['waiting_for'], help: 'Connectors that send, by what they wait for.' },
  connectors_with_fault: {
    type: 'gauge',
    labels: ['fault'],
    help: 'Connectors with a fault that no success has followed yet.',
  },
  connectors_omitted: {
    type: 'gauge',
    labels: none,
    help: 'Connectors that are not idle and have no series of their own, or whose lane cannot be read.',
  },
  connector_waiting_messages: {
    type: 'gauge',
    labels: ['connector'],
    help: 'Messages of the lane that could be taken, but for limits, pauses and faults.',
  },
  connector_active_messages: { type: 'gauge', labels: ['connector'], help: 'Messages that workers have taken.' },
  connector_delayed_messages: {
    type: 'gauge',
    labels: ['connector'],
    help: 'Messages that wait for the time of their next attempt.',
  },
  connector_oldest_waiting_seconds: {
    type: 'gauge',
    labels: ['connector'],
    help: 'Age of the oldest message that waits.',
  },
  connector_sent_total: {
    type: 'counter',
    labels: ['connector'],
    help: 'Transactions that reached a recipient, since ever.',
  },
  connector_concurrency: { type: 'gauge', labels: ['connector'], help: 'Messages that may be sent at once now.' },
  connector_paused: { type: 'gauge', labels: ['connector'], help: '1 while an operator holds the lane.' },
  connector_breaker_open: {
    type: 'gauge',
    labels: ['connector', 'fault'],
    help: '1 while the connector has a fault that no success has followed yet.',
  },
  connector_on_fallback: {
    type: 'gauge',
    labels: ['connector'],
    help: '1 while mail of the connector goes by its fallback.',
  },
  connector_set_aside_messages: {
    type: 'gauge',
    labels: ['connector'],
    help: 'Refused messages of which it is open whose fault that is.',
  },
  connector_learned_messages_per_second: {
    type: 'gauge',
    labels: ['connector'],
    help: 'Rate that the server was found to bear.',
  },
  connector_quota_used_ratio: {
    type: 'gauge',
    labels: ['connector', 'quota'],
    help: 'Used part of the limit of a day or window.',
  },
  credential_expiry_timestamp_seconds: {
    type: 'gauge',
    labels: ['connector'],
    help: 'End of the certificate, or of the day that `expires` gives; the next 100.',
  },
  events_bytes: { type: 'gauge', labels: none, help: 'Memory of events that a consumer has not read.' },
  events_unread: { type: 'gauge', labels: none, help: 'Events that a consumer has not read.' },
  events_dropped_total: {
    type: 'counter',
    labels: none,
    help: 'Events that were dropped before every consumer had read them, since ever.',
  },
  webhook_deliveries_total: {
    type: 'counter',
    labels: ['webhook', 'outcome'],
    help: 'Attempts to deliver an event to a webhook, by what they came to, since ever.',
  },
  webhook_open_deliveries: {
    type: 'gauge',
    labels: ['webhook'],
    help: 'Events that are to be delivered to a webhook.',
  },
  webhook_oldest_seconds: {
    type: 'gauge',
    labels: ['webhook'],
    help: 'Age of the oldest of them; 0 if there is none.',
  },
  webhook_dead_letters: { type: 'gauge', labels: ['webhook'], help: 'Events that were given up, and are kept.' },
  webhook_off: {
    type: 'gauge',
    labels: ['webhook', 'reason'],
    help: '1 while a webhook is switched off.',
  },
  redis_memory_used_bytes: { type: 'gauge', labels: none, help: 'Memory of the fullest Redis master.' },
  redis_memory_max_bytes: { type: 'gauge', labels: none, help: 'Its maxmemory; 0 is none.' },
  redis_aof_ok: { type: 'gauge', labels: none, help: '1 if every master writes an append-only file, without errors.' },
  redis_replicas: { type: 'gauge', labels: none, help: 'Replicas of the master that has the fewest.' },
} as const satisfies Table;

/** The prefix of every name. */
export const namespace = 'postlane_';

/** All of them, in the order of the documentation. */
export function allMetrics(): readonly (Definition & { readonly name: string })[] {
  const of = (scope: Definition['scope'], table: Table) =>
    Object.entries(table).map(([name, definition]) => ({ name: `${namespace}${name}`, scope, ...definition }));
  return [
    ...of('process', processMetrics),
    ...of('worker', workerMetrics),
    ...of('http', httpMetrics),
    ...of('submission', submissionMetrics),
    ...of('bounces', bouncesMetrics),
    ...of('outbox', outboxMetrics),
    ...of('fleet', fleetMetrics),
  ];
}
