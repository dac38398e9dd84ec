/** `suppressions`: addresses that get no mail: list, add, import, export, remove. */
import { resolve } from 'node:path';
import { Option, type Command } from 'commander';
import type { Actions } from '../admin/actions.ts';
import type { Operator } from '../admin/operator.ts';
import type { FileEntry } from '../admin/suppression-file.ts';
import { maxSuppressedAtOnce, suppressionJson, type SuppressionCounts } from '../admin/suppressions.ts';
import { readRegularFile } from '../config/files.ts';
import { asError, PostlaneError, printable } from '../errors.ts';
import { parseAddress } from '../message/address.ts';
import { suppressionOrigins, type Suppression, type SuppressionOrigin } from '../queue/suppressions.ts';
import { shellActor } from './actor.ts';
import type { Action, Call } from './command.ts';
import { openOperator, requireConfig } from './compose.ts';
import { Conflict, UsageError, type ExitCode } from './failure.ts';
import { readStream } from './files.ts';
import { table } from './table.ts';
import { iso, type Terminal } from './terminal.ts';
import { parseCount, parseFuture } from './values.ts';

interface ListOptions {
  readonly prefix?: string;
  readonly origin?: SuppressionOrigin;
  readonly limit?: number;
  readonly csv?: true;
}

interface AddOptions {
  readonly reason?: string;
  readonly until?: string;
  readonly file?: string;
}

/** Of a list for people. An export has no bound. */
const usualLimit = 100;
const perPage = 500;
/** Of a file that is imported. */
const maxFileBytes = 64 * 1024 * 1024;
/** Mistakes of a file that are shown. */
const mostProblems = 20;

export function addSuppressions(program: Command, action: Action): void {
  const suppressions = program
    .command('suppressions')
    .description('addresses that get no mail: list, add, import, export, remove');
  suppressions
    .command('list', { isDefault: true })
    .description('list suppressed addresses, in the order of the addresses')
    .option('--prefix <text>', 'only addresses that begin so')
    .addOption(new Option('--origin <origin>', 'only those that this has put there').choices(suppressionOrigins))
    .option('--limit <n>', `how many at most (default: ${usualLimit}; all with --csv)`, parseCount)
    .option('--csv', 'print them as CSV, as `add --file` reads it')
    .action(
      action<ListOptions>((call, options) => withOperator(call, ({ operator }) => list(operator, call, options))),
    );
  suppressions
    .command('add')
    .argument('[addresses...]', 'addresses')
    .description('add addresses, or replace their entries')
    .option('--reason <text>', 'why, for all of them')
    .option('--until <time>', 'until when: ISO 8601 with a time zone, or a duration from now (30d); default: for good')
    .option('--file <file>', 'CSV with a column `address`, or one address a line; `-` is stdin')
    .action(
      action<AddOptions>((call, options, addresses) =>
        withOperator(call, ({ actions }) => add(actions, call, options, addresses)),
      ),
    );
  suppressions
    .command('remove')
    .argument('<address>', 'address')
    .description('take an address off the list')
    .option('--reason <text>', 'why, for the audit')
    .action(
      action<{ readonly reason?: string }>((call, { reason = null }, [text = '']) =>
        withOperator(call, async ({ actions }) => {
          const address = addressOf(text);
          const removed = await actions.unsuppress(address, reason);
          if (removed === null) {
            throw new PostlaneError('not-found', `${printable(address, 200)} is not on the suppression list.`);
          }
          call.terminal.result(suppressionJson(removed), () => [`${removed.address} gets mail again.`]);
          return 0;
        }),
      ),
    );
}

interface Opened {
  readonly operator: Operator;
  readonly actions: Actions;
}

async function withOperator(call: Call, work: (opened: Opened) => Promise<ExitCode>): Promise<ExitCode> {
  const { config } = await requireConfig(call, call.configFile);
  const operator = await openOperator(config);
  try {
    return await work({ operator, actions: operator.as(shellActor(), config) });
  } finally {
    operator.close();
  }
}

