/** Takes one report to its end: of which message it tells, and what is written there. */
import { unreachable } from '../errors.ts';
import type { BounceNotes, RecipientBounce } from '../admin/bounces.ts';
import type { LedgerRow } from '../queue/ledger/ledger.ts';
import { folded, matched, stepsOf, type ClueStep, type Unmatched } from './match.ts';
import { idInReturnPath } from '../message/return-path.ts';
import type { ReportedRecipient } from './recipient.ts';
import type { Report } from './report.ts';

/**
 * What became of a report. `matched`: `written` recipients are new, none if it was read before, or if it tells of no failure and no delay.
 * `again`: its message is just moving; it is to be read once more.
 */
export type Recorded =
  | { readonly kind: 'matched'; readonly id: string; readonly written: number }
  | { readonly kind: 'unmatched'; readonly why: Unmatched }
  | { readonly kind: 'again' };

export interface RecordTools {
  readonly notes: BounceNotes;
  /** Patterns of the return paths that connectors give single mails. */
  readonly bouncePaths: readonly string[];
  /** ms since the epoch. */
  readonly now: number;
}

/** `connector`: whose mailbox it is. */
export async function recordReport(report: Report, connector: string, tools: RecordTools): Promise<Recorded> {
  const { notes, now } = tools;
  const rows = await findRows(report, tools);
  const match = matched(report, rows === null ? null : rows.map(sentOf));
  switch (match.kind) {
    case 'unmatched':
      return match;
    case 'matched': {
      const row = rows?.find(({ id }) => id === match.id);
      const bounces = row === undefined ? [] : bouncesOf(row, match.recipients, now);
      const written = await notes.write(match.id, connector, now, bounces);
      return written === null ? { kind: 'again' } : { kind: 'matched', id: match.id, written };
    }
    default:
      return unreachable(match);
  }
}

/** What the first step finds that finds anything; null for a report that names nothing. */
async function findRows(report: Report, { notes, bouncePaths }: RecordTools): Promise<readonly LedgerRow[] | null> {
  const key = bouncePaths.length === 0 ? null : await notes.returnPathKey();
  const idIn = (address: string): string | null => {
    if (key === null) return null;
    return bouncePaths.map((pattern) => idInReturnPath(address, pattern, key)).find((id) => id !== null) ?? null;
  };
  const steps = stepsOf(report, idIn);
  if (steps.length === 0 || report.recipients.length === 0) return null;
  for (const { by, values } of steps) {
    const rows: LedgerRow[] = [];
    for (const value of values) rows.push(...(await findBy(by, value, notes)));
    if (rows.length > 0) return rows;
  }
  return [];
}

async function findBy(by: ClueStep['by'], value: string, notes: BounceNotes): Promise<readonly LedgerRow[]> {
  if (by === 'message') return notes.find(value);
  const row = await notes.read(value);
  return row === null ? [] : [row];
}

function sentOf({ id, recipients }: LedgerRow): { id: string; recipients: string[] } {
  return { id, recipients: recipients.map(({ address }) => address) };
}

/** A success and a complaint are no bounces. */
function bouncesOf(row: LedgerRow, said: readonly ReportedRecipient[], at: number): RecipientBounce[] {
  const places = new Map(row.recipients.map(({ address }, place) => [folded(address), { address, place }]));
  return said.flatMap(({ recipient, action, status, smtpCode, permanent, diagnostic }) => {
    const found = recipient === null ? undefined : places.get(folded(recipient));
    if (found === undefined || (action !== 'failed' && action !== 'delayed')) return [];
    return [{ ...found, bounce: { at, action, status, smtpCode, permanent, diagnostic } }];
  });
}
