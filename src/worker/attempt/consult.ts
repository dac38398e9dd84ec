/** Finds out to whom an attempt goes: who is left, who is suppressed, and who is redirected. */
import type { LedgerRow, NewRow, RecipientState } from '../../queue/ledger/ledger.ts';
import type { Outcome } from '../../transport/transport.ts';
import type { SendPolicy } from '../settings.ts';
import { addresseesOf, type Addressees } from './addressees.ts';
import type { DeliverTask, DeliverTools } from './task.ts';

export interface Consultation extends Addressees {
  /** When the suppression list was looked at, ms since the epoch; null if nothing is known of one. */
  readonly lookedAt: number | null;
  /** Looks at the list once more; false if a recipient is suppressed by now. */
  readonly isClear: () => Promise<boolean>;
}

export async function consult(
  { recipients }: NewRow,
  before: LedgerRow | null,
  { policy, delivery: rules = null }: DeliverTask,
  { suppressions, now }: DeliverTools,
): Promise<Consultation> {
  const left = recipients.filter((recipient) => isLeft(recipient, policy));
  const redirectTo = rules?.redirectTo ?? null;
  const asked = [...left.map(({ address }) => address), ...(redirectTo === null ? [] : [redirectTo])];
  const lookedAt = now();
  const listed = await suppressions.among(asked);
  const inDoubt = (before?.open ?? null) !== null;
  const addressees = addresseesOf({ recipients, left: new Set(left), listed: listed ?? new Map(), rules, inDoubt });
  return {
    ...addressees,
    lookedAt: listed === null ? null : lookedAt,
    isClear: async () => (await suppressions.among(addressees.envelope))?.size === 0,
  };
}

/** What the transaction came to, for the recipients of the message: who is redirected shares the answer to the other address. */
export function spread(outcome: Outcome, redirectTo: string | null, redirected: ReadonlySet<string>): Outcome {
  if (outcome.kind !== 'settled' || redirected.size === 0) return outcome;
  const other = outcome.recipients.find(({ address }) => address === redirectTo);
  if (other === undefined) return outcome;
  const recipients = [...outcome.recipients, ...[...redirected].map((address) => ({ ...other, address }))];
  return { ...outcome, recipients };
}

/**
 * The recipients of this attempt. Under `hold`, an uncertain recipient waits for an operator and not for a retry. One that was suppressed is
 * looked up again: the entry may have ended.
 */
function isLeft({ outcome }: RecipientState, { onUncertain }: SendPolicy): boolean {
  if (outcome === 'uncertain') return onUncertain !== 'hold';
  return outcome === 'pending' || outcome === 'deferred' || outcome === 'suppressed';
}