async function list({ suppressions }: Operator, { terminal }: Call, options: ListOptions): Promise<ExitCode> {
  if (options.csv === true && terminal.json) throw new UsageError('--csv and --json exclude each other');
  const { prefix, origin, csv, limit = csv === true ? Infinity : usualLimit } = options;
  const filter = {
    ...(prefix === undefined ? {} : { prefix: prefix.toLowerCase() }),
    ...(origin === undefined ? {} : { origin }),
  };
  const items: Suppression[] = [];
  let after: string | null = null;
  do {
    const page = await suppressions.list({ ...filter, after, limit: Math.min(perPage, limit - items.length) });
    items.push(...page.items);
    after = page.next;
  } while (after !== null && items.length < limit);
  const { suppressionCsvHeader, suppressionCsvLine } = await import('../admin/suppression-file.ts');
  terminal.results(items.map(suppressionJson), () =>
    csv === true ? [suppressionCsvHeader, ...items.map(suppressionCsvLine)] : lines(items, terminal),
  );
  if (after !== null) terminal.note(`There are more than these ${items.length}: give a larger --limit.`);
  return 0;
}

async function add(
  actions: Actions,
  call: Call,
  { reason: given, until, file }: AddOptions,
  addresses: readonly string[],
): Promise<ExitCode> {
  if ((file === undefined) === (addresses.length === 0)) throw new UsageError('either addresses or --file FILE');
  const reason = given ?? null;
  const ends = until === undefined ? null : endOf(until);
  const entries: readonly FileEntry[] =
    file === undefined
      ? addresses.map((text) => ({ address: addressOf(text), reason, until: ends }))
      : (await entriesOf(call, file)).map((each) => ({
          ...each,
          reason: each.reason ?? reason,
          until: each.until ?? ends,
        }));
  const counts = { added: 0, replaced: 0, full: 0 };
  for (let from = 0; from < entries.length; from += maxSuppressedAtOnce) {
    const some = entries.slice(from, from + maxSuppressedAtOnce);
    const done: SuppressionCounts = await actions.suppress(some, file === undefined ? 'operator' : 'import');
    counts.added += done.added;
    counts.replaced += done.replaced;
    counts.full += done.full;
  }
  if (counts.full > 0) throw new Conflict(`The suppression list is full: ${counts.full} addresses were not added.`);
  const { added, replaced } = counts;
  call.terminal.result({ added, replaced }, () => [`${added} added, ${replaced} replaced.`]);
  return 0;
}

async function entriesOf({ cwd, streams }: Call, file: string): Promise<readonly FileEntry[]> {
  const read =
    file === '-'
      ? await readStream(streams.stdin, maxFileBytes)
      : await readRegularFile(resolve(cwd, file), maxFileBytes);
  if (!read.ok) throw new UsageError(`--file ${file} cannot be read: ${read.problem}`);
  const { readSuppressionFile } = await import('../admin/suppression-file.ts');
  const { entries, problems } = readSuppressionFile(read.bytes.toString('utf8'));
  if (problems.length > 0) {
    const shown = problems.slice(0, mostProblems).map(({ line, problem }) => `line ${line} ${problem}`);
    const more = problems.length > shown.length ? `; and ${problems.length - shown.length} more` : '';
    throw new UsageError(`nothing was added: ${shown.join('; ')}${more}`);
  }
  return entries;
}

function addressOf(text: string): string {
  const parsed = parseAddress(text);
  if (parsed.ok) return parsed.value;
  throw new UsageError(`"${printable(text, 200)}" ${parsed.problem}`);
}

function endOf(text: string): number {
  try {
    return parseFuture(text, Date.now());
  } catch (thrown) {
    throw new UsageError(`--until: ${asError(thrown).message}`);
  }
}

function lines(items: readonly Suppression[], { bold }: Terminal): string[] {
  if (items.length === 0) return ['No suppressed addresses.'];
  return table(
    items,
    [
      { title: 'ADDRESS', cell: ({ address }) => address },
      { title: 'ORIGIN', cell: ({ origin }) => origin },
      { title: 'SINCE', cell: ({ at }) => iso(at) },
      { title: 'UNTIL', cell: ({ until }) => (until === null ? null : iso(until)) },
      { title: 'BY', cell: ({ by }) => by },
      { title: 'REASON', cell: ({ reason }) => reason },
    ],
    bold,
  );
}
