/**
 * Event → its line in the log: level, text, and the fields that it may carry. The table is closed: an event that is not in
 * it does not compile, and a field that is not in it is not logged. `docs/operations.md` has the same table.
 */
import type { WorkerEvent } from '../worker/events.ts';
import type { ProcessEvent } from './process-events.ts';

export type LogEvent = WorkerEvent | ProcessEvent;
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

interface Line<Event> {
  readonly level: LogLevel;
  readonly text: string;
  readonly fields: readonly Exclude<keyof Event, 'event'>[];
}

type LogTable = { readonly [Name in LogEvent['event']]: Line<Extract<LogEvent, { readonly event: Name }>> };

export const logTable: LogTable = {
  starting: { level: 'info', text: 'starting', fields: ['config', 'connectors', 'node'] },
  'start-failed': { level: 'error', text: 'cannot start', fields: ['detail'] },
  ready: { level: 'info', text: 'serving', fields: ['connectors', 'slots'] },
  draining: { level: 'info', text: 'stopping: running sends may finish', fields: ['running'] },
  stopped: { level: 'info', text: 'stopped', fields: ['drained'] },
  signal: { level: 'info', text: 'signal received', fields: ['signal'] },
  'health-listening': { level: 'info', text: 'health check listens', fields: ['host', 'port'] },

  'config-applied': { level: 'info', text: 'new configuration in force', fields: ['connectors'] },
  'config-unchanged': { level: 'info', text: 'configuration read again: nothing has changed', fields: [] },
  'config-warning': {
    level: 'warn',
    text: 'configuration: probably not meant',
    fields: ['key', 'rule', 'message', 'file', 'line'],
  },
  'config-rejected': {
    level: 'error',
    text: 'configuration refused, the old one stays in force',
    fields: ['mistakes'],
  },
  'restart-needed': { level: 'warn', text: 'these settings take effect at the next start', fields: ['keys'] },

  'redis-warning': { level: 'warn', text: 'Redis is set in a way that can lose mail', fields: ['setting', 'detail'] },
  'redis-error': { level: 'error', text: 'Redis cannot be reached; trying on', fields: ['detail'] },

  routed: { level: 'info', text: 'routed', fields: ['id', 'connector', 'rule'] },
  duplicate: { level: 'info', text: 'dropped: this id was accepted before', fields: ['id', 'state'] },
  invalid: { level: 'warn', text: 'job that is no message', fields: ['id', 'issues'] },
  sent: {
    level: 'info',
    text: 'sent',
    fields: ['id', 'connector', 'attempt', 'recipients', 'durationMs', 'reply'],
  },
  deferred: {
    level: 'info',
    text: 'deferred: will be tried again',
    fields: ['id', 'connector', 'attempt', 'recipients', 'retryInMs', 'code', 'reply'],
  },
  dead: {
    level: 'warn',
    text: 'dead letter',
    fields: ['id', 'connector', 'reason', 'recipients', 'code', 'reply'],
  },
  'quota-full': {
    level: 'warn',
    text: 'connector has used up its day or window: its lane waits',
    fields: ['connector', 'id', 'quota', 'waitMs'],
  },
  verified: { level: 'info', text: 'looked for among the sent items', fields: ['id', 'connector', 'result'] },
  uncertain: { level: 'warn', text: 'may have been sent: no answer came', fields: ['id', 'connector', 'detail'] },
  held: {
    level: 'warn',
    text: 'held for an operator: may have been sent',
    fields: ['id', 'connector', 'recipients', 'reply'],
  },
  dropped: { level: 'info', text: 'not sent: the message is settled', fields: ['id', 'connector', 'state'] },
  'handed-back': { level: 'debug', text: 'put back untouched', fields: ['id', 'connector', 'why'] },

  'connector-fault': {
    level: 'warn',
    text: 'connector cannot send: its lane pauses',
    fields: ['connector', 'id', 'fault', 'faults', 'pauseMs', 'concurrency', 'code', 'reply'],
  },
  'connector-recovered': {
    level: 'info',
    text: 'connector sends again',
    fields: ['connector', 'concurrency', 'configured'],
  },
  'concurrency-raised': {
    level: 'info',
    text: 'connector takes more at once',
    fields: ['connector', 'concurrency', 'configured'],
  },
  'lane-orphaned': {
    level: 'warn',
    text: 'lane of a connector that is not configured',
    fields: ['connector', 'waiting', 'rerouted'],
  },
  'dead-letters-trimmed': { level: 'info', text: 'dead letters over the bounds removed', fields: ['count'] },
  'contents-trimmed': { level: 'debug', text: 'contents that nobody needs removed', fields: ['count'] },
  error: { level: 'error', text: 'unexpected error; the work is done again', fields: ['id', 'where', 'detail'] },
};
