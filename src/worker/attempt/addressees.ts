/**
 * To whom an attempt goes: not to those who are suppressed, and to another address for those who are redirected. This is the one place that
 * decides it, right before each attempt, so it holds for every message, however it came here. Pure.
 */
import type { RecipientState } from '../../queue/ledger/ledger.ts';
import type { Suppression } from '../../queue/suppressions.ts';
import type { DeliveryRules } from '../settings.ts';

export interface Addressees {
  /** Of the row: those who get nothing are `suppressed`. */
  readonly recipients: readonly RecipientState[];
  /** Whom the transaction names. */
  readonly envelope: readonly string[];
  /** Whose copy goes to `redirectTo`. */
  readonly redirected: ReadonlySet<string>;
}

export interface Consulted {
  /** Everyone whom the message concerns. */
  readonly recipients: readonly RecipientState[];
  /** Those of them who are to be tried now. */
  readonly left: ReadonlySet<RecipientState>;
  /** Entries of the suppression list, by address as it was asked for. */
  readonly listed: ReadonlyMap<string, Suppression>;
  /** null: everyone may get mail. */
  readonly rules: DeliveryRules | null;
  /** An attempt is open in the ledger, and may have reached those who are left. */
  readonly inDoubt: boolean;
}

const doubt = '; an earlier attempt may have reached it';

/** Of a row with an open attempt: a recipient who was suppressed before it began may have been on no list by then. */
export function withDoubt(recipients: readonly RecipientState[]): RecipientState[] {
  return recipients.map((recipient) => {
    const reply = recipient.reply ?? '';
    if (recipient.outcome !== 'suppressed' || reply.endsWith(doubt)) return recipient;
    return { ...recipient, reply: `${reply}${doubt}` };
  });
}

export function addresseesOf({ recipients, left, listed, rules, inDoubt }: Consulted): Addressees {
  const redirectTo = rules?.redirectTo ?? null;
  const envelope = new Set<string>();
  const redirected = new Set<string>();
  const marked = recipients.map((recipient): RecipientState => {
    if (!left.has(recipient)) return recipient;
    const { address } = recipient;
    const refuse = (why: string): RecipientState => {
      const suffix = inDoubt || recipient.outcome === 'uncertain' ? doubt : '';
      return { address, outcome: 'suppressed', code: null, reply: `${why}${suffix}` };
    };
    const entry = listed.get(address);
    if (entry !== undefined) return refuse(wordsOf(entry));
    const again: RecipientState = recipient.outcome === 'suppressed' ? { ...recipient, outcome: 'pending' } : recipient;
    if (rules === null || rules.allows(address)) {
      envelope.add(address);
      return again;
    }
    if (redirectTo === null) return refuse('not among delivery.allowRecipients');
    const other = listed.get(redirectTo);
    if (other !== undefined) return refuse(`delivery.redirectTo is ${wordsOf(other)}`);
    envelope.add(redirectTo);
    redirected.add(address);
    return again;
  });
  return { recipients: marked, envelope: [...envelope], redirected };
}

function wordsOf({ origin, reason }: Suppression): string {
  return `on the suppression list (${origin})${reason === null ? '' : `: ${reason}`}`;
}
