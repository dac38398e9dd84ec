/** The log: one JSON line per event, for people and for machines. */
import { pino, type DestinationStream } from 'pino';
import { harmlessJson, type Issue } from '../errors.ts';
import type { TraceIds } from '../tracing/tracing.ts';
import { logTable, type LogEvent, type LogLevel } from './log-table.ts';

export type { LogEvent } from './log-table.ts';

export interface LogOptions {
  /** Name of the worker, on every line. */
  readonly worker: string;
  readonly level: LogLevel;
  readonly destination: DestinationStream;
  readonly now?: () => number;
}

export interface Log {
  /** `trace`: the span in which it happened, where there is one. */
  (event: LogEvent, trace?: TraceIds | null): void;
  setLevel(level: LogLevel): void;
}

/**
 * Defence in depth: the table decides what is logged, and no event has such a field. If one ever does, its value is not
 * written.
 */
const secretFields = ['password', 'pass', 'clientSecret', 'credential', 'auth', 'authorization', 'token'];
const privateFields = [
  'subject',
  'text',
  'html',
  'raw',
  'body',
  'content',
  'attachments',
  'alternatives',
  'calendarEvent',
  'to',
  'cc',
  'bcc',
];

/** An unreachable Redis is logged at once and then twice a minute, not with each reconnect. */
const repeatAfterMs = 30_000;

/** Enough to see what is wrong; the dead letter has every issue. */
const maxIssues = 10;

export function createLog({ worker, level, destination, now = Date.now }: LogOptions): Log {
  const names = [...secretFields, ...privateFields];
  const logger = pino(
    {
      level,
      base: { worker },
      timestamp: () => `,"time":"${new Date(now()).toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: names.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]), censor: '[redacted]' },
    },
    { write: (line) => destination.write(harmlessJson(line)) },
  );
  let awayAt = -Infinity;

  const log = (event: LogEvent, trace: TraceIds | null = null): void => {
    if (event.event === 'redis-error') {
      if (now() - awayAt < repeatAfterMs) return;
      awayAt = now();
    }
    const { level, text, fields } = logTable[event.event];
    if (!logger.isLevelEnabled(level)) return;
    const values = event as Readonly<Record<string, unknown>>;
    const line: Record<string, unknown> = { event: event.event };
    for (const field of fields) line[field] = field === 'issues' ? issueWords(values[field]) : values[field];
    if (trace !== null) Object.assign(line, traceFields(trace));
    logger[level](line, text);
  };
  return Object.assign(log, {
    setLevel(next: LogLevel) {
      logger.level = next;
    },
  });
}

/** Named as the data model of OpenTelemetry's logs has them in other formats. */
function traceFields({ traceId, spanId, flags }: TraceIds): Record<string, string> {
  return { trace_id: traceId, span_id: spanId, trace_flags: flags.toString(16).padStart(2, '0') };
}

/** Field and rule only: the text of an issue may quote the message. */
function issueWords(issues: unknown): string[] {
  return (issues as readonly Issue[]).slice(0, maxIssues).map(({ field, rule }) => `${field || 'message'}: ${rule}`);
}
