/**
 * One write to the ledger as data: what is written, and what follows once it is. Most are committed alone; the result of a
 * message's last attempt is committed together with the end of its job.
 */
import { printable } from '../errors.ts';
import type { SealingTools } from './sealing-tools.ts';
import type { ContentStore } from '../queue/ledger/content.ts';
import type { Ledger, NewRow, SettleAnswer, Settlement } from '../queue/ledger/ledger.ts';
import { retryWhileRefused } from './retry-write.ts';
import type { Listener, WorkerEvent } from './events.ts';

/** What every part of a worker needs that settles messages. */
export interface LedgerTools extends SealingTools {
  readonly ledger: Ledger;
  readonly contents: ContentStore;
  readonly emit: Listener;
  readonly now: () => number;
  /** How long the row of a settled message is kept, in ms. A reload may change it. */
  readonly retentionMs: () => number;
  /** How long the content of a sent message is kept, in ms. */
  readonly contentMs: () => number;
}

export interface LedgerWrite {
  readonly row: NewRow;
  /** The token of the open attempt in the ledger; null if no attempt is open. */
  readonly token: string | null;
  readonly settlement: Settlement;
  /** Emitted once it is written, unless another result stands. */
  readonly events: readonly WorkerEvent[];
  /** Hashes of the stored contents that the message needs no longer. */
  readonly unneeded: readonly string[];
}

/**
 * Writes, and does what follows. The result of an attempt is written even if Redis refuses for hours, because this process alone
 * knows what the server answered. Without an attempt, a refusal is an error: the same can be found out again.
 */
export async function commit(write: LedgerWrite, tools: LedgerTools): Promise<SettleAnswer> {
  const { row, token, settlement } = write;
  const settle = (): Promise<SettleAnswer> => tools.ledger.settle(row, token, settlement);
  const refused = (error: Error): void =>
    tools.emit({ event: 'error', id: row.id, where: 'ledger', detail: printable(error.message, 500) });
  const answer = token === null ? await settle() : await retryWhileRefused(settle, refused);
  await conclude(write, answer, tools);
  return answer;
}

/** What follows a write, by the ledger's answer to it. */
export async function conclude(
  { row, events, unneeded }: LedgerWrite,
  answer: SettleAnswer,
  { contents, emit }: LedgerTools,
): Promise<void> {
  if (answer === 'late') return;
  for (const event of events) emit(event);
  if (unneeded.length > 0) await contents.release(row.id, unneeded);
}
