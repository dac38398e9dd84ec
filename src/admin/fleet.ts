/** The state of the whole fleet as one value, for metrics: read from Redis at once, in bounded steps, by one process for all. */
import type { OpenQueues } from '../queue/open.ts';
import type { LedgerTotals, ServerCondition } from '../queue/fleet.ts';
import type { WebhookView } from '../queue/deliveries/deliveries.ts';
import type { EventTotals } from '../queue/journal/events.ts';
import { quotasOf, type OwnQuotaKind } from '../queue/lanes/quota.ts';
import type { LaneSurvey } from '../queue/lanes/survey.ts';
import { waitReasons, type WaitReason } from '../queue/lanes/wait-reasons.ts';
import type { ConnectorLimits } from '../routing/connector.ts';

interface IntakeCounts {
  readonly waiting: number;
  readonly delayed: number;
  readonly active: number;
}

export interface FleetSnapshot extends LedgerTotals {
  /** null if a foreign job stands in the place of its lists. */
  readonly intake: IntakeCounts | null;
  readonly workers: number;
  /** Messages that could be worked on now. */
  readonly due: number;
  readonly setAside: number;
  /** Of lanes that are not paused, ms since the epoch; null if nothing waits. */
  readonly oldestWaitingAt: number | null;
  /** Connectors that send, by what they wait for. */
  readonly waitingFor: ReadonlyMap<WaitReason, number>;
  /** Connectors by the fault that no success has followed yet. */
  readonly faults: ReadonlyMap<string, number>;
  /** Those that are not idle, the ones in trouble first, as many as were asked for. */
  readonly lanes: readonly LaneState[];
  /** Those that were left out, and those that cannot be read. */
  readonly omitted: number;
  /** Of events: memory, how many wait to be read, and how many were dropped since ever. */
  readonly events: EventTotals;
  /** By id, the first ones. */
  readonly webhooks: readonly WebhookView[];
  /** null if this user may not ask. */
  readonly servers: ServerCondition | null;
}

export interface LaneState extends LaneSurvey {
  /** Used part of each limit of a day or window that is configured. */
  readonly used: readonly { readonly quota: OwnQuotaKind; readonly ratio: number }[];
}

export interface FleetQuestion {
  /** The connectors that send, with their limits. */
  readonly senders: readonly { readonly id: string; readonly limits: ConnectorLimits }[];
  /** Lanes with a state of their own, at most. */
  readonly most: number;
  /** Whether the use of quotas is read. Default: yes. */
  readonly quotas?: boolean;
}

/** Ids that a lane or a webhook of ours can have; whatever else stands in Redis is not shown. */
const plainId = /^[a-z0-9][a-z0-9_-]{0,63}$/;
/** Webhooks with series of their own: more than anyone has, unless a stranger wrote their names. */
const mostWebhooks = 100;

export async function readFleet(
  open: OpenQueues,
  intakeCounts: () => Promise<IntakeCounts>,
  { senders, most, quotas = true }: FleetQuestion,
): Promise<FleetSnapshot> {
  const limits = new Map(senders.map(({ id, limits }) => [id, limits]));
  const known = (await open.lanes.known()).filter((id) => plainId.test(id));
  const [intake, totals, workers, servers, found, events, webhooks] = await Promise.all([
    intakeCounts().catch(() => null),
    open.totals(),
    open.presence.count(),
    open.condition(),
    open.lanes.survey(known),
    open.events.totals(),
    readWebhooks(open),
  ]);
  const lanes = found.filter((lane) => lane !== null);
  // A lane outlives its connector; without messages it does not matter.
  const shown = lanes.filter((lane) => limits.has(lane.connectorId) || messagesOf(lane) > 0).sort(byTrouble);
  const idle = senders.length - shown.filter(({ connectorId }) => limits.has(connectorId)).length;
  const oldest = Math.min(...shown.map(({ paused, oldestWaitingAt }) => (paused ? null : oldestWaitingAt) ?? Infinity));
  return {
    ...totals,
    intake,
    workers,
    servers,
    events,
    webhooks,
    due: (intake?.waiting ?? 0) + shown.reduce((sum, { due }) => sum + due, 0),
    setAside: shown.reduce((sum, { setAside }) => sum + setAside, 0),
    oldestWaitingAt: Number.isFinite(oldest) ? oldest : null,
    waitingFor: new Map(
      waitReasons.map((reason) => [
        reason,
        shown.filter(({ waitingFor }) => waitingFor === reason).length + (reason === 'work' ? idle : 0),
      ]),
    ),
    faults: countBy(shown.flatMap(({ fault }) => fault ?? [])),
    lanes: await Promise.all(
      shown.slice(0, most).map((lane) => withQuota(lane, quotas ? limits.get(lane.connectorId) : undefined, open)),
    ),
    omitted: Math.max(0, shown.length - most) + found.length - lanes.length,
  };
}

async function readWebhooks({ deliveries }: Pick<OpenQueues, 'deliveries'>): Promise<WebhookView[]> {
  const ids = (await deliveries.known()).filter((id) => plainId.test(id)).toSorted();
  return Promise.all(ids.slice(0, mostWebhooks).map((id) => deliveries.view(id)));
}

async function withQuota(
  lane: LaneSurvey,
  limits: ConnectorLimits | undefined,
  { quota }: Pick<OpenQueues, 'quota'>,
): Promise<LaneState> {
  const windows = limits === undefined ? [] : quotasOf(limits);
  if (windows.length === 0) return { ...lane, used: [] };
  const used = await quota.used(lane.connectorId, windows);
  return { ...lane, used: windows.map(({ kind, limit }, i) => ({ quota: kind, ratio: (used[i] ?? 0) / limit })) };
}

/** A fault first, then refusals that are open, a pause, whatever else it waits for; then by age. */
function byTrouble(a: LaneSurvey, b: LaneSurvey): number {
  return (
    troubleOf(b) - troubleOf(a) ||
    (a.oldestWaitingAt ?? Infinity) - (b.oldestWaitingAt ?? Infinity) ||
    (a.connectorId < b.connectorId ? -1 : 1)
  );
}

function troubleOf({ fault, setAside, paused, waitingFor, waiting }: LaneSurvey): number {
  if (fault !== null) return 4;
  if (setAside > 0) return 3;
  if (paused) return 2;
  return waiting > 0 && waitingFor !== 'nothing' ? 1 : 0;
}

function messagesOf({ waiting, active, delayed }: LaneSurvey): number {
  return waiting + active + delayed;
}

function countBy(words: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  return counts;
}
