/** One connector as an operator sees it: what it waits for and until when, its faults, its limits and their use. */
import type { LanePause } from '../queue/lanes/pause.ts';
import {
  groupQuotasOf,
  ownerOfGroup,
  quotasOf,
  type Quota,
  type QuotaKind,
  type QuotaWindow,
} from '../queue/lanes/quota.ts';
import type { LaneStatus } from '../queue/lanes/status.ts';
import type { WaitReason } from '../queue/lanes/wait-reasons.ts';
import type { ConnectorLimits } from '../routing/connector.ts';
import { sendingOf, type Sending } from '../transport/proxy.ts';
import type { ConfiguredConnector } from './admin-config.ts';
import { stateOf, type ConnectorState } from './trouble.ts';

/** All that is known of one. Numbers that end in Ms are durations, those that end in At are ms since the epoch. */
export interface ConnectorRow extends Sending {
  readonly id: string;
  /** null: not configured (any more), but its lane has messages. */
  readonly direction: ConfiguredConnector['direction'] | null;
  readonly transport: 'smtp' | 'graph' | null;
  readonly addresses: readonly string[];
  readonly isDefault: boolean;
  readonly state: ConnectorState;
  readonly waiting: number;
  readonly active: number;
  readonly delayed: number;
  /** Messages since the lane was created, across all workers. */
  readonly sent: number;
  readonly paused: boolean;
  readonly pause: LanePause | null;
  readonly limits: ConnectorLimits | null;
  readonly waitingFor: WaitReason;
  readonly waitingUntil: number | null;
  /** Remaining time of that wait; null if unknown. */
  readonly untilMs: number | null;
  /** Messages that may be sent at once now: fewer than `limits.concurrency` after a fault, or while the server throttles. */
  readonly concurrency: number | null;
  /** The rate that the server bears, where it has refused a faster one. */
  readonly learnedMessagesPerMinute: number | null;
  readonly used: Used;
  readonly breaker: Breaker;
  /** Faults that no success has followed yet, newest first. */
  readonly faults: readonly ConnectorFault[];
  /** Who stands in for it; null: no connector does. */
  readonly fallback: FallbackView | null;
  /** Refusals that may be the connector's or the messages' own, and how many messages wait aside; null without any. */
  readonly suspect: { readonly reply: string; readonly setAside: number; readonly since: number } | null;
  readonly oldestWaitingAt: number | null;
  readonly oldestWaitingMs: number | null;
  /** When the first of its messages expires, as far as it is known; see `deadlines.ts`. */
  readonly nextDeadlineAt: number | null;
}

/** Current use within the window of each limit; null without such a limit. */
export interface Used {
  readonly recipientsPerDay: number | null;
  readonly bytesPerWindow: number | null;
  /** Of its group, by all of the group's connectors; null without one. */
  readonly group: {
    readonly id: string;
    readonly messagesPerMinute: number | null;
    readonly recipientsPerDay: number | null;
    readonly bytesPerWindow: number | null;
  } | null;
}

/** `open`: the lane waits because of the fault, for another `untilMs`. `closed` with faults: it is being retried. @public */
export interface Breaker {
  readonly state: 'closed' | 'open';
  readonly fault: string | null;
  readonly faults: number;
  readonly untilMs: number | null;
  readonly reply: string | null;
}

/** Its mail goes by the first of `to` that works and may send for the From, once it has been at fault for `afterMs`. @public */
export interface FallbackView {
  readonly to: readonly string[];
  readonly afterMs: number;
  /** Faults after which it does so at once. */
  readonly atOnce: readonly string[];
  /** Since when its mail goes by them; null: it goes by itself. */
  readonly since: number | null;
  /** That have entered another lane since. */
  readonly messages: number;
}

interface ConnectorFault {
  readonly fault: string;
  readonly reply: string;
  /** In a row. */
  readonly count: number;
  readonly since: number;
  readonly until: number;
}

