/** `connectors`, `pause ID`, `resume ID`: the connectors and the current state of their lanes. */
import type { Command } from 'commander';
import { printable, unreachable } from '../errors.ts';
import type { Config, ConnectorConfig, Limits } from '../config/config.ts';
import type { WaitReason } from '../queue/lanes/wait-reasons.ts';
import type { LaneFaults, LaneStatus } from '../queue/lanes/status.ts';
import type { Operator } from '../admin/operator.ts';
import { sends } from '../routing/connector.ts';
import { eachBounded } from './bounded.ts';
import type { Action, Call } from './command.ts';
import { openOperator, requireConfig, requireConnector } from './compose.ts';
import { UsageError, type ExitCode } from './failure.ts';
import { noteFull } from './room.ts';
import { table } from './table.ts';
import { ago, type Terminal } from './terminal.ts';

/** A row of `connectors`. Numbers that end in Ms are durations. */
interface ConnectorRow {
  readonly id: string;
  /** null: not configured (any more), but its lane has messages. */
  readonly direction: string | null;
  readonly transport: string | null;
  readonly waiting: number;
  readonly active: number;
  readonly delayed: number;
  /** Messages since the lane was created, across all workers. */
  readonly sent: number;
  readonly paused: boolean;
  readonly limits: Limits | null;
  readonly waitingFor: WaitReason;
  /** Remaining time of that wait; null if unknown. */
  readonly untilMs: number | null;
  /** Messages that may be sent at once now: fewer than `limits.concurrency` after a fault, or while the server throttles. */
  readonly concurrency: number | null;
  /** The rate that the server bears, where it has refused a faster one. */
  readonly learnedMessagesPerMinute: number | null;
  readonly used: Used;
  readonly breaker: Breaker;
  /** Refusals that may be the connector's or the messages' own, and how many messages wait aside; null without any. */
  readonly suspect: { readonly reply: string; readonly setAside: number; readonly since: string } | null;
  readonly oldestWaitingMs: number | null;
}

/** Current use within the window of each limit; null without such a limit. */
interface Used {
  readonly recipientsPerDay: number | null;
  readonly bytesPerWindow: number | null;
}

/** `open`: the lane waits because of the fault, for another `untilMs`. `closed` with faults: it is being retried. */
interface Breaker {
  readonly state: 'closed' | 'open';
  readonly fault: string | null;
  readonly faults: number;
  readonly untilMs: number | null;
  readonly reply: string | null;
}

const atOnce = 50;
const dayMs = 86_400_000;

export function addLanes(program: Command, action: Action): void {
  program
    .command('connectors')
    .description('list the connectors with their queues, limits and faults')
    .action(action((call) => connectors(call)));
  program
    .command('pause')
    .argument('<id>', 'id of a connector')
    .description('stop sending for a connector; its messages wait')
    .action(action((call, _options, [id = '']) => hold(call, id, true)));
  program
    .command('resume')
    .argument('<id>', 'id of a connector')
    .description('send for a connector again, and retry a connector with a fault now')
    .action(action((call, _options, [id = '']) => hold(call, id, false)));
}

async function connectors(call: Call): Promise<ExitCode> {
  const { config } = await requireConfig(call, call.configFile);
  const operator = await openOperator(config);
  try {
    const known = new Set(config.connectors.map(({ id }) => id));
    const strange = (await operator.lanes.known()).filter((id) => !known.has(id)).sort();
    const all = [...config.connectors, ...strange.map((id) => ({ id }))];
    const now = Date.now();
    const rows = await eachBounded(all, atOnce, async (connector) => {
      const status = await operator.lanes.status(connector.id);
      const used = await usedOf(connector.id, 'limits' in connector ? connector.limits : null, operator);
      return rowOf(connector, status, used, now);
    });
    // A lane outlives its connector; without messages it does not matter.
    const shown = rows.filter((row) => row.direction !== null || row.waiting + row.active + row.delayed > 0);
    call.terminal.results(shown, () => connectorLines(shown, call.terminal));
    await noteFull(operator, call.terminal);
    return 0;
  } finally {
    operator.close();
  }
}

