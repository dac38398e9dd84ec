/** The command `outbox`: relays, prints the migration, and shows, releases or removes rows that wait for an operator. */
import { Option, type Command } from 'commander';
import { PostlaneError, printable } from '../errors.ts';
import { outboxProblems, type OutboxProblem } from '../outbox/events.ts';
import type { OutboxOperator, ProblemRow, RowFilter } from '../outbox/problems.ts';
import type { Action, Call } from './command.ts';
import { requireConfig, requireDatabase } from './compose.ts';
import { Conflict, UsageError, type ExitCode } from './failure.ts';
import { table } from './table.ts';
import { ago, iso, type Terminal } from './terminal.ts';
import { parseCount } from './values.ts';

interface RelayOptions {
  readonly printMigration?: true;
  readonly notify?: true;
}

interface SelectOptions {
  readonly all?: true;
  readonly problem?: OutboxProblem;
}

export function addOutbox(program: Command, action: Action): void {
  const outbox = program
    .command('outbox')
    .description('relay messages that an application wrote in its own database transaction: relay, list, retry, drop');
  outbox
    .command('relay', { isDefault: true })
    .description('relay until SIGTERM or SIGINT; SIGHUP reloads the configuration')
    .option('--print-migration', 'print the SQL that makes the table, and end')
    .option('--notify', 'with --print-migration: the trigger that wakes relays, too')
    .action(
      action<RelayOptions>(async (call, { printMigration, notify }) => {
        if (printMigration === true) return print(call, notify === true);
        if (notify === true) throw new UsageError('--notify belongs to --print-migration');
        const { runOutbox } = await import('./outbox.ts');
        const { flushTraces } = await import('../tracing/tracing.ts');
        const exit = await runOutbox(call);
        await flushTraces();
        return exit;
      }),
    );
  outbox
    .command('list')
    .description('list rows that cannot be relayed, the oldest first')
    .addOption(problemOption())
    .option('--limit <n>', 'how many at most', parseCount, 100)
    .action(
      action<SelectOptions & { readonly limit: number }>((call, { problem = null, limit }) =>
        withOperator(call, (operator) => list(operator, { ids: null, problem }, limit, call.terminal)),
      ),
    );
  outbox
    .command('retry')
    .argument('[ids...]', 'ids of messages')
    .description('relay rows with a problem again')
    .option('--all', 'all of them')
    .addOption(problemOption())
    .action(change('retry', action));
  outbox
    .command('drop')
    .argument('[ids...]', 'ids of messages')
    .description('remove rows with a problem: their messages are not sent')
    .option('--all', 'all of them')
    .addOption(problemOption())
    .action(change('drop', action));
}

function problemOption(): Option {
  return new Option('--problem <problem>', 'only those with this problem').choices(outboxProblems);
}

function change(what: 'retry' | 'drop', action: Action): ReturnType<Action> {
  return action<SelectOptions>((call, { all, problem = null }, ids) =>
    withOperator(call, async (operator) => {
      if ((all === undefined) === (ids.length === 0)) throw new UsageError('either ids or --all');
      const count = await operator[what]({ ids: all === true ? null : ids, problem });
      if (count === 0 && all === undefined) {
        const named = ids.map((id) => `"${printable(id, 130)}"`).join(', ');
        throw new PostlaneError('not-found', `No row with a problem has the id ${named}.`);
      }
      const [key, done] = what === 'retry' ? ['retried', 'to be relayed again'] : ['dropped', 'removed'];
      call.terminal.result({ [key]: count }, () => [`${count} ${count === 1 ? 'row' : 'rows'} ${done}.`]);
      return 0;
    }),
  );
}

/** SQL in any case: a migration is a file. */
async function print({ terminal }: Call, notify: boolean): Promise<ExitCode> {
  const { outboxMigration, outboxNotifyMigration } = await import('../outbox/table.ts');
  const text = notify ? `${outboxMigration}\n${outboxNotifyMigration}` : outboxMigration;
  terminal.result({ migration: text }, () => text.trimEnd().split('\n'));
  return 0;
}

async function withOperator(call: Call, work: (operator: OutboxOperator) => Promise<ExitCode>): Promise<ExitCode> {
  const { config } = await requireConfig(call, call.configFile);
  const database = requireDatabase(config.outbox.database);
  const { withOutbox } = await import('../outbox/problems.ts');
  // What the command itself finds is no fault of the database.
  let failure: unknown = null;
  const answer = await withOutbox(database, (operator) =>
    work(operator).catch((thrown: unknown): ExitCode => {
      if (!(thrown instanceof UsageError || thrown instanceof PostlaneError)) throw thrown;
      failure = thrown;
      return 1;
    }),
  );
  if (failure !== null) throw failure;
  if (!answer.ok) throw new Conflict(`The database of the outbox cannot be used: ${answer.detail}`);
  return answer.value;
}

async function list(operator: OutboxOperator, filter: RowFilter, limit: number, terminal: Terminal): Promise<ExitCode> {
  const rows = await operator.list(filter, limit);
  terminal.results(rows.map(rowJson), () => lines(rows, terminal));
  if (!terminal.json) {
    const { waiting, oldestMs } = await operator.counts();
    terminal.note(
      waiting === 0 ? 'No rows wait to be relayed.' : `${waiting} wait to be relayed, the first for ${ago(oldestMs)}.`,
    );
  }
  if (rows.length === limit) terminal.note(`There may be more than these ${limit}: give a larger --limit.`);
  return 0;
}

function rowJson({ createdAt, ...row }: ProblemRow): object {
  return { ...row, at: iso(createdAt.getTime()) };
}

function lines(rows: readonly ProblemRow[], { bold }: Terminal): string[] {
  if (rows.length === 0) return ['No rows with a problem.'];
  return table(
    rows,
    [
      { title: 'ID', cell: ({ id }) => id },
      { title: 'PROBLEM', cell: ({ problem }) => problem },
      { title: 'SINCE', cell: ({ createdAt }) => iso(createdAt.getTime()) },
      { title: 'BYTES', align: 'right', cell: ({ bytes }) => bytes },
      { title: 'DETAIL', cell: ({ detail }) => detail },
    ],
    bold,
  );
}
