/** `dead replay` and `dead drop`: select dead letters by id or by filter, count them, and act on one after the other. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Command } from 'commander';
import { printable, PostlaneError } from '../errors.ts';
import type { Config } from '../config/config.ts';
import type { DeadLetterSummary } from '../queue/ledger/dead-letters.ts';
import type { Actions } from '../admin/actions.ts';
import { lifetimeOf, resolution } from '../admin/admin-config.ts';
import { bulkRefusal, type BulkAsk } from '../admin/bulk.ts';
import { filterText } from '../admin/dead-filter.ts';
import type { BulkKind } from '../admin/dead-preview.ts';
import type { Operator } from '../admin/operator.ts';
import { operationJson } from '../admin/show.ts';
import { sends } from '../routing/connector.ts';
import { checkedReason, shellActor } from './actor.ts';
import type { Action, Call } from './command.ts';
import { openOperator, requireConfig, requireConnector } from './compose.ts';
import { selection, summaries, type FilterOptions } from './dead-selection.ts';
import { Conflict, UsageError, type ExitCode } from './failure.ts';
import { table } from './table.ts';
import { parseRate } from './values.ts';

interface ActOptions extends FilterOptions {
  readonly all?: boolean;
  readonly dryRun?: boolean;
  /** An operation does it, and this command does not wait for it. */
  readonly background?: boolean;
  /** Why, for the audit. */
  readonly note?: string;
}

interface ReplayOptions extends ActOptions {
  readonly via?: string;
  /** Interval in ms. */
  readonly rate?: number;
}

interface DropOptions extends ActOptions {
  readonly yes?: boolean;
}

/** Up to this many messages have a line each; more have a progress line and a summary. */
const maxLines = 20;

/** A dead letter, or an id on the command line that has none. */
type Chosen = { readonly id: string; readonly letter: DeadLetterSummary | null };

export function addDeadActions(dead: Command, action: Action, filters: (command: Command) => Command): void {
  filters(dead.command('replay').argument('[id...]', 'message ids'))
    .description('put dead letters back into the queue; repeating it does nothing')
    .option('--all', 'all of them')
    .option('--via <connector>', 'send through this connector instead of that of the From address')
    .option('--rate <n/s|n/m>', 'replay at most this many per second or minute', parseRate)
    .option('--note <text>', 'why; it is kept in the audit')
    .option('--background', 'begin an operation for `postlane serve`, and do not wait for it')
    .option('--dry-run', 'count only')
    .action(action<ReplayOptions>((call, options, ids) => replay(call, options, ids)));
  filters(dead.command('drop').argument('[id...]', 'message ids'))
    .description('remove dead letters permanently')
    .option('--all', 'all of them')
    .option('--yes', 'confirm dropping without ids')
    .option('--note <text>', 'why; it is kept in the audit')
    .option('--background', 'begin an operation for `postlane serve`, and do not wait for it')
    .option('--dry-run', 'count only')
    .action(action<DropOptions>((call, options, ids) => drop(call, options, ids)));
}

async function replay(call: Call, options: ReplayOptions, ids: readonly string[]): Promise<ExitCode> {
  const { config } = await requireConfig(call, call.configFile);
  const { via = null, rate = 0 } = options;
  if (via !== null && !sends(requireConnector(config, via).direction)) {
    throw new UsageError(`--via: "${printable(via, 130)}" only receives, it never sends`);
  }
  const act = ({ operator, actions, single }: Tools, { id, letter }: Chosen): Promise<string> => {
    if (single) return actions.replay(id, { via, reason: noteOf(options) });
    const lifetimeMs = lifetimeOf(config, via ?? letter?.connector ?? null);
    return operator.replay(id, { via, now: Date.now(), lifetimeMs });
  };
  return each(call, config, options, ids, { kind: 'replay', via, betweenMs: rate, act });
}

async function drop(call: Call, options: DropOptions, ids: readonly string[]): Promise<ExitCode> {
  const { config } = await requireConfig(call, call.configFile);
  if (ids.length === 0 && options.yes !== true && options.dryRun !== true) {
    throw new UsageError(
      'a dropped message cannot be restored: pass ids, or add --yes to the filters (--dry-run counts first)',
    );
  }
  const act = async ({ operator, actions, single }: Tools, { id }: Chosen): Promise<string> => {
    if (single) return (await actions.drop(id, noteOf(options))) ? 'dropped' : 'not-found';
    // A held message is dropped with its dead letter; otherwise its row would wait for an operator forever.
    const given = await operator.resolve(id, 'drop', resolution(config, null, Date.now()));
    return given || (await operator.drop(id)) ? 'dropped' : 'not-found';
  };
  return each(call, config, options, ids, { kind: 'drop', via: null, betweenMs: 0, act });
}

function noteOf({ note }: ActOptions): string | null {
  return note === undefined ? null : checkedReason(note);
}

interface Tools {
  readonly operator: Operator;
  readonly actions: Actions;
  /** Each letter has its own entry in the audit; else all of them have one. */
  readonly single: boolean;
}

interface Work {
  readonly kind: BulkKind;
  readonly via: string | null;
  readonly betweenMs: number;
  readonly act: (tools: Tools, chosen: Chosen) => Promise<string>;
}

