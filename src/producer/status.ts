/** The status of a message: from its row in the ledger, or from its job in the intake before a worker has routed it. */
import { readIntakeData } from '../queue/jobs.ts';
import { intakeJob } from '../queue/waiting.ts';
import type { Job } from 'bullmq';
import type { OpenQueues } from '../queue/open.ts';
import type { AttemptEntry, HistoryEntry, LedgerRow, LedgerState, RecipientState } from '../queue/ledger/ledger.ts';
import { terminalStates } from '../queue/ledger/ledger.ts';

export type { AttemptEntry, Bounce, HistoryEntry, RecipientState, TriedRecipient } from '../queue/ledger/ledger.ts';

/**
 * Where a message stands.
 * - `queued`: waits for a worker. `scheduled`: waits for its `sendAt`. `sending`: an attempt is under way.
 * - `deferred`: a temporary failure; the next attempt is at `retryAt`.
 * - `held`: it may have been sent, and an operator decides (`postlane resolve`).
 * - Terminal: `sent` (every recipient accepted), `partial` (some accepted, the rest dead), `dead`, `cancelled`.
 */
export type MessageState = LedgerState;

export interface MessageStatus {
  readonly id: string;
  readonly state: MessageState;
  /** Id of the connector that sends it; null until it is routed. */
  readonly connector: string | null;
  /** Attempts that a connector answered or may have answered. Waiting for a connector that cannot send is no attempt. */
  readonly attempts: number;
  readonly recipients: readonly RecipientState[];
  /** What happened, oldest first. */
  readonly history: readonly HistoryEntry[];
  /** What each attempt came to, oldest first, where the history still has it. */
  readonly attemptLog: readonly AttemptEntry[];
  /** Bytes of the mail, once it has been tried; null until then. */
  readonly size: number | null;
  /** The Message-ID header, with its angle brackets; null until it is routed, and if a `raw` message has an odd one. */
  readonly messageId: string | null;
  /** Why it is dead: the reason of its dead letter; null otherwise. */
  readonly reason: string | null;
  /** When the next attempt is due, in ms since 1970; null if none is planned. */
  readonly retryAt: number | null;
  /** The From address; null where it is not known: before routing where the message names none, and in rows of earlier releases. */
  readonly from: string | null;
  /** By which rule its connector was found: `exact`, `domain`, `default` or `via`; null until it is routed. */
  readonly rule: string | null;
  /** When it was accepted, in ms since 1970. */
  readonly acceptedAt: number;
  /** After that no attempt begins, in ms since 1970; null until it is routed. */
  readonly deadline: number | null;
  /** Who submitted it, as `send` was told; null if that is not known. */
  readonly submittedBy: string | null;
}

/** Nothing more happens to the message until an operator acts: it is settled, or held. */
export function isOver({ state }: MessageStatus): boolean {
  return terminalStates.has(state) || state === 'held';
}

/** null if the id is not known (any more). */
export async function readStatus(
  id: string,
  queues: Pick<OpenQueues, 'ledger' | 'intake' | 'jobs'>,
): Promise<MessageStatus | null> {
  const { ledger } = queues;
  const row = await ledger.read(id);
  if (row !== null) return statusOf(row);
  const job = await intakeJob(queues, id);
  if (job !== null) return waitingStatus(id, job);
  // A worker writes the row and then removes the job: between the two reads, the message may have gone from one to the other.
  const routed = await ledger.read(id);
  return routed === null ? null : statusOf(routed);
}

function statusOf(row: LedgerRow): MessageStatus {
  const { id, state, connector, attempts, recipients, history, messageId, reason, retryAt } = row;
  const { from, rule, acceptedAt, deadline, submittedBy, attemptLog } = row;
  return {
    id,
    state,
    connector,
    attempts,
    recipients,
    history,
    attemptLog,
    size: attemptLog.at(-1)?.bytes ?? null,
    messageId,
    reason,
    retryAt,
    from,
    rule,
    acceptedAt,
    // 0: it was cancelled before it was routed.
    deadline: deadline || null,
    submittedBy,
  };
}

function waitingStatus(id: string, job: Job): MessageStatus {
  const { from, recipients, submittedBy } = readIntakeData(job.data);
  return {
    ...queuedStatus(id, recipients, job.timestamp),
    state: job.delay > 0 ? 'scheduled' : 'queued',
    retryAt: job.delay > 0 ? job.timestamp + job.delay : null,
    from,
    submittedBy,
  };
}

/** The status of a message that no worker has seen. `acceptedAt` in ms since 1970. */
export function queuedStatus(id: string, recipients: readonly string[], acceptedAt: number): MessageStatus {
  return {
    id,
    state: 'queued',
    connector: null,
    attempts: 0,
    recipients: recipients.map((address) => ({ address, outcome: 'pending', code: null, reply: null })),
    history: [{ at: acceptedAt, event: 'accepted' }],
    attemptLog: [],
    size: null,
    messageId: null,
    reason: null,
    retryAt: null,
    from: null,
    rule: null,
    acceptedAt,
    deadline: null,
    submittedBy: null,
  };
}
