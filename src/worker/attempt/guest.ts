/** A message in the lane of a fallback, which that one cannot carry: it goes back to its own connector, and does not end. */
import type { LaneJob } from '../../queue/jobs.ts';
import { isDone } from '../../queue/ledger/ledger.ts';
import type { Outcome, RecipientOutcome } from '../../transport/transport.ts';
import { deferred, type Attempted } from './settlement.ts';
import type { Delivery } from './task.ts';

/** If no process has given it back by then, it is tried again: its own connector may be gone. */
const giveBackMs = 60_000;

export function isGuest({ rule }: Pick<LaneJob, 'rule'>): boolean {
  return rule === 'fallback';
}

/** Without an attempt: it is larger than the connector may send. */
export function givenBack(notBegun: Attempted, why: string): Delivery {
  const at = notBegun.at + giveBackMs;
  const recipients = notBegun.row.recipients.map((recipient) =>
    isDone(recipient) ? recipient : { ...recipient, outcome: 'deferred' as const, code: null, reply: why },
  );
  const write = deferred(notBegun, { kind: 'retry', recipients, at });
  return { write, next: { kind: 'retry', at, slowDownMs: null, unfit: true } };
}

/** The outcome, the same if there is nothing in it that its own connector may take. */
export function withoutUnfit(outcome: Outcome): Outcome {
  if (outcome.kind !== 'settled' || !outcome.recipients.some(isUnfit)) return outcome;
  const recipients = outcome.recipients.map((recipient): RecipientOutcome =>
    isUnfit(recipient) ? { ...recipient, outcome: 'deferred', retryAfterMs: giveBackMs } : recipient,
  );
  return { ...outcome, recipients };
}

/** A refusal without a code is one of the transport: the server was not asked. */
function isUnfit({ outcome, tooLarge, unfit, reply }: RecipientOutcome): boolean {
  return outcome === 'rejected' && (tooLarge === true || unfit === true || reply.code === null);
}
