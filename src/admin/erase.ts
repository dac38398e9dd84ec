/**
 * Erases messages by their ids: what is personal in the row, the dead letter, kept contents, the search index, events that wait to be
 * read, and deliveries to webhooks. A message that has not ended is left alone: to erase its content would be to lose it without a word.
 */
import { missingKeyOf } from '../errors.ts';
import type { MessageLimits } from '../message/message.ts';
import { jobIdOf } from '../queue/jobs.ts';
import { refsOf } from '../queue/ledger/content.ts';
import type { LedgerRow, LedgerState } from '../queue/ledger/ledger.ts';
import type { OpenQueues } from '../queue/open.ts';
import { intakeJob } from '../queue/waiting.ts';
import { contentOf } from './content.ts';

export type Erased =
  | { readonly id: string; readonly kind: 'erased' }
  | { readonly id: string; readonly kind: 'not-found' }
  /** Cancel it first, or resolve it if it is `held`. */
  | { readonly id: string; readonly kind: 'not-settled'; readonly state: LedgerState };

/** One result for each id, in order. */
export async function eraseMessages(
  ids: readonly string[],
  open: OpenQueues,
  limits: MessageLimits,
): Promise<readonly Erased[]> {
  const results: Erased[] = [];
  const erased: string[] = [];
  for (const id of ids) {
    const row = await open.ledger.read(id);
    const result: Erased = row === null ? { id, kind: 'not-found' } : await eraseOne(row, open, limits);
    results.push(result);
    if (result.kind === 'erased') erased.push(id);
  }
  if (erased.length === 0) return results;
  // First the events: what is read of them meanwhile is in a queue then, and found there.
  await open.erase.events(new Set(erased));
  await open.deliveries.erase(new Set(erased));
  return results;
}

async function eraseOne(row: LedgerRow, open: OpenQueues, limits: MessageLimits): Promise<Erased> {
  const { id } = row;
  const content = await contentOf(id, open, limits).catch((thrown: unknown) => {
    // Which contents it needs is sealed, too; maintenance finds those that no message needs.
    missingKeyOf(thrown);
    return null;
  });
  const answer = await open.erase.row(row);
  if (answer === 'unknown') return { id, kind: 'not-found' };
  if (answer !== 'erased') return { id, kind: 'not-settled', state: answer };
  // A cancelled message stays in its queue until its time; the worker would only drop it there.
  if (row.connector !== null) await open.jobs.discard(open.lanes.queue(row.connector), jobIdOf(id), null);
  const job = await intakeJob(open, id);
  if (job !== null) await open.jobs.discard(open.intake, String(job.id), null);
  if (content !== null) await open.contents.release(id, refsOf(content.message));
  return { id, kind: 'erased' };
}
