/** Takes one report to its end: of which message it tells, and what is written there. */
import { unreachable } from '../errors.ts';
import type { BounceNotes, RecipientBounce } from '../admin/bounces.ts';
import type { LedgerRow } from '../queue/ledger/ledger.ts';
import { statusIn } from './codes.ts';
import { folded, matched, stepsOf, type ClueStep, type Unmatched } from './match.ts';
import { idInReturnPath } from '../message/return-path.ts';
import type { ReportedRecipient } from './recipient.ts';
import type { Report } from './report.ts';

/**
 * What became of a report. `matched`: `written` recipients are new, none if it was read before, or if it tells of no failure and no delay.
 * `again`: its message is just moving; it is to be read once more.
 */
export type Recorded =
  | { readonly kind: 'matched'; readonly id: string; readonly written: number; readonly suppressed: Suppressed }
  | { readonly kind: 'unmatched'; readonly why: Unmatched }
  | { readonly kind: 'again' };

/** Recipients that the report put on the suppression list, and that it could not, as the list is full. */
interface Suppressed {
  readonly added: number;
  readonly refused: number;
}

export interface RecordTools {
  readonly notes: BounceNotes;
  /** How long an address that fails for good, or that complains, gets no mail, in ms; null: it goes on getting it. */
  readonly suppressForMs: number | null;
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
      const entries = row === undefined ? [] : [...failing(newIn(row, bounces)), ...complaints(row, report, match)];
      // Before the row: once that has it, the report is never looked at again.
      const suppressed = await suppress(entries, connector, tools);
      const written = await notes.write(match.id, connector, now, bounces);
      return written === null ? { kind: 'again' } : { kind: 'matched', id: match.id, written, suppressed };
    }
    default:
      return unreachable(match);
  }
}

const none: Suppressed = { added: 0, refused: 0 };

/** What the row does not have yet. An address that an operator has taken off the list does not come back by an old report. */
function newIn({ recipients }: LedgerRow, bounces: readonly RecipientBounce[]): RecipientBounce[] {
  return bounces.filter(({ place }) => {
    const recipient = recipients[place];
    return recipient !== undefined && recipient.outcome !== 'pending' && recipient.bounce?.action !== 'failed';
  });
}

type Entry = Pick<Parameters<BounceNotes['suppress']>[0], 'address' | 'reason' | 'origin'>;

function failing(bounces: readonly RecipientBounce[]): Entry[] {
  return bounces
    .filter(({ bounce }) => isOfAddress(bounce))
    .map(({ address, bounce }) => ({ address, reason: bounce.diagnostic ?? bounce.status, origin: 'bounce' }));
}

/** Who complains of a mail that was sent to them; of several recipients, it has to be said which. The row keeps nothing of it, so an old complaint that is read again counts again. */
function complaints(
  { recipients }: LedgerRow,
  { kind, isGuess = false }: Report,
  { recipients: said }: { readonly recipients: readonly ReportedRecipient[] },
): Entry[] {
  if (kind !== 'complaint' || (isGuess && recipients.length > 1)) return [];
  const who = new Set(said.flatMap(({ recipient }) => (recipient === null ? [] : folded(recipient))));
  return recipients
    .filter(({ address, outcome }) => outcome !== 'pending' && who.has(folded(address)))
    .map(({ address }) => ({ address, reason: 'complained about a message', origin: 'complaint' }));
}

async function suppress(
  entries: readonly Entry[],
  connector: string,
  { notes, suppressForMs, now }: RecordTools,
): Promise<Suppressed> {
  if (suppressForMs === null) return none;
  let [added, refused] = [0, 0];
  for (const entry of entries) {
    const answer = await notes.suppress({ ...entry, by: connector, until: now + suppressForMs });
    if (answer === 'full') refused += 1;
    else if (answer !== 'kept') added += 1;
  }
  return { added, refused };
}

/**
 * The statuses of RFC 3463 section 3 by which an address fails for good, and not this mail, this sender (5.1.7, 5.1.8), or a host that was away
 * (5.4). Of a mailbox, only that it is disabled: one that is full gets mail again.
 */
const addressStatus = /^5\.(?:1\.(?:[0-36]|10)|2\.1)$/;
/** Exim writes 5.0.0 for everything, and some servers 5.5.0: their reply says more. */
const genericStatus = /^5\.[05]\.0$/;
/** Exchange Online's for a recipient that does not exist is 5.4.1. */
const addressWords =
  /(?:user|recipient|mailbox|account|address)\b.{0,60}\b(?:unknown|not found|does not exist|doesn't exist|disabled|unavailable)|(?:no such|unknown|invalid) (?:user|recipient|mailbox|account|address)|recipient address rejected: access denied/i;

/** The address fails for good, and not this mail alone. */
function isOfAddress({ action, permanent, status, diagnostic }: RecipientBounce['bounce']): boolean {
  if (action !== 'failed' || permanent !== true) return false;
  const reply = (diagnostic ?? '').slice(0, 1_000);
  const known = status !== null && genericStatus.test(status) ? (statusIn(reply) ?? status) : status;
  if (known !== null && addressStatus.test(known)) return true;
  return (known === null || genericStatus.test(known) || known === '5.4.1') && addressWords.test(reply);
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
