/** `connectors`, `pause ID`, `resume ID`: the connectors and the current state of their lanes. */
import { InvalidArgumentError, type Command } from 'commander';
import { printable, unreachable } from '../errors.ts';
import type { Config } from '../config/config.ts';
import type { ConnectorRow } from '../admin/connector-row.ts';
import { connectorJson, pauseJson } from '../admin/show.ts';
import { longestPauseMs } from '../queue/lanes/pause.ts';
import { wayText } from '../transport/proxy.ts';
import { sends, type GroupLimits } from '../routing/connector.ts';
import { checkedReason, shellActor } from './actor.ts';
import type { Action, Call } from './command.ts';
import { openOperator, requireConfig, requireConnector } from './compose.ts';
import { UsageError, type ExitCode } from './failure.ts';
import { noteDelivery } from './delivery.ts';
import { noteFull } from './room.ts';
import { table } from './table.ts';
import { ago, iso, type Terminal } from './terminal.ts';
import { parseDuration } from './values.ts';

/** More connectors than a configuration may have. */
const everyConnector = 1_000_000;

export function addLanes(program: Command, action: Action): void {
  program
    .command('connectors')
    .description('list the connectors with their queues, limits and faults')
    .action(action((call) => connectors(call)));
  program
    .command('pause')
    .argument('<id>', 'id of a connector')
    .description('stop sending for a connector; its messages wait')
    .option('--reason <text>', 'why; it is shown with the connector, and kept in the audit')
    .option('--for <duration>', 'resume after this time: 30m, 2h, 7d (default: until `resume`)', parsePause)
    .action(action<PauseOptions>((call, options, [id = '']) => pause(call, id, options)));
  program
    .command('resume')
    .argument('<id>', 'id of a connector')
    .description('send for a connector again, and retry a connector with a fault now')
    .option('--reason <text>', 'why; it is kept in the audit')
    .action(action<{ readonly reason?: string }>((call, options, [id = '']) => resume(call, id, options)));
}

/** A pause has an end that can be awaited. */
function parsePause(text: string): number {
  const ms = parseDuration(text);
  if (ms >= 1_000 && ms <= longestPauseMs) return ms;
  throw new InvalidArgumentError('It must be from 1s to 365d.');
}

async function connectors(call: Call): Promise<ExitCode> {
  const { config } = await requireConfig(call, call.configFile);
  const operator = await openOperator(config);
  try {
    const { items } = await operator.connectors(config, { sort: 'id', after: null, limit: everyConnector });
    // In the order of the file, then what is not configured any more.
    const place = new Map(config.connectors.map(({ id }, at) => [id, at]));
    const shown = items.toSorted((a, b) => (place.get(a.id) ?? Infinity) - (place.get(b.id) ?? Infinity) || 0);
    call.terminal.results(shown.map(connectorJson), () => connectorLines(shown, call.terminal));
    await noteFull(operator, call.terminal);
    noteDelivery(config, call.terminal);
    return 0;
  } finally {
    operator.close();
  }
}

function connectorLines(rows: readonly ConnectorRow[], { bold }: Terminal): string[] {
  if (rows.length === 0) return ['No connectors are configured.'];
  return table(
    rows,
    [
      { title: 'CONNECTOR', cell: ({ id }) => id },
      { title: 'DIRECTION', cell: ({ direction }) => direction ?? 'not configured' },
      { title: 'BY', cell: (row) => (row.proxy === null ? row.transport : `${row.transport} via ${wayText(row)}`) },
      { title: 'WAITING', align: 'right', cell: ({ waiting }) => waiting },
      { title: 'ACTIVE', align: 'right', cell: ({ active }) => active },
      { title: 'DELAYED', align: 'right', cell: ({ delayed }) => delayed },
      { title: 'SENT', align: 'right', cell: ({ sent }) => sent },
      {
        title: 'OLDEST',
        align: 'right',
        cell: (row) => (row.oldestWaitingMs === null ? null : ago(row.oldestWaitingMs)),
      },
      { title: 'LIMITS', cell: limitsText },
      { title: 'STATE', cell: stateText },
    ],
    bold,
  );
}

function limitsText({ limits, concurrency, used }: ConnectorRow): string | null {
  if (limits === null) return null;
  const lowered = concurrency !== null && concurrency < limits.concurrency;
  const parts = [`${lowered ? `${concurrency} of ` : ''}${limits.concurrency} at once`];
  if (limits.messagesPerMinute !== null) parts.push(`${limits.messagesPerMinute}/min`);
  if (typeof limits.recipientsPerDay === 'number') {
    parts.push(`${used.recipientsPerDay ?? 0} of ${limits.recipientsPerDay} recipients/day`);
  }
  if (limits.bytesPerWindow) {
    const { bytes, windowMs } = limits.bytesPerWindow;
    parts.push(`${megabytes(used.bytesPerWindow ?? 0)} of ${megabytes(bytes)} MB/${ago(windowMs)}`);
  }
  const { group = null } = limits;
  if (group !== null) parts.push(groupText(group, used.group));
  return parts.join(', ');
}

