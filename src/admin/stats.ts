/** The state of the whole installation on one page: counts, workers, the oldest message, the first deadline, a day in five minutes, Redis. */
import type { FleetSnapshot } from './fleet.ts';
import type { FirstDeadline } from './deadlines.ts';
import type { MemorySample, ServerCondition, WorkerThere } from '../queue/fleet.ts';
import type { Counters } from '../queue/journal/stats.ts';
import { stateOf, type ConnectorState } from './trouble.ts';

type Slots = Awaited<ReturnType<Counters['series']>>;

export interface Stats {
  readonly waiting: number;
  readonly active: number;
  readonly delayed: number;
  readonly due: number;
  readonly setAside: number;
  readonly unsettled: number;
  readonly deadLetters: number;
  /** null where it is not counted. */
  readonly held: number | null;
  readonly operations: number;
  /** The oldest message that waits for a connector that is not paused. */
  readonly oldest: { readonly connector: string; readonly at: number } | null;
  readonly firstDeadline: FirstDeadline | null;
  readonly workers: readonly WorkerThere[];
  readonly slots: number;
  readonly slotsBusy: number;
  readonly connectors: Readonly<Partial<Record<ConnectorState, number>>>;
  readonly series: Slots;
  /** Of the series: messages that a server took, and the part of them that it took within five minutes of acceptance or `sendAt`. */
  readonly sent: number;
  readonly sentSoon: number | null;
  readonly redis: RedisStats | null;
}

interface RedisStats extends ServerCondition {
  /** How fast the memory has grown in the last hour, in bytes an hour; null before two samples are there. */
  readonly growthPerHour: number | null;
  /** When it is full at that rate, ms since the epoch; null if it does not grow, or has no limit. */
  readonly fullAt: number | null;
}

export interface StatsRead {
  readonly fleet: FleetSnapshot;
  readonly firstDeadline: FirstDeadline | null;
  readonly workers: readonly WorkerThere[];
  readonly series: Slots;
  readonly memory: readonly MemorySample[];
  readonly operations: number;
  /** Connectors that are configured, and those of them that only receive. */
  readonly configured: number;
  readonly incoming: number;
}

/** Workers that are listed. */
export const mostWorkers = 1_000;
const hourMs = 3_600_000;

export function statsOf(read: StatsRead, now: number): Stats {
  const { fleet, workers, series, memory } = read;
  const { lanes, intake } = fleet;
  const sum = (of: (lane: (typeof lanes)[number]) => number): number =>
    lanes.reduce((total, lane) => total + of(lane), 0);
  const oldest = lanes
    .flatMap(({ connectorId, oldestWaitingAt, paused }) =>
      oldestWaitingAt === null || paused ? [] : [{ connector: connectorId, at: oldestWaitingAt }],
    )
    .sort((a, b) => a.at - b.at);
  const counted = (name: 'sent' | 'partial' | 'soon'): number =>
    series.reduce((total, { counts }) => total + counts[name], 0);
  const sent = counted('sent') + counted('partial');
  return {
    waiting: sum(({ waiting }) => waiting) + (intake?.waiting ?? 0),
    active: sum(({ active }) => active),
    delayed: sum(({ delayed }) => delayed) + (intake?.delayed ?? 0),
    due: fleet.due,
    setAside: fleet.setAside,
    unsettled: fleet.unsettled,
    deadLetters: fleet.deadLetters,
    held: fleet.held,
    operations: read.operations,
    oldest: oldest[0] ?? null,
    firstDeadline: read.firstDeadline,
    workers,
    slots: workers.reduce((total, { load }) => total + (load?.slots ?? 0), 0),
    slotsBusy: workers.reduce((total, { load }) => total + (load?.busy ?? 0), 0),
    connectors: statesOf(read),
    series,
    sent,
    sentSoon: sent === 0 ? null : Math.min(1, counted('soon') / sent),
    redis: fleet.servers === null ? null : redisOf(fleet.servers, memory, now),
  };
}

function statesOf({ fleet: { lanes }, configured, incoming }: StatsRead): Stats['connectors'] {
  const states: Partial<Record<ConnectorState, number>> = {};
  const add = (state: ConnectorState, count: number): void => {
    if (count > 0) states[state] = (states[state] ?? 0) + count;
  };
  for (const lane of lanes) add(stateOf(lane, null), 1);
  add('incoming', incoming);
  add('idle', configured - incoming - lanes.length);
  return states;
}

/** The slope between now and an hour ago, or what there is of it. */
function redisOf(condition: ServerCondition, memory: readonly MemorySample[], now: number): RedisStats {
  const { usedBytes, maxBytes } = condition;
  const first = memory.find(({ at }) => at >= now - hourMs - 300_000);
  const passedMs = first === undefined ? 0 : now - first.at;
  if (first === undefined || passedMs < 60_000) return { ...condition, growthPerHour: null, fullAt: null };
  const perMs = (usedBytes - first.usedBytes) / passedMs;
  const left = maxBytes - usedBytes;
  const fullAt = maxBytes === 0 || perMs <= 0 ? null : left <= 0 ? now : Math.round(now + left / perMs);
  // Beyond ten years it is noise.
  const far = fullAt !== null && fullAt - now > 10 * 365 * 24 * hourMs;
  return { ...condition, growthPerHour: Math.round(perMs * hourMs), fullAt: far ? null : fullAt };
}