export async function usedOf(id: string, limits: ConnectorLimits | null, quota: Pick<Quota, 'used'>): Promise<Used> {
  const group = limits?.group ?? null;
  const [own, shared] = await Promise.all([
    usedWithin(id, limits === null ? [] : quotasOf(limits), quota),
    group === null ? null : usedWithin(ownerOfGroup(group.id), groupQuotasOf(group), quota),
  ]);
  const day = own.get('recipients-per-day') ?? null;
  const window = own.get('bytes') ?? null;
  if (group === null || shared === null) return { recipientsPerDay: day, bytesPerWindow: window, group: null };
  const ofGroup = {
    id: group.id,
    messagesPerMinute: shared.get('messages-per-minute') ?? null,
    recipientsPerDay: shared.get('recipients-per-day') ?? null,
    bytesPerWindow: shared.get('bytes') ?? null,
  };
  return { recipientsPerDay: day, bytesPerWindow: window, group: ofGroup };
}

async function usedWithin(
  owner: string,
  windows: readonly QuotaWindow[],
  quota: Pick<Quota, 'used'>,
): Promise<ReadonlyMap<QuotaKind, number>> {
  const used = windows.length === 0 ? [] : await quota.used(owner, windows);
  return new Map(windows.map(({ kind }, i) => [kind, used[i] ?? 0]));
}

export function rowOf(
  id: string,
  configured: ConfiguredConnector | null,
  status: LaneStatus,
  { used, first, isDefault }: { readonly used: Used; readonly first: number | null; readonly isDefault: boolean },
  now: number,
): ConnectorRow {
  const { waiting, active, delayed, sent, paused, pause, faults, oldestWaitingAt } = status;
  const { waitingFor, untilMs, concurrency, learnedMessagesPerMinute, suspect } = status;
  const about = { waiting, active, delayed, paused, waitingFor, concurrency, oldestWaitingAt };
  const lane = { ...about, fault: faults?.fault ?? null, setAside: suspect?.setAside ?? 0 };
  return {
    id,
    direction: configured?.direction ?? null,
    transport: configured?.transport?.kind ?? null,
    ...sendingOf(configured),
    addresses: configured?.addresses ?? [],
    isDefault,
    state: stateOf(lane, configured?.direction ?? null),
    waiting,
    active,
    delayed,
    sent,
    paused,
    pause,
    limits: configured?.limits ?? null,
    waitingFor,
    waitingUntil: untilMs === null ? null : now + untilMs,
    untilMs,
    concurrency,
    learnedMessagesPerMinute,
    used,
    breaker: breakerOf(faults, now),
    faults:
      faults === null
        ? []
        : [
            {
              fault: faults.fault,
              reply: faults.reply,
              count: faults.faults,
              since: faults.since,
              until: faults.until,
            },
          ],
    fallback: fallbackOf(configured, status),
    suspect,
    oldestWaitingAt,
    oldestWaitingMs: oldestWaitingAt === null ? null : Math.max(0, now - oldestWaitingAt),
    nextDeadlineAt: first,
  };
}

function fallbackOf(configured: ConfiguredConnector | null, { fallback }: LaneStatus): FallbackView | null {
  const set = configured?.fallback ?? null;
  if (set === null && fallback === null) return null;
  const { to, afterMs, atOnce } = set ?? { to: fallback?.to.split(', ') ?? [], afterMs: 0, atOnce: [] };
  return { to, afterMs, atOnce, since: fallback?.since ?? null, messages: fallback?.messages ?? 0 };
}

function breakerOf(faults: LaneStatus['faults'], now: number): Breaker {
  if (faults === null) return { state: 'closed', fault: null, faults: 0, untilMs: null, reply: null };
  const left = faults.until - now;
  const about = { fault: faults.fault, faults: faults.faults, reply: faults.reply };
  return left > 0 ? { state: 'open', ...about, untilMs: left } : { state: 'closed', ...about, untilMs: null };
}