function groupText(group: GroupLimits, used: ConnectorRow['used']['group']): string {
  const { messagesPerMinute: pace, recipientsPerDay: day, bytesPerWindow: window } = group;
  const parts = [
    ...(pace === null ? [] : [`${used?.messagesPerMinute ?? 0} of ${pace}/min`]),
    ...(day === null ? [] : [`${used?.recipientsPerDay ?? 0} of ${day} recipients/day`]),
    ...(window === null
      ? []
      : [`${megabytes(used?.bytesPerWindow ?? 0)} of ${megabytes(window.bytes)} MB/${ago(window.windowMs)}`]),
  ];
  return `group ${group.id}: ${parts.join(', ')}`;
}

function pauseText(pause: ConnectorRow['pause']): string {
  const { by = null, reason = null, until = null } = pause ?? {};
  const why = [by, reason].filter((part) => part !== null).join(': ');
  return `paused${until === null ? '' : ` until ${iso(until)}`}${why === '' ? '' : ` (${why})`}`;
}

function megabytes(bytes: number): string {
  return (bytes / 1_000_000).toFixed(bytes > 0 && bytes < 9_950_000 ? 1 : 0);
}

function stateText(row: ConnectorRow): string {
  const { waitingFor, untilMs: waitMs, concurrency, learnedMessagesPerMinute: learned, breaker, suspect } = row;
  const { state, fault, faults, untilMs, reply } = breaker;
  const until = waitMs === null ? '' : `, continues in ${ago(waitMs)}`;
  const parts: string[] = [];
  switch (waitingFor) {
    case 'pause':
      parts.push(pauseText(row.pause));
      break;
    case 'recipients-per-day':
      parts.push(`daily recipient limit reached${until}`);
      break;
    case 'bytes':
      parts.push(`byte limit reached${until}`);
      break;
    case 'group':
      parts.push(`limit of the group ${row.limits?.group?.id ?? ''} reached${until}`);
      break;
    case 'slow-down':
      parts.push(`slowed down by the server${until}`);
      break;
    case 'key':
      parts.push('messages wait for the key that they are sealed with (see the log of the workers)');
      break;
    case 'rate':
      parts.push(`paced${until}`);
      break;
    case 'concurrency':
      parts.push(`${concurrency ?? 'all'} being sent`);
      break;
    // A fault is described below; the others are no wait that an operator needs to know of.
    case 'fault':
    case 'retry':
    case 'work':
    case 'nothing':
      break;
    default:
      return unreachable(waitingFor);
  }
  if (fault !== null) {
    const when = state === 'open' ? `next attempt in ${ago(untilMs ?? 0)}` : 'retrying';
    parts.push(`${fault} (${faults}×), ${when}${reply === null || reply === '' ? '' : `: ${reply}`}`);
  }
  const away = row.fallback;
  if (away !== null && away.since !== null) {
    parts.push(`its mail goes by ${away.to.join(', ')}: ${away.messages} messages since ${iso(away.since)}`);
  }
  if (learned !== null) parts.push(`slowed to ${learned}/min, as the server refuses more`);
  if (suspect !== null) parts.push(`${suspect.setAside} set aside: ${suspect.reply}`);
  return parts.length === 0 ? 'ok' : parts.join('; ');
}

interface PauseOptions {
  readonly reason?: string;
  readonly for?: number;
}

async function pause(call: Call, id: string, { reason, for: forMs }: PauseOptions): Promise<ExitCode> {
  const { config } = await requireConfig(call, call.configFile);
  requireSending(config, id);
  const operator = await openOperator(config);
  try {
    const why = checkedReason(reason ?? 'from the command line');
    const { before, now } = await operator.as(shellActor(), config).pause(id, { reason: why, forMs: forMs ?? null });
    call.terminal.result({ id, paused: true, pause: pauseJson(now) }, () => [
      `${id} is paused: its messages wait until ${now.until === null ? `\`postlane resume ${id}\`` : iso(now.until)}. Attempts under way finish.`,
      ...(before === null
        ? []
        : [`It was paused already${before.by === null ? '' : `, by ${before.by}: ${before.reason ?? ''}`}.`]),
    ]);
    return 0;
  } finally {
    operator.close();
  }
}

async function resume(call: Call, id: string, { reason }: { readonly reason?: string }): Promise<ExitCode> {
  const { config } = await requireConfig(call, call.configFile);
  requireSending(config, id);
  const operator = await openOperator(config);
  try {
    const why = reason === undefined ? null : checkedReason(reason);
    await operator.as(shellActor(), config).resume(id, why);
    call.terminal.result({ id, paused: false }, () => [`${id} is resumed.`]);
    return 0;
  } finally {
    operator.close();
  }
}

function requireSending(config: Config, id: string): void {
  const connector = requireConnector(config, id);
  if (!sends(connector.direction))
    throw new UsageError(`"${printable(id, 130)}" only receives, so there is nothing to pause or resume`);
}
