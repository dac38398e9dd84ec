/** `resolve`: settles held messages, whose last attempt has no known result, as an operator decides. */
import { Option, type Command } from 'commander';
import { printable, PostlaneError } from '../errors.ts';
import { checkedReason, shellActor } from './actor.ts';
import type { Action, Call } from './command.ts';
import { openOperator, requireConfig } from './compose.ts';
import type { ExitCode } from './failure.ts';

interface ResolveOptions {
  readonly as: 'sent' | 'retry' | 'drop';
  readonly reason?: string;
}

/** For the program, and for its group `dead`, which lists held messages too. */
export function addResolve(parent: Command, action: Action): void {
  parent
    .command('resolve')
    .argument('<id...>', 'ids of held messages')
    .description('settle held messages, whose last attempt has no known result')
    .addOption(
      new Option('--as <result>', 'sent: they arrived; retry: send them again; drop: do not send them')
        .choices(['sent', 'retry', 'drop'])
        .makeOptionMandatory(),
    )
    .option('--reason <text>', 'why; it is kept in the audit')
    .action(action<ResolveOptions>((call, options, ids) => resolve(call, options, ids)));
}

async function resolve(call: Call, { as, reason }: ResolveOptions, ids: readonly string[]): Promise<ExitCode> {
  const { config } = await requireConfig(call, call.configFile);
  const operator = await openOperator(config);
  try {
    const why = reason === undefined ? null : checkedReason(reason);
    const actions = operator.as(shellActor(), config);
    const missing: string[] = [];
    for (const id of ids) {
      if (!(await actions.resolve(id, as, why))) missing.push(`"${printable(id, 130)}"`);
      else call.terminal.result({ id, result: as }, () => [`${id}  resolved as ${as}`]);
    }
    if (missing.length === 0) return 0;
    throw new PostlaneError('not-found', `No held message has the id ${missing.join(', ')}.`);
  } finally {
    operator.close();
  }
}
