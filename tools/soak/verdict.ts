/** The soak's judge: compares what was accepted with what the servers have and what the ledger says. Pure. */
import type { DeadLetterSummary } from '../../src/queue/ledger/dead-letters.ts';
import { terminalStates, type LedgerRow } from '../../src/queue/ledger/ledger.ts';
import type { Copy } from './delivery-log.ts';
import type { Offer } from './traffic.ts';

/** Everything known about one message at the end. */
export interface Evidence {
  readonly offer: Offer;
  readonly row: LedgerRow | null;
  readonly letter: DeadLetterSummary | null;
  /** Its job waits in the intake. */
  readonly inIntake: boolean;
  /** Copies by recipient. */
  readonly copies: ReadonlyMap<string, readonly Copy[]>;
  /** How many different contents the copies have. */
  readonly contents: number;
  /** Its server refuses none of its recipients for good. */
  readonly takesAll: boolean;
}

/** A message for which a promise is broken, and which promises. */
export interface Violation {
  readonly what: readonly string[];
  readonly evidence: Evidence;
}

/** Messages, except where it says recipients. */
export interface Verdict {
  readonly accepted: number;
  readonly deliveredOnce: number;
  /** Some recipient has more than one copy; each follows an uncertain attempt, or is a violation. */
  readonly deliveredMore: number;
  readonly dead: Readonly<Record<string, number>>;
  /** Some recipients have it, the others are dead. */
  readonly partial: number;
  readonly held: number;
  readonly cancelled: number;
  /** Held, and given up by an operator. */
  readonly dropped: number;
  /** Accepted, not settled yet. */
  readonly pending: number;
  /** Accepted recipients that neither have a copy nor are dead, held, cancelled or pending. Must be 0. */
  readonly lost: number;
  readonly violations: readonly Violation[];
}

export function judge(all: readonly Evidence[]): Verdict {
  const verdict = {
    accepted: 0,
    deliveredOnce: 0,
    deliveredMore: 0,
    partial: 0,
    held: 0,
    cancelled: 0,
    dropped: 0,
    pending: 0,
    lost: 0,
  };
  const dead: Record<string, number> = {};
  const violations: Violation[] = [];
  for (const evidence of all) {
    const { offer, row } = evidence;
    const what = violationsOf(evidence);
    if (what.length > 0) violations.push({ what, evidence });
    const most = Math.max(0, ...[...evidence.copies.values()].map((copies) => copies.length));
    if (most > 1) verdict.deliveredMore += 1;
    if (!offer.accepted) continue;
    verdict.accepted += 1;
    verdict.lost += offer.to.filter((address) => isLost(evidence, address)).length;
    if (row === null || (!terminalStates.has(row.state) && row.state !== 'held')) verdict.pending += 1;
    else if (row.state === 'sent' && most === 1) verdict.deliveredOnce += 1;
    else if (resolved(row, 'drop')) verdict.dropped += 1;
    else if (row.state === 'dead') dead[row.reason ?? '?'] = (dead[row.reason ?? '?'] ?? 0) + 1;
    else if (row.state === 'partial' || row.state === 'held' || row.state === 'cancelled') verdict[row.state] += 1;
  }
  return { ...verdict, dead, violations };
}

/** No server has it, no dead letter and no queue. */
function isLost({ row, letter, inIntake, copies }: Evidence, address: string): boolean {
  if ((copies.get(address)?.length ?? 0) > 0) return false;
  if (row === null) return !inIntake;
  if (row.state === 'cancelled' || resolved(row, 'drop')) return false;
  // The operator claimed that it arrived, which may be wrong: not Postlane's claim.
  if (resolved(row, 'sent') && outcomeOf(row, address) === 'accepted') return false;
  if (!terminalStates.has(row.state) && row.state !== 'held') return false;
  return letter?.recipients.some((recipient) => recipient.address === address) !== true;
}

function violationsOf(evidence: Evidence): string[] {
  const { offer, row, letter, copies, contents, takesAll } = evidence;
  const found: string[] = [];
  const marks = uncertainMarks(row);
  if (contents > 1) found.push(`its copies have ${contents} different contents`);
  if (takesAll && row?.reason === 'rejected') found.push('it was rejected, and its server would have taken it');
  if (letter !== null && (row?.state === 'sent' || row?.state === 'cancelled')) {
    found.push(`there is a dead letter, but the ledger says ${row.state}`);
  }
  for (const address of new Set([...offer.to, ...copies.keys()])) {
    const taken = copies.get(address) ?? [];
    const outcome = outcomeOf(row, address);
    if (taken.length - 1 > marks) found.push(`${address} has ${taken.length} copies, and ${marks} uncertain attempts`);
    if (taken.length > 0 && offer.cancelled) found.push(`${address} has a copy of a cancelled message`);
    if (taken.length > 0 && outcome !== 'accepted' && marks === 0) {
      found.push(`${address} has a copy, but the ledger says ${outcome}, and no attempt was uncertain`);
    }
    if (taken.length === 0 && outcome === 'accepted' && !resolved(row, 'sent'))
      found.push(`${address} has no copy, but the ledger says accepted`);
    const dead = letter?.recipients.some((recipient) => recipient.address === address) === true;
    if (dead && taken.length > 0 && marks === 0) found.push(`${address} has a copy and is in a dead letter`);
    if (offer.sendAt !== null && taken.some(({ at }) => at < offer.sendAt!)) found.push(`${address} has it too early`);
    if (offer.accepted && isLost(evidence, address)) found.push(`${address} is lost`);
  }
  return found;
}

function outcomeOf(row: LedgerRow | null, address: string): string {
  return row?.recipients.find((recipient) => recipient.address === address)?.outcome ?? 'unknown';
}

/** An operator has settled the message. */
function resolved(row: LedgerRow | null, as: 'sent' | 'drop'): boolean {
  return row?.history.some(({ event, detail }) => event === 'resolved' && detail === `as ${as}`) === true;
}

/** How many attempts ended without a known result: each may have delivered a copy. */
function uncertainMarks(row: LedgerRow | null): number {
  if (row === null) return 0;
  const marked = row.history.filter(({ event }) => event === 'uncertain' || event === 'held').length;
  return marked + (row.reason === 'uncertain' && row.state !== 'held' && marked === 0 ? 1 : 0);
}
