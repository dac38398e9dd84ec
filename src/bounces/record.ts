/** Takes one report to its end: of which message it tells, and what is written there. */
import { unreachable } from '../errors.ts';
import type { BounceNotes, RecipientBounce } from '../admin/bounces.ts';
import type { LedgerRow } from '../queue/ledger/ledger.ts';
import { folded, matched, stepsOf, type Unmatched } from './match.ts';
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

/** `connector`: whose mailbox it is. `now`: ms since the epoch. */
export async function recordReport(
  report: Report,
  connector: string,
  { notes, now }: { readonly notes: BounceNotes; readonly now: number },
): Promise<Recorded> {
  const rows = await findRows(report, notes);
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
async function findRows(report: Report, notes: BounceNotes): Promise<readonly LedgerRow[] | null> {
  const steps = stepsOf(report, null);
  if (steps.length === 0 || report.recipients.length === 0) return null;
  for (const { values } of steps) {
    const rows: LedgerRow[] = [];
    for (const value of values) rows.push(...(await notes.find(value)));
    if (rows.length > 0) return rows;
  }
  return [];
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
