/** What the scripts take that write a result: keys, arguments, and the note of what is counted and indexed with it. */
import { unreachable } from '../../errors.ts';
import type { Sealing } from '../../sealing/sealing.ts';
import type { Notes, ResultKind } from '../journal/notes.ts';
import type { ScriptValue } from '../lua/script.ts';
import type { ShardKeys } from '../redis/keys.ts';
import { deadLetterFields, type DeadLetter } from './dead-letters.ts';
import type { StoredEntry } from './attempt-log.ts';
import { storedRecipients } from './bounce.ts';
import { isDelivered, type LedgerState, type NewRow, type RecipientState } from './row.ts';

/** The result of an attempt, or of giving up. `retentionMs` is set for terminal states only. */
export interface Settlement {
  readonly state: LedgerState;
  readonly recipients: readonly RecipientState[];
  readonly entry: StoredEntry;
  readonly retryAt: number | null;
  readonly reason: string | null;
  readonly retentionMs: number | null;
  /** The dead letter that is written in the same step, if one is due. */
  readonly deadLetter: DeadLetter | null;
  /** false takes the attempt back: a postponement counts none. */
  readonly countAttempt: boolean;
  /** Recipients whom this attempt reached; counted as the connector's. Default 0. */
  readonly reached?: number;
  /** How long the job is kept that ends with it, in ms. Default: not at all. */
  readonly keepContentMs?: number;
  /** Clears the connector's fault count: it has just taken a mail. */
  readonly connectorWorks: boolean;
}

/** A result that comes within this time, in ms, is counted as soon: the objective of docs/metrics.md. */
const soonMs = 300_000;

function kindOf({ state, entry }: Settlement): ResultKind {
  switch (state) {
    case 'queued':
    case 'scheduled':
    case 'sending':
      return '-';
    case 'deferred':
      if (entry.event === 'postponed' || entry.event === 'unverified') return '-';
      return entry.event === 'uncertain' || entry.event === 'set-aside' ? entry.event : state;
    case 'sent':
    case 'partial':
    case 'held':
    case 'dead':
    case 'cancelled':
      return state;
    default:
      return unreachable(state);
  }
}

function noteOf(keys: ShardKeys, row: NewRow, settlement: Settlement, notes: Notes, withRow: boolean): string {
  const { state, entry, recipients, reached = 0 } = settlement;
  const kind = kindOf(settlement);
  const soon = state === 'sent' && entry.at - (row.readyAt ?? row.acceptedAt) <= soonMs;
  const replies = reached === 0 ? [] : recipients.flatMap((each) => (isDelivered(each) ? (each.reply ?? []) : []));
  return notes.ofResult(keys, row, { kind, soon, connector: entry.connector ?? row.connector }, replies, withRow);
}

/** `withRow`: there is none yet. */
export function settleInput(
  keys: ShardKeys,
  row: NewRow,
  token: string | null,
  settlement: Settlement,
  { notes, sealing }: { readonly notes: Notes; readonly sealing: () => Sealing },
  withRow = false,
) {
  const { entry } = settlement;
  const letter: ScriptValue[] =
    settlement.deadLetter === null ? [] : deadLetterFields(settlement.deadLetter, sealing());
  return {
    keys: {
      rowKey: keys.ledger(row.id),
      unsettled: keys.unsettled,
      letterKey: keys.deadLetter(row.id),
      letters: keys.dead,
      faults: keys.connector(entry.connector ?? ''),
      stats: keys.connectorStats(row.connector ?? ''),
      attribution: keys.attribution(row.connector ?? ''),
    },
    args: {
      id: row.id,
      token: token ?? '',
      state: settlement.state,
      at: entry.at,
      retentionMs: settlement.retentionMs ?? '',
      recipients: storedRecipients(settlement.recipients),
      retryAt: settlement.retryAt ?? '',
      reason: settlement.reason ?? '',
      entry: JSON.stringify(entry),
      countAttempt: settlement.countAttempt ? 1 : 0,
      connectorWorks: settlement.connectorWorks ? 1 : 0,
      reached: settlement.reached ?? 0,
      deadline: row.deadline,
      journal: noteOf(keys, row, settlement, notes, withRow),
      keepMs: settlement.keepContentMs || '',
      letterCount: letter.length,
    },
    moreArgs: letter,
  };
}
