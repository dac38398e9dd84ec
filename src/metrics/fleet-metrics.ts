/** The gauges of the fleet, from a snapshot of Redis: sums over all connectors, and series of some, within a bound. */
import type { Gauge, Registry } from '@prometheus-io/client';
import type { FleetSnapshot, LaneState } from '../admin/fleet.ts';
import { fleetMetrics } from './catalogue.ts';
import { faultClasses } from './fault-classes.ts';
import { metersOf, type Meters } from './meters.ts';

/** When a connector's certificate or secret ends, ms since the epoch. */
export interface CredentialEnd {
  readonly connectorId: string;
  readonly endsAt: number;
}

export interface FleetMetrics {
  /** null: Redis cannot be read, and no gauge of the fleet is shown. */
  show(snapshot: FleetSnapshot | null, credentials: readonly CredentialEnd[], now: number): void;
}

/** Series of the connectors together: so many for each that `metrics.connectors` allows. Thirteen are possible, and rare. */
const seriesPerConnector = 10;
/** The next ones to end. */
const mostCredentials = 100;
type Fleet = Meters<typeof fleetMetrics>;
type Series = readonly [
  meter: Extract<keyof Fleet, `connector_${string}`>,
  value: number,
  labels?: Readonly<Record<string, string>> | undefined,
];

export function createFleetMetrics(registry: Registry, connectors: () => number): FleetMetrics {
  const meters = metersOf(fleetMetrics, registry);
  return {
    show(snapshot, credentials, now) {
      for (const [name, meter] of Object.entries(meters)) {
        meter.reset();
        // `reset` sets a gauge without labels to 0, but an unknown value must be absent.
        if (fleetMetrics[name as keyof Fleet].labels.length === 0) meter.remove();
      }
      for (const { connectorId, endsAt } of soonest(credentials)) {
        meters.credential_expiry_timestamp_seconds.set({ connector: connectorId }, endsAt / 1_000);
      }
      if (snapshot === null) return;
      showTotals(meters, snapshot, now);
      showLanes(meters, snapshot, connectors(), now);
    },
  };
}

function soonest(credentials: readonly CredentialEnd[]): readonly CredentialEnd[] {
  return credentials.toSorted((a, b) => a.endsAt - b.endsAt).slice(0, mostCredentials);
}

function showTotals(meters: Fleet, snapshot: FleetSnapshot, now: number): void {
  const { intake } = snapshot;
  if (intake !== null) {
    for (const state of ['waiting', 'delayed', 'active'] as const) meters.intake_messages.set({ state }, intake[state]);
  }
  meters.unsettled_messages.set(snapshot.unsettled);
  meters.due_messages.set(snapshot.due);
  meters.dead_letters.set(snapshot.deadLetters);
  if (snapshot.held !== null) meters.held_messages.set(snapshot.held);
  meters.set_aside_messages.set(snapshot.setAside);
  meters.workers.set(snapshot.workers);
  meters.oldest_waiting_seconds.set(secondsSince(snapshot.oldestWaitingAt ?? now, now));
  if (snapshot.firstDeadlineAt !== null) meters.next_deadline_seconds.set((snapshot.firstDeadlineAt - now) / 1_000);
  for (const [reason, count] of snapshot.waitingFor) meters.connectors.set({ waiting_for: reason }, count);
  for (const fault of faultClasses) meters.connectors_with_fault.set({ fault }, snapshot.faults.get(fault) ?? 0);
  const { bytes, entries, dropped } = snapshot.events;
  meters.events_bytes.set(bytes);
  meters.events_unread.set(entries);
  meters.events_dropped_total.inc(dropped);
  showWebhooks(meters, snapshot, now);
  if (snapshot.servers === null) return;
  const { usedBytes, maxBytes, aofOk, replicas } = snapshot.servers;
  meters.redis_memory_used_bytes.set(usedBytes);
  meters.redis_memory_max_bytes.set(maxBytes);
  meters.redis_aof_ok.set(aofOk ? 1 : 0);
  meters.redis_replicas.set(replicas);
}

function showWebhooks(meters: Fleet, { webhooks }: FleetSnapshot, now: number): void {
  for (const { id: webhook, delivered, failed, dead, open, oldestAt, deadLetters, off } of webhooks) {
    for (const [outcome, count] of Object.entries({ delivered, failed, dead })) {
      meters.webhook_deliveries_total.inc({ webhook, outcome }, Math.max(0, count));
    }
    meters.webhook_open_deliveries.set({ webhook }, open);
    meters.webhook_oldest_seconds.set({ webhook }, secondsSince(oldestAt ?? now, now));
    meters.webhook_dead_letters.set({ webhook }, deadLetters);
    if (off !== null) meters.webhook_off.set({ webhook, reason: off }, 1);
  }
}

/** In order of their trouble, until the bound of connectors or that of series is reached. */
function showLanes(meters: Fleet, { lanes, omitted }: FleetSnapshot, connectors: number, now: number): void {
  let left = connectors * seriesPerConnector;
  let shown = 0;
  for (const lane of lanes.slice(0, connectors)) {
    const series = seriesOf(lane, now);
    if (series.length > left) break;
    left -= series.length;
    shown += 1;
    for (const [meter, value, labels] of series) {
      const connector = lane.connectorId;
      if (meter === 'connector_sent_total') meters.connector_sent_total.inc({ connector }, value);
      else (meters[meter] as Gauge<string>).set({ connector, ...labels }, value);
    }
  }
  meters.connectors_omitted.set(omitted + lanes.length - shown);
}

function seriesOf(lane: LaneState, now: number): Series[] {
  const { fault, concurrency, learnedPerSecond, oldestWaitingAt } = lane;
  return [
    ['connector_waiting_messages', lane.waiting],
    ['connector_active_messages', lane.active],
    ['connector_delayed_messages', lane.delayed],
    ['connector_sent_total', lane.sent],
    ...known('connector_concurrency', concurrency),
    ...known('connector_oldest_waiting_seconds', oldestWaitingAt === null ? null : secondsSince(oldestWaitingAt, now)),
    ...known('connector_paused', lane.paused ? 1 : null),
    ...known('connector_breaker_open', fault === null ? null : 1, {
      fault: faultClasses.find((word) => word === fault) ?? 'other',
    }),
    ...known('connector_on_fallback', lane.onFallback ? 1 : null),
    ...known('connector_set_aside_messages', lane.setAside > 0 ? lane.setAside : null),
    ...known('connector_learned_messages_per_second', learnedPerSecond),
    ...lane.used.map(({ quota, ratio }): Series => ['connector_quota_used_ratio', ratio, { quota }]),
  ];
}

/** A series exists only while its value is known. */
function known(meter: Series[0], value: number | null, labels?: Series[2]): Series[] {
  return value === null ? [] : [[meter, value, labels]];
}

function secondsSince(at: number, now: number): number {
  return Math.max(0, now - at) / 1_000;
}
