/** What is known of a message when an attempt begins: its row, or what its row will say, and its deadline. */
import { readyAt } from '../../message/identity.ts';
import type { LaneJob } from '../../queue/jobs.ts';
import type { LedgerRow, NewRow } from '../../queue/ledger/ledger.ts';
import { shownOf } from '../shown.ts';
import type { DeliverTask, DeliverTools } from './task.ts';

/** The message as the ledger knows it, or as it starts. */
export function rowOf({ job, policy }: DeliverTask, before: LedgerRow | null, tools: DeliverTools): NewRow {
  const { id, connector, rule, acceptedAt, message, messageId } = job;
  const known = new Map((before?.recipients ?? []).map((recipient) => [recipient.address, recipient]));
  for (const address of message.envelope.to) {
    if (!known.has(address)) known.set(address, { address, outcome: 'pending', code: null, reply: null });
  }
  const deadline = before?.deadline || deadlineOf(job, policy.lifetimeMs);
  // Without an index of subjects, as the row has been written before.
  const shown = shownOf(message, undefined, tools);
  const recipients = [...known.values()];
  return {
    id,
    connector,
    rule,
    messageId,
    recipients,
    acceptedAt,
    deadline,
    ...shown,
    readyAt: readyAt(message, acceptedAt),
    trace: job.trace ?? before?.trace,
  };
}

/** No attempt begins at or after this time, in ms since the epoch: `expiresAt`, else the lifetime from acceptance or from `sendAt`. */
export function deadlineOf(
  { message, acceptedAt }: Pick<LaneJob, 'message' | 'acceptedAt'>,
  lifetimeMs: number,
): number {
  if (message.expiresAt !== undefined) return Date.parse(message.expiresAt);
  return readyAt(message, acceptedAt) + lifetimeMs;
}
