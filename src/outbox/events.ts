/** What a relay reports: the log and the metrics subscribe to it. Nothing of a message but its id. */
import type { ErrorCode, Issue } from '../errors.ts';

/** Why a row waits for an operator: a closed list, as docs/outbox.md has it. */
export const outboxProblems = [
  'message-invalid',
  'too-large',
  'idempotency-mismatch',
  'attachment-missing',
  'stale',
  'failed',
] as const;
export type OutboxProblem = (typeof outboxProblems)[number];

export type OutboxEvent =
  /** It has reached the database, and the table is there. `database`: host, port and name. */
  | { readonly event: 'ready'; readonly database: string }
  | { readonly event: 'draining' }
  /** `drained`: no batch was cut off. */
  | { readonly event: 'stopped'; readonly drained: boolean }
  /** Rows are out of the table: `relayed` are in Redis now, `duplicates` had been. `deferred`: rows that are tried again later. */
  | {
      readonly event: 'outbox-relayed';
      readonly relayed: number;
      readonly duplicates: number;
      readonly deferred: number;
      readonly durationMs: number;
    }
  /** The row stays in the table, and delays no others. */
  | {
      readonly event: 'outbox-problem';
      readonly id: string;
      readonly problem: OutboxProblem;
      readonly issues: readonly Issue[];
    }
  /** Nothing could be enqueued, a row behind the batch included; they stay as they were. */
  | { readonly event: 'outbox-held'; readonly code: ErrorCode; readonly detail: string; readonly waitMs: number }
  /** Nothing can be read or written; the connection is made anew. */
  | { readonly event: 'outbox-database-away'; readonly detail: string; readonly waitMs: number }
  | { readonly event: 'outbox-database-back' };

/** What a relay knows of its table, at the last count. */
export interface OutboxState {
  readonly databaseUp: boolean;
  /** null: not counted yet. */
  readonly counts: OutboxCounts | null;
}

/** Counted up to `maxCounted` each. */
export interface OutboxCounts {
  readonly waiting: number;
  readonly problems: number;
  /** Of the row that waits longest; 0 if none waits. */
  readonly oldestMs: number;
}