async function each(
  call: Call,
  config: Config,
  options: ActOptions,
  ids: readonly string[],
  { kind: verb, via, betweenMs, act }: Work,
): Promise<ExitCode> {
  const { terminal } = call;
  const filter = selection(options, Date.now());
  const filtered = Object.keys(filter).length > 0;
  if (ids.length > 0 && (filtered || options.all === true)) throw new UsageError('pass ids or filters, not both');
  if (ids.length === 0 && !filtered && options.all !== true) {
    throw new UsageError('pass ids, filters (--reason --connector --since --until), or --all');
  }
  const operator = await openOperator(config);
  const actions = operator.as(shellActor(), config);
  const tools: Tools = { operator, actions, single: ids.length > 0 && ids.length <= maxLines };
  try {
    if (options.background === true && options.dryRun !== true) {
      const choice = ids.length > 0 ? ({ by: 'ids', ids } as const) : ({ by: 'filter', filter } as const);
      const ratePerSecond = betweenMs === 0 ? null : 1_000 / betweenMs;
      return await background(call, actions, { kind: verb, choice, via, ratePerSecond, reason: noteOf(options) });
    }
    // Select all first: a message that dies again meanwhile must not be replayed forever.
    const chosen: Chosen[] =
      ids.length > 0
        ? await Promise.all(
            [...new Set(ids)].map(async (id) => ({ id, letter: await operator.deadLetters.summary(id) })),
          )
        : (await summaries(operator, filter, Infinity)).map((letter) => ({ id: letter.id, letter }));
    const there = chosen.flatMap(({ letter }) => letter ?? []);
    const count = `${there.length} ${there.length === 1 ? 'dead letter' : 'dead letters'}`;
    const counted = new Map<string, number>();
    if (options.dryRun === true) {
      const byReason = tally(there.map(({ reason }) => reason));
      const byConnector = tally(there.map(({ connector }) => connector ?? '-'));
      terminal.result({ dryRun: true, count: there.length, byReason, byConnector }, () => [
        `${count} would be ${verb === 'replay' ? 'replayed' : 'dropped'}`,
        '',
        ...countLines('REASON', byReason, terminal.bold),
        '',
        ...countLines('CONNECTOR', byConnector, terminal.bold),
      ]);
    } else {
      terminal.note(`${count} to ${verb}`);
      let next = performance.now();
      for (const [index, one] of chosen.entries()) {
        // The interval is from start to start, so that the work does not slow the pace. Lost time is not made up for.
        const waitMs = next - performance.now();
        if (waitMs > 0) await pause(waitMs);
        next = Math.max(next, performance.now()) + betweenMs;
        const result = await act(tools, one);
        counted.set(result, (counted.get(result) ?? 0) + 1);
        // Reported one by one: if the command is interrupted, the output shows what was done.
        terminal.result({ id: one.id, result }, () => (chosen.length <= maxLines ? [`${one.id}  ${result}`] : []));
        if (chosen.length > maxLines) terminal.progress(`${index + 1} of ${chosen.length}`);
      }
      terminal.progress('');
      const summary = [...counted].map(([result, times]) => `${times} ${result}`).join(', ');
      if (chosen.length > maxLines) terminal.note(summary);
      if (!tools.single) {
        const detail = `${count}${via === null ? '' : `, via ${via}`}: ${summary || 'none'}; ${filterText(filter)}`;
        await actions.note({ action: verb, target: null, reason: noteOf(options), detail }, 'done');
      }
    }
    const held = verb === 'replay' ? (counted.get('held') ?? 0) : 0;
    if (held > 0) {
      terminal.note(
        `${held} held: they may have arrived; settle each with \`postlane resolve ID --as sent|retry|drop\``,
      );
    }
    const unreadable = counted.get('unreadable') ?? 0;
    if (unreadable > 0) {
      terminal.note(
        `${unreadable} unreadable: \`postlane dead show ID\` shows what is there; enqueue the message anew`,
      );
    }
    const missing = chosen.filter(({ letter }) => letter === null).map(({ id }) => `"${printable(id, 130)}"`);
    if (missing.length === 0) return held + unreadable > 0 && ids.length > 0 ? 1 : 0;
    throw new PostlaneError('not-found', `No dead letter has the id ${missing.join(', ')}.`);
  } finally {
    operator.close();
  }
}

/** Leaves the work to `postlane serve`, or to `postlane operations run`. */
async function background({ terminal }: Call, actions: Actions, ask: BulkAsk): Promise<ExitCode> {
  const begun = await actions.begin(ask);
  if (!begun.ok) throw new Conflict(bulkRefusal(begun));
  const { operation } = begun;
  terminal.result(operationJson(operation), () => [
    `${operation.id}: ${operation.total} dead letters to ${operation.kind}, by \`postlane serve\` or \`postlane operations run\`.`,
  ]);
  return 0;
}

function tally(words: readonly string[]): Record<string, number> {
  const counts = new Map<string, number>();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  return Object.fromEntries([...counts].sort(([, a], [, b]) => b - a));
}

function countLines(title: string, counts: Record<string, number>, bold: (text: string) => string): string[] {
  return table(
    Object.entries(counts),
    [
      { title, cell: ([word]) => word },
      { title: 'COUNT', align: 'right', cell: ([, count]) => count },
    ],
    bold,
  );
}
