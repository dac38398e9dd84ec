/** `messages`: finds messages, exports them as CSV, and erases what is personal of them. */
import { Option, type Command } from 'commander';
import { asError, printable } from '../errors.ts';
import type { MessageSummary } from '../admin/messages.ts';
import type { Operator } from '../admin/operator.ts';
import { ledgerStates, terminalStates, type LedgerState } from '../queue/ledger/ledger.ts';
import type { MessageQuery } from '../queue/search/search.ts';
import type { Action, Call } from './command.ts';
import { openOperator, openProducer, requireConfig, requireConnector } from './compose.ts';
import { UsageError, type ExitCode } from './failure.ts';
import { table } from './table.ts';
import { recipientJson } from './status.ts';
import { iso, type Terminal } from './terminal.ts';
import { collect, parseCount, parsePast } from './values.ts';

interface MessagesOptions {
  readonly recipient?: string;
  readonly from?: string;
  readonly connector?: string;
  readonly state?: LedgerState;
  readonly bounced?: true;
  readonly messageId?: string;
  readonly metadata?: readonly string[];
  readonly since?: string;
  readonly until?: string;
  readonly limit?: number;
  readonly csv?: true;
  readonly erase?: true;
  readonly cancel?: true;
}

/** Of a list for people. An export and an erasure have no bound. */
const usualLimit = 100;
/** Messages that are asked for at once. */
const perPage = 200;

export function addMessages(program: Command, action: Action): void {
  program
    .command('messages')
    .description('find messages, the newest first; export or erase them')
    .option('--recipient <address>', 'only messages to this address')
    .option('--from <address>', 'only messages of this From address (needs `index.from`)')
    .option('--connector <id>', 'only messages of this connector')
    .addOption(new Option('--state <state>', 'only messages in this state').choices(ledgerStates))
    .option('--bounced', 'only messages of which something came back')
    .option('--message-id <id>', 'only the message with this Message-ID, or that a server took under this id')
    .option('--metadata <key=value>', 'only messages with this metadata (needs `index.metadata`); repeatable', collect)
    .option(
      '--since <time>',
      'only messages accepted since this time: ISO 8601 with a time zone, or a duration ago (2h, 7d)',
    )
    .option('--until <time>', 'only messages accepted until this time')
    .option('--limit <n>', `how many at most (default: ${usualLimit}; all with --csv and --erase)`, parseCount)
    .option('--csv', 'print them as CSV')
    .option('--erase', 'erase content, addresses and replies of those that have ended')
    .option('--cancel', 'with --erase: cancel first those that wait')
    .action(action<MessagesOptions>((call, options) => messages(call, options)));
}

async function messages(call: Call, options: MessagesOptions): Promise<ExitCode> {
  const { config } = await requireConfig(call, call.configFile);
  const query = queryOf(options, Date.now());
  if (options.csv === true && call.terminal.json) throw new UsageError('--csv and --json exclude each other');
  if (options.cancel === true && options.erase !== true) throw new UsageError('--cancel goes with --erase');
  const operator = await openOperator(config);
  try {
    if (options.erase === true) {
      const { recipient, from, messageId, metadata } = query;
      if ([recipient, from, messageId, metadata].every((filter) => filter === undefined)) {
        throw new UsageError('--erase needs a person: --recipient, --from, --message-id or --metadata');
      }
      if (options.csv === true) throw new UsageError('--csv and --erase exclude each other');
      return await erase(call, operator, query, options);
    }
    const found = await all(operator, query, options.limit ?? (options.csv === true ? Infinity : usualLimit));
    if (found.items.length === 0 && options.connector !== undefined) requireConnector(config, options.connector);
    const { csvHeader, csvLine } = await import('../admin/csv.ts');
    call.terminal.results(found.items.map(messageJson), () =>
      options.csv === true ? [csvHeader(), ...found.items.map(csvLine)] : lines(found.items, call.terminal),
    );
    note(found, call.terminal);
    return 0;
  } finally {
    operator.close();
  }
}

interface Found {
  readonly items: readonly MessageSummary[];
  readonly more: boolean;
  readonly complete: boolean;
}

async function all(operator: Operator, query: MessageQuery, limit: number): Promise<Found> {
  const items: MessageSummary[] = [];
  let cursor: string | null = null;
  for (;;) {
    const most = Math.min(perPage, limit - items.length);
    const page = await operator.messages({ ...query, cursor, limit: most });
    items.push(...page.items);
    cursor = page.next;
    if (cursor === null || items.length >= limit) return { items, more: cursor !== null, complete: page.complete };
  }
}

