/** `operations`: bulk replays and drops of dead letters that run in the background: list, stop, pace, and work on them here. */
import { InvalidArgumentError, type Command } from 'commander';
import { PostlaneError, printable } from '../errors.ts';
import type { Actions } from '../admin/actions.ts';
import { maxRatePerSecond, minRatePerSecond } from '../admin/bulk.ts';
import type { Operation, OperationState } from '../admin/operations.ts';
import type { Operator } from '../admin/operator.ts';
import { operationJson } from '../admin/show.ts';
import { checkedReason, shellActor } from './actor.ts';
import type { Action, Call } from './command.ts';
import { openOperator, requireConfig } from './compose.ts';
import { Conflict, type ExitCode } from './failure.ts';
import { table } from './table.ts';
import { iso, type Terminal } from './terminal.ts';
import { parseCount, parseRate } from './values.ts';

interface ListOptions {
  readonly limit: number;
}

export function addOperations(program: Command, action: Action): void {
  const operations = program
    .command('operations')
    .description('bulk replays and drops of dead letters: list, show, stop, rate, run');
  operations
    .command('list', { isDefault: true })
    .description('list operations, newest first')
    .option('--limit <n>', 'how many at most', parseCount, 50)
    .action(
      action<ListOptions>((call, { limit }) =>
        withOperator(call, async ({ operator }) => show(await operator.operations.list(null, limit), call.terminal)),
      ),
    );
  operations
    .command('show')
    .argument('<id>', 'id of an operation')
    .description('show one operation')
    .action(
      action((call, _options, [id = '']) =>
        withOperator(call, async ({ operator }) => show([await required(operator, id)], call.terminal)),
      ),
    );
  operations
    .command('stop')
    .argument('<id>', 'id of an operation')
    .description('stop an operation; what it has done stays done')
    .option('--reason <text>', 'why; it is kept in the audit')
    .action(
      action<{ readonly reason?: string }>((call, { reason }, [id = '']) =>
        withOperator(call, async ({ operator, actions }) => {
          changed(id, await actions.stopOperation(id, reason === undefined ? null : checkedReason(reason)));
          return show([await required(operator, id)], call.terminal);
        }),
      ),
    );
  operations
    .command('rate')
    .argument('<id>', 'id of an operation')
    .argument('<rate>', 'as 20/s or 600/m, or `none`')
    .description('change how fast an operation works')
    .action(
      action((call, _options, [id = '', rate = '']) =>
        withOperator(call, async ({ operator, actions }) => {
          changed(id, await actions.setRate(id, rateOf(rate)));
          return show([await required(operator, id)], call.terminal);
        }),
      ),
    );
  operations
    .command('run')
    .argument('<id>', 'id of an operation')
    .description('work on an operation here until it is over, unless another process does')
    .action(
      action((call, _options, [id = '']) =>
        withOperator(call, async ({ operator, config }) => {
          await required(operator, id);
          const { signal } = new AbortController();
          await operator.run({ config: () => config, signal, only: id });
          return show([await required(operator, id)], call.terminal);
        }),
      ),
    );
}

interface Opened {
  readonly operator: Operator;
  readonly actions: Actions;
  readonly config: Parameters<Operator['as']>[1];
}

async function withOperator(call: Call, work: (opened: Opened) => Promise<ExitCode>): Promise<ExitCode> {
  const { config } = await requireConfig(call, call.configFile);
  const operator = await openOperator(config);
  try {
    return await work({ operator, config, actions: operator.as(shellActor(), config) });
  } finally {
    operator.close();
  }
}

async function required(operator: Operator, id: string): Promise<Operation> {
  const operation = await operator.operations.get(id);
  if (operation === null) throw unknown(id);
  return operation;
}

/** `state` is that in which the operation was found; null: there is none. */
function changed(id: string, state: OperationState | null): void {
  if (state === null) throw unknown(id);
  if (state !== 'running') throw new Conflict(`The operation ${printable(id, 130)} is over: ${state}.`);
}

function unknown(id: string): PostlaneError {
  const message = `No operation has the id "${printable(id, 130)}". See \`postlane operations list\`.`;
  return new PostlaneError('not-found', message);
}

/** `20/s` → 20, `none` → null. */
function rateOf(text: string): number | null {
  if (text === 'none') return null;
  const perSecond = 1_000 / parseRate(text);
  if (perSecond >= minRatePerSecond && perSecond <= maxRatePerSecond) return perSecond;
  throw new InvalidArgumentError(`It must be from 1/m to ${maxRatePerSecond}/s.`);
}

function show(operations: readonly Operation[], terminal: Terminal): ExitCode {
  terminal.results(operations.map(operationJson), () =>
    operations.length === 0
      ? ['No operations.']
      : table(
          operations,
          [
            { title: 'OPERATION', cell: ({ id }) => id },
            { title: 'STARTED', cell: ({ startedAt }) => iso(startedAt) },
            { title: 'KIND', cell: ({ kind }) => kind },
            { title: 'STATE', cell: ({ state }) => state },
            { title: 'DONE', align: 'right', cell: ({ done, total }) => `${done} of ${total}` },
            { title: 'RATE', cell: ({ ratePerSecond }) => (ratePerSecond === null ? null : `${ratePerSecond}/s`) },
            { title: 'WHAT', cell: ({ what, via }) => (via === null ? what : `${what}, via ${via}`) },
            { title: 'BY', cell: ({ by }) => by },
            { title: 'REASON', cell: ({ reason }) => reason },
          ],
          terminal.bold,
        ),
  );
  return 0;
}
