/** The door of this room: what a process shows at `GET /metrics`, joined from what it counts, what it is, and what the fleet has. */
import { Registry } from '@prometheus-io/client';
import type { FleetSnapshot } from '../admin/fleet.ts';
import type { ProcessEvent } from '../observability/process-events.ts';
import type { BouncesEvent } from '../bounces/events.ts';
import type { OutboxEvent, OutboxState } from '../outbox/events.ts';
import type { SubmissionEvent, SubmissionState } from '../submission/events.ts';
import type { WorkerEvent } from '../worker/events.ts';
import type { Health, Load } from '../worker/vitals.ts';
import { createBouncesMetrics } from './bounces-metrics.ts';
import { processMetrics } from './catalogue.ts';
import { createFleetMetrics, type CredentialEnd } from './fleet-metrics.ts';
import { createHttpMetrics } from './http-metrics.ts';
import { metersOf } from './meters.ts';
import { createOutboxMetrics } from './outbox-metrics.ts';
import { watchProcess } from './process-metrics.ts';
import { createSubmissionMetrics } from './submission-metrics.ts';
import { createWorkerMetrics } from './worker-metrics.ts';

export interface MetricsOptions {
  /** Of Postlane. */
  readonly version: string;
  /** Of a worker; null in other processes. */
  readonly worker: { readonly transportOf: (connectorId: string) => string | null } | null;
  /** Of the process that shows the fleet; null in others. */
  readonly fleet: FleetSource | null;
  /** Of a process that takes mail by SMTP. */
  readonly submission?: (() => SubmissionState) | undefined;
  /** Of a process that relays an outbox. */
  readonly outbox?: (() => OutboxState) | undefined;
  /** Of a process that reads mailboxes: when the one was read that is read longest ago, ms since the epoch; null while it reads none. */
  readonly mailboxes?: (() => number | null) | undefined;
  readonly now?: () => number;
}

export interface FleetSource {
  /** null while Redis cannot be read. */
  readonly read: () => Promise<FleetSnapshot | null>;
  readonly credentials: () => readonly CredentialEnd[];
  /** Connectors with series of their own, at most. */
  readonly connectors: () => number;
}

/** What changes while the process runs. */
interface Shown {
  readonly ready: boolean;
  readonly redisUp: boolean;
  readonly worker: { readonly health: Health; readonly load: Load } | null;
}

export interface Metrics {
  /** A subscriber of the events of the worker, of submission, of mailboxes, of an outbox, and of the process. */
  readonly onEvent: (event: WorkerEvent | ProcessEvent | SubmissionEvent | BouncesEvent | OutboxEvent) => void;
  /** The text for Prometheus. */
  show(shown: Shown): Promise<{ readonly contentType: string; readonly text: string }>;
}

export function createMetrics(options: MetricsOptions): Metrics {
  const { version, worker, fleet, submission, outbox, mailboxes = () => null, now = Date.now } = options;
  const registry = new Registry();
  const showProcess = watchProcess(registry);
  const own = metersOf(processMetrics, registry);
  let countRequest: ReturnType<typeof createHttpMetrics> | null = null;
  const counted = worker === null ? null : createWorkerMetrics({ registry, ...worker });
  const submitted = submission === undefined ? null : createSubmissionMetrics(registry);
  const relayed = outbox === undefined ? null : createOutboxMetrics(registry);
  let bounces: ReturnType<typeof createBouncesMetrics> | null = null;
  const fleetMetrics = fleet === null ? null : createFleetMetrics(registry, fleet.connectors);
  own.build_info.set({ version, node: process.version }, 1);
  const reloaded = (): void => {
    own.config_last_reload_successful.set(1);
    own.config_last_reload_success_timestamp_seconds.set(now() / 1_000);
  };
  reloaded();
  return {
    onEvent(event) {
      if (event.event === 'config-applied' || event.event === 'config-unchanged') reloaded();
      else if (event.event === 'request') {
        // Most processes serve no API.
        countRequest ??= createHttpMetrics(registry);
        countRequest(event);
      } else if (event.event === 'config-rejected') own.config_last_reload_successful.set(0);
      else {
        counted?.onEvent(event as WorkerEvent);
        submitted?.onEvent(event as SubmissionEvent);
        relayed?.onEvent(event as OutboxEvent);
        // Most workers read no mailbox.
        if (mailboxes() !== null) bounces ??= createBouncesMetrics(registry);
        bounces?.onEvent(event as BouncesEvent);
      }
    },

    async show({ ready, redisUp, worker: state }) {
      showProcess();
      own.ready.set(ready ? 1 : 0);
      if (state !== null) counted?.show(state.health, state.load);
      const oldestReadAt = mailboxes();
      if (oldestReadAt !== null) bounces ??= createBouncesMetrics(registry);
      bounces?.show(oldestReadAt);
      if (submission !== undefined) submitted?.show(submission());
      if (outbox !== undefined) relayed?.show(outbox());
      const snapshot = fleet === null ? null : await fleet.read();
      fleetMetrics?.show(snapshot, fleet?.credentials() ?? [], now());
      own.redis_up.set(redisUp && (fleet === null || snapshot !== null) ? 1 : 0);
      return { contentType: registry.contentType, text: await registry.metrics() };
    },
  };
}