function note({ more, complete, items }: Found, terminal: Terminal): void {
  if (more) terminal.note(`There are more than these ${items.length}: give a larger --limit.`);
  if (complete) return;
  terminal.note(
    'Some messages may be missing: they are older than the index, or beyond what it has. See docs/search.md.',
  );
}

async function erase(
  call: Call,
  operator: Operator,
  query: MessageQuery,
  { cancel, limit = Infinity }: MessagesOptions,
): Promise<ExitCode> {
  const { config } = await requireConfig(call, call.configFile);
  const found = await all(operator, query, limit);
  const waiting = found.items.filter(({ state }) => !terminalStates.has(state));
  if (cancel === true && waiting.length > 0) {
    const producer = await openProducer(config);
    try {
      for (const { id } of waiting) await producer.cancel(id);
    } finally {
      await producer.close();
    }
  }
  const results = await operator.erase(found.items.map(({ id }) => id));
  const erased = results.filter(({ kind }) => kind === 'erased').length;
  const left = results.flatMap((each) => (each.kind === 'not-settled' ? [{ id: each.id, state: each.state }] : []));
  const { complete } = found;
  call.terminal.result({ erased, notSettled: left, complete }, () => [
    `${erased} ${erased === 1 ? 'message' : 'messages'} erased`,
    ...left.map(({ id, state }) => `${id} is ${state}, and was left as it is`),
  ]);
  if (left.length > 0) {
    call.terminal.note(
      'What waits is not erased: cancel it with --cancel, wait for its end, or `postlane resolve` it.',
    );
  }
  note({ ...found, more: found.more }, call.terminal);
  return left.length > 0 ? 1 : 0;
}

function queryOf(options: MessagesOptions, now: number): Omit<MessageQuery, 'limit'> & { readonly limit: number } {
  const { recipient, from, connector, state, bounced, messageId, metadata } = options;
  const since = time('--since', options.since, now);
  const until = time('--until', options.until, now);
  if (since !== undefined && until !== undefined && since > until) {
    throw new UsageError('--since is after --until; swap them');
  }
  const pairs = (metadata ?? []).map((pair) => {
    const at = pair.indexOf('=');
    if (at < 1) throw new UsageError(`--metadata "${printable(pair, 60)}" must be KEY=VALUE`);
    return [pair.slice(0, at), pair.slice(at + 1)] as const;
  });
  const named = pairs.length === 0 ? undefined : Object.fromEntries(pairs);
  return { recipient, from, connector, state, bounced, messageId, metadata: named, since, until, limit: perPage };
}

function time(option: string, text: string | undefined, now: number): number | undefined {
  try {
    return text === undefined ? undefined : parsePast(text, now);
  } catch (thrown) {
    throw new UsageError(`${option}: ${asError(thrown).message}`);
  }
}

/** Times are ISO 8601, as everywhere in the JSON of the command line. */
function messageJson({
  at,
  updatedAt,
  retryAt,
  erasedAt,
  recipients,
  ...message
}: MessageSummary): Record<string, unknown> {
  return {
    ...message,
    recipients: recipients.map(recipientJson),
    at: iso(at),
    updatedAt: iso(updatedAt),
    retryAt: retryAt === null ? null : iso(retryAt),
    erasedAt: erasedAt === null ? null : iso(erasedAt),
  };
}

function lines(items: readonly MessageSummary[], { bold }: Terminal): string[] {
  if (items.length === 0) return ['No messages.'];
  const subjects = items.some(({ subject }) => subject !== null);
  return table(
    items,
    [
      { title: 'ID', cell: ({ id }) => id },
      { title: 'TIME', cell: ({ at }) => iso(at) },
      { title: 'STATE', cell: ({ state }) => state },
      { title: 'CONNECTOR', cell: ({ connector }) => connector },
      { title: 'FROM', cell: ({ from }) => from },
      { title: 'RECIPIENTS', cell: recipientsText },
      ...(subjects ? [{ title: 'SUBJECT', cell: ({ subject }: MessageSummary) => subject }] : []),
    ],
    bold,
  );
}

function recipientsText({ recipients, recipientCount }: MessageSummary): string {
  const first = recipients[0]?.address ?? '';
  return recipientCount <= 1 ? first : `${first} and ${recipientCount - 1} more`;
}