async function usedOf(id: string, limits: Limits | null, { quota }: Operator): Promise<Used> {
  const day = limits?.recipientsPerDay ?? null;
  const window = limits?.bytesPerWindow ?? null;
  const used = await quota.used(id, [
    ...(day === null ? [] : [{ kind: 'recipients-per-day', windowMs: dayMs } as const]),
    ...(window === null ? [] : [{ kind: 'bytes', windowMs: window.windowMs } as const]),
  ]);
  return {
    recipientsPerDay: day === null ? null : (used[0] ?? null),
    bytesPerWindow: window === null ? null : (used.at(-1) ?? null),
  };
}

function rowOf(
  connector: ConnectorConfig | { readonly id: string; readonly direction?: undefined },
  status: LaneStatus,
  used: Used,
  now: number,
): ConnectorRow {
  const { waiting, active, delayed, sent, paused, faults, oldestWaitingAt } = status;
  const { waitingFor, untilMs, concurrency, learnedMessagesPerMinute, suspect } = status;
  const configured = connector.direction === undefined ? null : connector;
  return {
    id: connector.id,
    direction: configured?.direction ?? null,
    transport: configured?.transport?.kind ?? null,
    waiting,
    active,
    delayed,
    sent,
    paused,
    limits: configured?.limits ?? null,
    waitingFor,
    untilMs,
    concurrency,
    learnedMessagesPerMinute,
    used,
    breaker: breakerOf(faults, now),
    suspect: suspect === null ? null : { ...suspect, since: new Date(suspect.since).toISOString() },
    oldestWaitingMs: oldestWaitingAt === null ? null : Math.max(0, now - oldestWaitingAt),
  };
}

function breakerOf(faults: LaneFaults | null, now: number): Breaker {
  if (faults === null) return { state: 'closed', fault: null, faults: 0, untilMs: null, reply: null };
  const left = faults.until - now;
  const about = { fault: faults.fault, faults: faults.faults, reply: faults.reply };
  return left > 0 ? { state: 'open', ...about, untilMs: left } : { state: 'closed', ...about, untilMs: null };
}

function connectorLines(rows: readonly ConnectorRow[], { bold }: Terminal): string[] {
  if (rows.length === 0) return ['No connectors are configured.'];
  return table(
    rows,
    [
      { title: 'CONNECTOR', cell: ({ id }) => id },
      { title: 'DIRECTION', cell: ({ direction }) => direction ?? 'not configured' },
      { title: 'BY', cell: ({ transport }) => transport },
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
  if (limits.recipientsPerDay !== null) {
    parts.push(`${used.recipientsPerDay ?? 0} of ${limits.recipientsPerDay} recipients/day`);
  }
  if (limits.bytesPerWindow !== null) {
    const { bytes, windowMs } = limits.bytesPerWindow;
    parts.push(`${megabytes(used.bytesPerWindow ?? 0)} of ${megabytes(bytes)} MB/${ago(windowMs)}`);
  }
  return parts.join(', ');
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
      parts.push('paused');
      break;
    case 'recipients-per-day':
      parts.push(`daily recipient limit reached${until}`);
      break;
    case 'bytes':
      parts.push(`byte limit reached${until}`);
      break;
    case 'slow-down':
      parts.push(`slowed down by the server${until}`);
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
  if (learned !== null) parts.push(`slowed to ${learned}/min, as the server refuses more`);
  if (suspect !== null) parts.push(`${suspect.setAside} set aside: ${suspect.reply}`);
  return parts.length === 0 ? 'ok' : parts.join('; ');
}

async function hold(call: Call, id: string, pause: boolean): Promise<ExitCode> {
  const { config } = await requireConfig(call, call.configFile);
  requireSending(config, id);
  const operator = await openOperator(config);
  try {
    await (pause ? operator.lanes.pause(id) : operator.lanes.resume(id));
    call.terminal.result({ id, paused: pause }, () => [
      pause
        ? `${id} is paused: its messages wait until \`postlane resume ${id}\`. Attempts under way finish.`
        : `${id} is resumed.`,
    ]);
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
