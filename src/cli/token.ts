/** `token new`: makes a token of the HTTP API and prints it once, with the entry for the configuration, which has its hash only. */
import { createHash, randomBytes } from 'node:crypto';
import { Option, type Command } from 'commander';
import type { Action, Call } from './command.ts';
import { UsageError, type ExitCode } from './failure.ts';
import { collect } from './values.ts';

interface TokenOptions {
  readonly id: string;
  readonly scope: readonly string[];
  readonly from?: readonly string[];
  readonly rate?: string;
  readonly messagesPerDay?: string;
  readonly recipientsPerDay?: string;
  readonly expires?: string;
}

export function addToken(program: Command, action: Action): void {
  const group = program.command('token').description('tokens of the HTTP API');
  group
    .command('new')
    .description('print a new token once, and the entry for `api.tokens`; changes nothing')
    .requiredOption('--id <id>', 'name of the token in logs and audits')
    .addOption(
      new Option('--scope <scope>', 'what it may do: a scope or a role (repeatable, or separated by commas)')
        .argParser(collect)
        .makeOptionMandatory(),
    )
    .option(
      '--from <pattern>',
      'From address or *@domain that it is limited to (repeatable, or separated by commas)',
      collect,
    )
    .option('--rate <number>', 'requests per minute')
    .option('--messages-per-day <number>', 'messages that it may submit in any 24 hours')
    .option('--recipients-per-day <number>', 'recipients of those messages')
    .option('--expires <day>', 'last day on which it is accepted: 2027-12-31')
    .action(action<TokenOptions>((call, options) => newToken(call, options)));
}

async function newToken({ terminal }: Call, options: TokenOptions): Promise<ExitCode> {
  const { id, scope, from, rate, messagesPerDay, recipientsPerDay, expires } = options;
  const token = `plk_${id}_${randomBytes(32).toString('base64url')}`;
  const entry = {
    id,
    sha256: createHash('sha256').update(token).digest('hex'),
    scopes: listOf(scope),
    ...(from === undefined ? {} : { from: listOf(from) }),
    ...(rate === undefined ? {} : { ratePerMinute: Number(rate) }),
    ...(messagesPerDay === undefined ? {} : { messagesPerDay: Number(messagesPerDay) }),
    ...(recipientsPerDay === undefined ? {} : { recipientsPerDay: Number(recipientsPerDay) }),
    ...(expires === undefined ? {} : { expires }),
  };
  const { tokenMistakes } = await import('../config/api.ts');
  const mistakes = tokenMistakes(entry);
  if (mistakes.length > 0) throw new UsageError(mistakes.join('; '));
  terminal.result({ token, entry }, () => [
    token,
    '',
    'This is the only time that it is shown. The entry for the configuration:',
    '',
    'api:',
    '  tokens:',
    `    - ${flowOf(entry)}`,
  ]);
  return 0;
}

function listOf(given: readonly string[]): string[] {
  return given.flatMap((text) => text.split(',')).map((each) => each.trim());
}

/** JSON is YAML, too; without quotation marks around its names it reads as in the documents. */
function flowOf(entry: Readonly<Record<string, unknown>>): string {
  const fields = Object.entries(entry).map(([name, value]) => `${name}: ${JSON.stringify(value)}`);
  return `{ ${fields.join(', ')} }`;
}
