/**
 * Erases messages by their ids: what is personal in the row, the dead letter, kept contents, the search index and events that wait to be
 * read. A message that has not ended is left alone: to erase its content would be to lose it without a word.
 */
import { contentOf, intakeJobOf, type ContentTools } from './content.ts';
import { jobIdOf } from '../queue/jobs.ts';
import { refsOf } from '../queue/ledger/content.ts';
import type { LedgerRow, LedgerState } from '../queue/ledger/ledger.ts';
import type { OpenQueues } from '../queue/open.ts';

export type Erased =
  | { readonly id: string; readonly kind: 'erased' }
  | { readonly id: string; readonly kind: 'not-found' }
  /** Cancel it first, or resolve it if it is `held`. */
  | { readonly id: string; readonly kind: 'not-settled'; readonly state: LedgerState };

interface EraseTools extends ContentTools {
  readonly open: ContentTools['open'] & Pick<OpenQueues, 'erase'>;
}

/** One result for each id, in order. */
export async function eraseMessages(ids: readonly string[], tools: EraseTools): Promise<readonly Erased[]> {
  const results: Erased[] = [];
  const erased: string[] = [];
  for (const id of ids) {
    const row = await tools.open.ledger.read(id);
    const result: Erased = row === null ? { id, kind: 'not-found' } : await eraseOne(row, tools);
    results.push(result);
    if (result.kind === 'erased') erased.push(id);
  }
  if (erased.length > 0) await tools.open.erase.events(new Set(erased));
  return results;
}

async function eraseOne(row: LedgerRow, tools: EraseTools): Promise<Erased> {
  const { id } = row;
  const { open } = tools;
  const content = await contentOf(id, tools);
  const answer = await open.erase.row(row);
  if (answer === 'unknown') return { id, kind: 'not-found' };
  if (answer !== 'erased') return { id, kind: 'not-settled', state: answer };
  // A cancelled message stays in its queue until its time; the worker would only drop it there.
  if (row.connector !== null) await open.jobs.discard(open.lanes.queue(row.connector), jobIdOf(id), null);
  const job = await intakeJobOf(id, open);
  if (job !== null) await open.jobs.discard(open.intake, String(job.id), null);
  if (content !== null) await open.contents.release(id, refsOf(content.message));
  return { id, kind: 'erased' };
}
