/** `dead list|show`, and the group of the `dead` commands: messages that are not retried automatically. */
import { Option, type Command } from 'commander';
import { keyMissing, printable, PostlaneError } from '../errors.ts';
import { deadReasons, type DeadLetter, type DeadLetterSummary } from '../queue/ledger/dead-letters.ts';
import type { Action, Call } from './command.ts';
import { openOperator, requireConfig, requireConnector } from './compose.ts';
import { selection, summaries, type FilterOptions } from './dead-selection.ts';
import { addDeadActions } from './dead-actions.ts';
import type { ExitCode } from './failure.ts';
import { addResolve } from './resolve.ts';
import { table } from './table.ts';
import { iso, type Terminal } from './terminal.ts';
import { parseCount } from './values.ts';

export function addDead(program: Command, action: Action): void {
  const dead = program.command('dead').description('dead letters: list, show, replay, drop, resolve');
  filters(dead.command('list').description('list dead letters, oldest first'))
    .option('--limit <n>', 'how many at most', parseCount)
    .action(action<FilterOptions & { readonly limit?: number }>((call, options) => list(call, options)));
  dead
    .command('show')
    .argument('<id...>', 'message ids')
    .description('show dead letters in full, with the message')
    .action(action((call, _options, ids) => show(call, ids)));
  addDeadActions(dead, action, filters);
  addResolve(dead, action);
}

/** The options that select dead letters, the same for each command. */
function filters(command: Command): Command {
  return command
    .addOption(new Option('--reason <reason>', 'only dead letters with this reason').choices(deadReasons))
    .option('--connector <id>', 'only dead letters of this connector')
    .option(
      '--since <time>',
      'only dead letters since this time: ISO 8601 with a time zone, or a duration ago (2h, 7d)',
    )
    .option('--until <time>', 'only dead letters until this time');
}

async function list(call: Call, options: FilterOptions & { readonly limit?: number }): Promise<ExitCode> {
  const { config } = await requireConfig(call, call.configFile);
  const filter = selection(options, Date.now());
  const operator = await openOperator(config);
  try {
    const rows = await summaries(operator, filter, options.limit ?? Infinity);
    if (rows.length === 0 && options.connector !== undefined) requireConnector(config, options.connector);
    call.terminal.results(rows.map(summaryJson), () => listLines(rows, call.terminal));
    return 0;
  } finally {
    operator.close();
  }
}

function summaryJson(letter: DeadLetterSummary): Record<string, unknown> {
  return { ...letter, at: iso(letter.at), acceptedAt: iso(letter.acceptedAt) };
}

function listLines(rows: readonly DeadLetterSummary[], { bold }: Terminal): string[] {
  if (rows.length === 0) return ['No dead letters.'];
  return table(
    rows,
    [
      { title: 'ID', cell: ({ id }) => id },
      { title: 'TIME', cell: ({ at }) => iso(at) },
      { title: 'REASON', cell: ({ reason }) => reason },
      { title: 'CONNECTOR', cell: ({ connector }) => connector },
      { title: 'RECIPIENTS', cell: ({ recipients }) => recipientsText(recipients.map(({ address }) => address)) },
      { title: 'REPLY', cell: ({ reply }) => reply },
    ],
    bold,
  );
}

function recipientsText(addresses: readonly string[]): string {
  const [first = '', ...others] = addresses;
  return others.length === 0 ? first : `${first} and ${others.length} more`;
}

async function show(call: Call, ids: readonly string[]): Promise<ExitCode> {
  const { config } = await requireConfig(call, call.configFile);
  const operator = await openOperator(config);
  try {
    const letters = await Promise.all(ids.map((id) => operator.deadLetters.get(id)));
    const found = letters.filter((letter) => letter !== null);
    const missing = ids.filter((_, i) => letters[i] === null);
    call.terminal.results(
      found.map((letter) => ({
        ...summaryJson(letter),
        data: letter.keyMissing === undefined ? letter.data : null,
        ...(letter.keyMissing === undefined ? {} : { keyMissing: letter.keyMissing }),
      })),
      () => found.flatMap((letter) => showLines(letter, call.terminal)),
    );
    const locked = found.find(({ keyMissing }) => keyMissing !== undefined);
    if (locked !== undefined)
      throw keyMissing(`The dead letter ${printable(locked.id, 130)}`, locked.keyMissing!, locked.id);
    if (missing.length === 0) return 0;
    const which = missing.map((id) => `"${printable(id, 130)}"`).join(', ');
    throw new PostlaneError('not-found', `No dead letter has the id ${which}. See \`postlane dead list\`.`);
  } finally {
    operator.close();
  }
}

function showLines(letter: DeadLetter, { bold }: Terminal): string[] {
  const { id, reason, connector, at, acceptedAt, attempts, reply, recipients, data, keyMissing: key } = letter;
  return [
    `${bold(id)}  ${reason}`,
    `died ${iso(at)}, accepted ${iso(acceptedAt)}, connector ${connector ?? '-'}, ${attempts} attempts`,
    ...(reply === null ? [] : [`reply: ${printable(reply, 1_000)}`]),
    '',
    ...table(
      recipients,
      [
        { title: 'RECIPIENT', cell: ({ address }) => address },
        { title: 'CODE', cell: ({ code }) => code },
        { title: 'REPLY', cell: ({ reply }) => reply },
      ],
      bold,
    ),
    '',
    // JSON.stringify does not escape C1 controls and bidirectional overrides, and a message is foreign text.
    ...(key === undefined
      ? JSON.stringify(shortened(data), null, 2)
          .split('\n')
          .map((line) => line.slice(0, line.length - line.trimStart().length) + printable(line, 500))
      : [`Its content is sealed with the key "${key}", which this configuration does not have.`]),
    '',
    `To send it again: postlane dead replay ${id}`,
  ];
}

/** For people: contents of attachments and raw messages are cut, and so is any text that would fill a screen. */
function shortened(value: unknown, key = ''): unknown {
  if (typeof value === 'string') {
    const limit = key === 'content' ? 60 : 400;
    return value.length <= limit ? value : `${value.slice(0, limit)}… (${value.length} characters)`;
  }
  if (Array.isArray(value)) return value.map((each) => shortened(each));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, shortened(each, name)]));
}
