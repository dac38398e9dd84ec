/** One attempt as the event that metrics count: what it came to, for how many recipients, and how long it took. Pure. */
import { readyAt } from '../../message/identity.ts';
import type { LaneJob } from '../../queue/jobs.ts';
import type { LedgerRow } from '../../queue/ledger/ledger.ts';
import type { Outcome } from '../../transport/transport.ts';
import type { AttemptEvent, AttemptOutcome } from '../events.ts';
import type { Decision } from './retry-policy.ts';

export interface Tried {
  readonly job: LaneJob;
  /** The row before the attempt; null for a message that was never tried. */
  readonly before: LedgerRow | null;
  readonly outcome: Outcome;
  readonly decision: Decision;
  /** When the fence opened the attempt, ms since the epoch; null if it did not. */
  readonly begunAt: number | null;
  readonly endedAt: number;
  /** Of the mail. */
  readonly bytes: number;
}

export function attemptEvent({ job, before, outcome, decision, begunAt, endedAt, bytes }: Tried): AttemptEvent {
  let [accepted, deferred, rejected, uncertain] = [0, 0, 0, 0];
  for (const each of outcome.kind === 'settled' ? outcome.recipients : []) {
    if (each.outcome === 'accepted') accepted += 1;
    else if (each.outcome === 'deferred') deferred += 1;
    else if (each.outcome === 'rejected') rejected += 1;
    else uncertain += 1;
  }
  const due = dueAt(job, before);
  return {
    event: 'attempt',
    id: job.id,
    connector: job.connector,
    priority: job.message.priority,
    outcome: outcomeOf(decision, { accepted, deferred, uncertain, others: deferred + rejected + uncertain }),
    waitMs: begunAt === null || due === null ? null : Math.max(0, begunAt - due),
    server: outcome.kind === 'stopped' ? null : (outcome.server ?? null),
    durationMs: begunAt === null ? null : Math.max(0, endedAt - begunAt),
    bytes,
    accepted,
    deferred,
    rejected,
    uncertain,
  };
}

interface Counts {
  readonly accepted: number;
  readonly deferred: number;
  readonly uncertain: number;
  readonly others: number;
}

function outcomeOf(decision: Decision, { accepted, deferred, uncertain, others }: Counts): AttemptOutcome {
  if (decision.kind === 'stopped') return 'stopped';
  if (decision.kind === 'postpone') return 'fault';
  if (decision.kind === 'set-aside') return decision.fault === null ? 'set-aside' : 'fault';
  if (accepted > 0) return others > 0 ? 'partial' : 'accepted';
  if (uncertain > 0) return 'uncertain';
  return deferred > 0 ? 'deferred' : 'rejected';
}

/** Since when it might have been tried, in ms since the epoch; null for one that came back before its time, as nothing says when. */
function dueAt(job: LaneJob, before: LedgerRow | null): number | null {
  return before === null ? readyAt(job.message, job.acceptedAt) : before.retryAt;
}
