/** Begins operations over many dead letters: by a selection of a preview, by ids, by a filter, or over all of them. */
import { unreachable } from '../errors.ts';
import type { DeadLetters } from '../queue/ledger/dead-letters.ts';
import { filterText, letterDigests, type LetterFilter } from './dead-filter.ts';
import { exclusionOf, previewDeadLetters, type BulkKind, type Selection, type Selections } from './dead-preview.ts';
import type { NewOperation, Operation, Operations } from './operations.ts';
import type { Routes } from './routes.ts';

export type BulkChoice =
  | { readonly by: 'selection'; readonly selection: string }
  | { readonly by: 'ids'; readonly ids: readonly string[] }
  | { readonly by: 'filter'; readonly filter: LetterFilter }
  /** All of them, and how many these are: the caller has looked. */
  | { readonly by: 'all'; readonly count: number };

export interface BulkAsk {
  readonly kind: BulkKind;
  readonly choice: BulkChoice;
  readonly via: string | null;
  readonly ratePerSecond: number | null;
  readonly reason: string | null;
}

/**
 * `selection`: it is unknown, or its time is over. `kind`: it was a preview of something else. `count`: there are as many now. `none`: no letter
 * is left to act on. `via`: this connector does not send, or is not configured. `busy`: as many operations as may be are not over.
 */
export type BulkAnswer =
  | { readonly ok: true; readonly operation: Operation }
  | { readonly ok: false; readonly why: 'selection' | 'kind' | 'none' | 'via' | 'busy' }
  | { readonly ok: false; readonly why: 'count'; readonly count: number };

export const maxIdsAsked = 1_000;
export const maxRatePerSecond = 1_000;
export const minRatePerSecond = 0.01;
/** Of those that are not over: each has its letters in a list. */
const mostOpenOperations = 20;

export interface BulkTools {
  readonly deadLetters: Pick<DeadLetters, 'page'>;
  readonly selections: Selections;
  readonly operations: Operations;
}

export async function beginBulk(
  tools: BulkTools,
  ask: BulkAsk,
  actor: Pick<NewOperation, 'by' | 'through'>,
  routes: Routes,
  now: number,
): Promise<BulkAnswer> {
  const { kind, choice, via, ratePerSecond, reason } = ask;
  const { operations } = tools;
  if (via !== null && !routes.sends(via)) return { ok: false, why: 'via' };
  if ((await operations.open()).length >= mostOpenOperations) return { ok: false, why: 'busy' };
  const about = { kind, by: actor.by, through: actor.through, via, ratePerSecond, reason };
  if (choice.by === 'ids') {
    const ids = [...new Set(choice.ids)];
    if (ids.length === 0) return { ok: false, why: 'none' };
    const what = ids.length === 1 ? 'one by its id' : `${ids.length} by their ids`;
    return { ok: true, operation: await operations.begin({ ...about, what, until: now }, pagesOf(ids)) };
  }
  const selection = await selectionOf(tools, ask, choice, routes, now);
  if ('ok' in selection) return selection;
  const filter = boundedFilter(selection);
  const what = filterText(selection.filter);
  const { until } = selection;
  const ids = idsOf(tools, { ...selection, filter, via: via ?? selection.via }, routes);
  const operation = { ...about, via: via ?? selection.via, what, until };
  const first = await ids.next();
  if (first.done === true) return { ok: false, why: 'none' };
  return { ok: true, operation: await operations.begin(operation, continued(first.value, ids)) };
}

async function selectionOf(
  { deadLetters, selections }: BulkTools,
  { kind, via }: BulkAsk,
  choice: Exclude<BulkChoice, { by: 'ids' }>,
  routes: Routes,
  now: number,
): Promise<Selection | Extract<BulkAnswer, { ok: false }>> {
  switch (choice.by) {
    case 'selection': {
      const selection = await selections.read(choice.selection);
      if (selection === null) return { ok: false, why: 'selection' };
      return selection.kind === kind ? selection : { ok: false, why: 'kind' };
    }
    case 'filter':
      return { kind, filter: choice.filter, via, until: now };
    case 'all': {
      const all: Selection = { kind, filter: {}, via, until: now };
      const { selected, count } = await previewDeadLetters(deadLetters, all, routes);
      return choice.count === count || choice.count === selected ? all : { ok: false, why: 'count', count };
    }
    default:
      return unreachable(choice);
  }
}

function boundedFilter({ filter, until }: Selection): LetterFilter {
  return { ...filter, until: Math.min(filter.until ?? Infinity, until) };
}

const pageSize = 1_000;

async function* pagesOf(ids: readonly string[]): AsyncGenerator<readonly string[]> {
  for (let from = 0; from < ids.length; from += pageSize) yield ids.slice(from, from + pageSize);
}

/** Ids of the letters that are meant and not excluded, a page at a time. */
async function* idsOf(
  { deadLetters }: BulkTools,
  selection: Selection,
  routes: Routes,
): AsyncGenerator<readonly string[]> {
  let page: string[] = [];
  for await (const digest of letterDigests(deadLetters, selection.filter)) {
    if (exclusionOf(digest, selection, routes) !== null) continue;
    page.push(digest.id);
    if (page.length < pageSize) continue;
    yield page;
    page = [];
  }
  if (page.length > 0) yield page;
}

async function* continued<Item>(first: Item, rest: AsyncGenerator<Item>): AsyncGenerator<Item> {
  yield first;
  yield* rest;
}

/** In words, for people. */
export function bulkRefusal(refused: Extract<BulkAnswer, { ok: false }>): string {
  switch (refused.why) {
    case 'selection':
      return 'the selection is unknown, or its time is over: make a new preview';
    case 'kind':
      return 'the selection is that of another action: make a preview of this one';
    case 'none':
      return 'no dead letter is left to act on';
    case 'via':
      return 'the connector of `via` is not configured, or never sends';
    case 'busy':
      return 'too many operations are not over: wait for one, or stop one';
    case 'count':
      return `there are ${refused.count} dead letters now`;
    default:
      return unreachable(refused);
  }
}
