/**
 * Event → its line in the log: level, text and fields. The table is closed: an event that is missing does not compile, and a
 * field that is missing is not logged. `docs/operations.md` has the same table.
 */
import type { BouncesEvent } from '../bounces/events.ts';
import type { OutboxEvent } from '../outbox/events.ts';
import type { SubmissionEvent } from '../submission/events.ts';
import type { WorkerEvent } from '../worker/events.ts';
import type { ProcessEvent } from './process-events.ts';

export type LogEvent = WorkerEvent | ProcessEvent | SubmissionEvent | BouncesEvent | OutboxEvent;
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

interface Line<Event> {
  readonly level: LogLevel;
  readonly text: string;
  readonly fields: readonly FieldOf<Event>[];
}

/** Several processes say `ready` and `stopped`, each with what it has to say. */
type FieldOf<Event> = Event extends unknown ? Exclude<keyof Event, 'event'> : never;

type LogTable = { readonly [Name in LogEvent['event']]: Line<Extract<LogEvent, { readonly event: Name }>> };

export const logTable: LogTable = {
  starting: { level: 'info', text: 'starting', fields: ['config', 'connectors', 'node'] },
  'start-failed': { level: 'error', text: 'cannot start', fields: ['detail'] },
  ready: { level: 'info', text: 'serving', fields: ['connectors', 'slots', 'database'] },
  draining: { level: 'info', text: 'stopping: running attempts may finish', fields: ['running'] },
  stopped: { level: 'info', text: 'stopped', fields: ['drained'] },
  signal: { level: 'info', text: 'signal received', fields: ['signal'] },
  'health-listening': { level: 'info', text: 'health check listening', fields: ['host', 'port'] },

  'metrics-listening': { level: 'info', text: 'metrics listening', fields: ['host', 'port'] },
  'metrics-unavailable': {
    level: 'warn',
    text: 'metrics cannot listen; trying again',
    fields: ['host', 'port', 'detail'],
  },
  serving: { level: 'info', text: 'serving the API, health and metrics', fields: ['host', 'port'] },
  request: {
    level: 'info',
    text: 'request answered',
    fields: ['method', 'route', 'status', 'code', 'durationMs', 'tokenId', 'client', 'id'],
  },
  'operation-failed': { level: 'warn', text: 'operation could not go on', fields: ['detail'] },
  'request-failed': { level: 'error', text: 'request failed within the server', fields: ['route', 'detail'] },
  served: { level: 'info', text: 'no longer serving', fields: [] },

  'webhook-failed': { level: 'warn', text: 'a webhook fails; retrying', fields: ['webhook', 'reason'] },
  'webhook-recovered': { level: 'info', text: 'a webhook works again', fields: ['webhook', 'failures'] },
  'webhook-dead': {
    level: 'warn',
    text: 'an event could not be delivered: kept as a dead letter of its webhook',
    fields: ['webhook', 'eventId', 'reason'],
  },
  'webhook-off': {
    level: 'error',
    text: 'a webhook is switched off: `postlane webhooks enable` switches it on again',
    fields: ['webhook', 'reason'],
  },
  'webhook-error': { level: 'warn', text: 'webhook could not go on; trying again', fields: ['webhook', 'detail'] },

  'smtp-listening': { level: 'info', text: 'taking mail by SMTP', fields: ['host', 'port', 'security'] },
  submitted: {
    level: 'info',
    text: 'taken',
    fields: ['id', 'user', 'address', 'bytes', 'recipients', 'duplicate', 'durationMs'],
  },
  'submission-refused': {
    level: 'info',
    text: 'refused',
    fields: ['user', 'address', 'reason', 'code', 'detail'],
  },
  'login-failed': { level: 'warn', text: 'login failed', fields: ['user', 'address', 'reason'] },
  'submission-aborted': {
    level: 'info',
    text: 'the client broke off; nothing was stored',
    fields: ['user', 'address', 'bytes'],
  },
  'smtp-client-error': { level: 'debug', text: 'the connection of a client failed', fields: ['address', 'detail'] },
  'smtp-draining': { level: 'info', text: 'taking no more mail by SMTP', fields: ['clients'] },
  'smtp-stopped': { level: 'info', text: 'no longer taking mail by SMTP', fields: ['drained'] },

  'outbox-relayed': {
    level: 'info',
    text: 'rows of the outbox enqueued',
    fields: ['relayed', 'duplicates', 'deferred', 'durationMs'],
  },
  'outbox-problem': {
    level: 'warn',
    text: 'row of the outbox cannot be enqueued: `postlane outbox list`',
    fields: ['id', 'problem', 'issues'],
  },
  'outbox-held': {
    level: 'error',
    text: 'rows of the outbox wait: nothing can be enqueued; trying again',
    fields: ['code', 'detail', 'waitMs'],
  },
  'outbox-database-away': {
    level: 'error',
    text: 'database of the outbox cannot be used; trying again',
    fields: ['detail', 'waitMs'],
  },
  'outbox-database-back': { level: 'info', text: 'database of the outbox can be used again', fields: [] },

  'config-applied': { level: 'info', text: 'new configuration in use', fields: ['connectors'] },
  'config-unchanged': { level: 'info', text: 'configuration reloaded: no changes', fields: [] },
  'config-warning': {
    level: 'warn',
    text: 'configuration: probably not intended',
    fields: ['key', 'rule', 'message', 'file', 'line'],
  },
  'ends-soon': {
    level: 'warn',
    text: 'a credential, certificate or token ends soon',
    fields: ['key', 'endsAt', 'days'],
  },
  'config-rejected': {
    level: 'error',
    text: 'configuration rejected; the previous one stays in use',
    fields: ['mistakes'],
  },
  'restart-needed': { level: 'warn', text: 'these settings take effect at the next start', fields: ['keys'] },

  'redis-warning': {
    level: 'warn',
    text: 'Redis is configured in a way that can lose mail',
    fields: ['setting', 'detail'],
  },
  'redis-error': { level: 'error', text: 'Redis cannot be reached; retrying', fields: ['detail'] },

  'redis-full': {
    level: 'error',
    text: 'Redis has no room for new messages; they are refused',
    fields: ['usedBytes', 'maxBytes', 'reservedBytes'],
  },
  'redis-room': {
    level: 'info',
    text: 'Redis has room for new messages again',
    fields: ['usedBytes', 'maxBytes', 'reservedBytes'],
  },

  routed: { level: 'info', text: 'routed', fields: ['id', 'connector', 'rule'] },
  duplicate: { level: 'info', text: 'dropped: this id was accepted before', fields: ['id', 'state'] },
  'format-newer': {
    level: 'warn',
    text: 'written by a newer release: waiting for a worker that knows it',
    fields: ['id', 'version'],
  },
  'key-missing': {
    level: 'error',
    text: 'messages wait: the key that they are sealed with is not in the configuration of this worker',
    fields: ['key', 'messages', 'id', 'connector'],
  },
  'format-known': { level: 'info', text: 'the stored data is of a known form again: serving', fields: [] },
  invalid: { level: 'warn', text: 'job is not a valid message', fields: ['id', 'issues'] },
  attempt: {
    level: 'debug',
    text: 'attempt',
    fields: [
      'id',
      'connector',
      'outcome',
      'waitMs',
      'durationMs',
      'server',
      'bytes',
      'accepted',
      'deferred',
      'rejected',
      'uncertain',
    ],
  },
  sent: {
    level: 'info',
    text: 'sent',
    fields: ['id', 'connector', 'attempt', 'recipients', 'durationMs', 'reply'],
  },
  deferred: {
    level: 'info',
    text: 'deferred: will be retried',
    fields: ['id', 'connector', 'attempt', 'recipients', 'retryInMs', 'code', 'reply'],
  },
  'set-aside': {
    level: 'info',
    text: 'refused: set aside until other messages show whether the message or the connector is at fault',
    fields: ['id', 'connector', 'recipients', 'retryInMs', 'code', 'reply'],
  },
  dead: {
    level: 'warn',
    text: 'dead letter',
    fields: ['id', 'connector', 'reason', 'recipients', 'code', 'reply'],
  },
  redirected: {
    level: 'info',
    text: 'redirected: recipients who are not in delivery.allowRecipients',
    fields: ['id', 'connector', 'recipients'],
  },
  suppressed: {
    level: 'info',
    text: 'suppressed: recipients who get no mail',
    fields: ['id', 'connector', 'recipients'],
  },
  'quota-full': {
    level: 'warn',
    text: 'connector has reached a daily or window limit: its lane waits',
    fields: ['connector', 'id', 'quota', 'group', 'waitMs'],
  },
  verified: { level: 'info', text: 'looked up in the sent items', fields: ['id', 'connector', 'result'] },
  uncertain: { level: 'warn', text: 'may have been sent: no reply', fields: ['id', 'connector', 'detail'] },
  held: {
    level: 'warn',
    text: 'held for an operator: may have been sent',
    fields: ['id', 'connector', 'recipients', 'reply'],
  },
  dropped: { level: 'info', text: 'not sent: the message is already settled', fields: ['id', 'connector', 'state'] },
  'handed-back': { level: 'debug', text: 'put back unchanged', fields: ['id', 'connector', 'why'] },

  'connector-fault': {
    level: 'warn',
    text: 'connector cannot send: its lane pauses',
    fields: ['connector', 'id', 'fault', 'faults', 'pauseMs', 'concurrency', 'messagesPerMinute', 'code', 'reply'],
  },
  'fallback-began': {
    level: 'error',
    text: 'connector is at fault: its mail goes by another one',
    fields: ['connector', 'to', 'fault', 'reply'],
  },
  'fallback-ended': { level: 'info', text: 'connector sends its mail itself again', fields: ['connector', 'to'] },
  'fell-back': {
    level: 'debug',
    text: 'messages moved between a connector at fault and its fallback',
    fields: ['connector', 'to', 'messages', 'back'],
  },
  'connector-recovered': {
    level: 'info',
    text: 'connector sends again',
    fields: ['connector', 'concurrency', 'configured'],
  },
  'concurrency-raised': {
    level: 'info',
    text: 'connector accepts more messages at once',
    fields: ['connector', 'concurrency', 'configured'],
  },
  'lane-orphaned': {
    level: 'warn',
    text: 'lane of a connector that is not configured',
    fields: ['connector', 'waiting', 'rerouted'],
  },
  'dead-letters-trimmed': { level: 'info', text: 'dead letters above the limits removed', fields: ['count'] },
  'contents-trimmed': { level: 'debug', text: 'unused contents removed', fields: ['count'] },
  bounce: { level: 'info', text: 'delivery report read', fields: ['id', 'connector', 'recipients'] },
  'bounce-suppressed': {
    level: 'info',
    text: 'recipients that fail for good, or complained, get no more mail',
    fields: ['id', 'connector', 'recipients'],
  },
  'suppressions-full': {
    level: 'error',
    text: 'the suppression list is full: recipients that fail for good, or complained, go on getting mail',
    fields: ['id', 'connector', 'recipients'],
  },
  'bounce-unmatched': {
    level: 'debug',
    text: 'a mail that is no report on a message of ours',
    fields: ['connector', 'why'],
  },
  'bounce-skipped': {
    level: 'error',
    text: 'a mail passed over at which reading the mailbox failed again and again',
    fields: ['connector'],
  },
  'mailbox-read': { level: 'debug', text: 'mailbox read for delivery reports', fields: ['connector'] },
  'mailbox-failed': {
    level: 'warn',
    text: 'mailbox cannot be read for delivery reports',
    fields: ['connector', 'fault', 'failures', 'waitMs', 'detail'],
  },
  token: { level: 'debug', text: 'access token requested', fields: ['connector', 'provider', 'outcome'] },
  'events-dropped': { level: 'warn', text: 'events dropped that a consumer had not read', fields: ['count'] },
  error: { level: 'error', text: 'unexpected error; the work will be repeated', fields: ['id', 'where', 'detail'] },
};
