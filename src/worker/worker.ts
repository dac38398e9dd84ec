/**
 * The life of a worker process: connect → ready → (apply a new configuration)* → drain → stopped. Builds the parts and
 * joins them; each part's rules are in its own file.
 *
 * Redis connections: one shared for all commands, one that blocks for the intake, one subscribed to wake-ups.
 */
import { WaitingError } from 'bullmq';
import { IntakeWorker, type LaneProcessor, type LaneWorker } from '../queue/bullmq/shared-queues.ts';
import { connectPatient, reasonOf, subscriberOf, type RedisClient } from '../queue/redis/connection.ts';
import { durabilityWarnings } from '../queue/redis/durability.ts';
import { intakeName } from '../queue/redis/keys.ts';
import { openQueues } from '../queue/open.ts';
import { createSessions, type Sessions } from '../queue/sessions/leases.ts';
import type { RedisSettings } from '../queue/redis/settings.ts';
import { sends } from '../routing/connector.ts';
import { buildRouteTable } from '../routing/table.ts';
import type { Transport } from '../transport/transport.ts';
import { createByteBudget } from './byte-budget.ts';
import { emitTo, type Listener } from './events.ts';
import { processLaneJob, type LaneTools } from './lane-processor.ts';
import { routeJob, type Routing } from './router.ts';
import { createAdmission } from './admission.ts';
import { createScheduler } from './scheduler.ts';
import type { ConnectorConfig, WorkerConfig } from './settings.ts';
import { maintain, maintainUntil } from './maintenance/maintenance.ts';
import { setIntrudersAside } from './intruders.ts';
import { guarded, type MaintenanceTools } from './maintenance/tools.ts';
import { settlesWithin } from '../async/timeout.ts';

export interface WorkerOptions {
  readonly redis: RedisSettings & { readonly prefix: string; readonly shards?: number };
  readonly config: WorkerConfig;
  /** Who sends for a connector; null if this process cannot. Closing them is the caller's. */
  readonly transport: (connectorId: string) => Transport | null;
  readonly listeners: readonly Listener[];
  /** Name in logs, ledger and lock tokens; must differ between processes. */
  readonly name: string;
  readonly now?: () => number;
  readonly random?: () => number;
  readonly timing?: Partial<Timing>;
}

/** In ms. A worker that dies is noticed after its lock has ended and two rounds of maintenance have passed. */
export interface Timing {
  readonly lockMs: number;
  readonly maintenanceMs: number;
  /** How long an attempt without a result is left alone: the worker that made it may only have lost its lock. */
  readonly lateResultMs: number;
  readonly orphanGraceMs: number;
  /** After the drain time: for what was aborted to come back. */
  readonly abortMs: number;
  /** Every pause of a lane is multiplied by it: what takes an hour can be watched in seconds. Not in ms. */
  readonly pauseScale: number;
}

const defaultTiming: Timing = {
  lockMs: 30_000,
  maintenanceMs: 10_000,
  lateResultMs: 60_000,
  orphanGraceMs: 60_000,
  abortMs: 5_000,
  pauseScale: 1,
};

/** How often a job may be found abandoned. A mail that kills its worker must end; a fleet that is redeployed must not cost mail. */
const maxStalledCount = 10;

export interface PostlaneWorker {
  /** Resolves once it serves, or when stop() was called meanwhile. Waits for a Redis that is away. */
  start(): Promise<void>;
  /** Swaps in a new configuration: routes, limits, schedules. Transports are the caller's. */
  apply(config: WorkerConfig): Promise<void>;
  /** Stops claiming, lets running sends finish within the drain time, hands back the rest. → whether all finished. */
  stop(): Promise<boolean>;
  /** The sessions that each connector may have open, over all workers; for those who make its transport. */
  readonly sessions: Pick<Sessions, 'of'>;
  /** What a health check asks: is Redis there, and does the loop turn. */
  health(): { readonly ok: boolean; readonly redis: string; readonly idleForMs: number };
}

export function createWorker(options: WorkerOptions): PostlaneWorker {
  const timing = { ...defaultTiming, ...options.timing };
  const now = options.now ?? Date.now;
  const emit = emitTo(options.listeners);
  const { prefix } = options.redis;
  const redis = connectPatient(options.redis, `postlane-worker:${options.name}`);
  redis.on('error', (error) => emit({ event: 'redis-error', detail: reasonOf(error) }));
  const open = openQueues(redis, { ...options.redis, retentionMs: () => routing.config.retention.ledgerMs });
  const { keys, lanes, ledger, contents, intake } = open;
  const sessions = createSessions({ redis, shards: open.shards, worker: options.name });

  let routing: Routing = routingOf(options.config);
  let configuredAt = now();
  const stopping = new AbortController();
  const connectorOf = (id: string): ConnectorConfig | undefined => routing.senders.get(id);

  const laneTools: LaneTools = {
    lockKey: open.lockKey,
    lanes,
    ledger,
    contents,
    emit,
    now,
    random: options.random ?? Math.random,
    worker: options.name,
    retentionMs: () => routing.config.retention.ledgerMs,
    lateResultMs: timing.lateResultMs,
    quota: open.quota,
    pauseScale: timing.pauseScale,
    budget: createByteBudget(() => routing.config.worker.maxBytesInFlight ?? Infinity, stopping.signal),
    async recovered(connectorId, how) {
      const limits = connectorOf(connectorId)?.limits;
      const concurrency = limits === undefined ? null : await lanes.setLimits(connectorId, limits);
      const event = how === 'recovered' ? 'connector-recovered' : 'concurrency-raised';
      emit({ event, connector: connectorId, concurrency, configured: limits?.concurrency ?? null });
    },
    limits: () => routing.config.message,
    transport: options.transport,
  };

  const laneWorkers = new Map<string, LaneWorker>();
  const laneWorker = (connectorId: string): LaneWorker => {
    const known = laneWorkers.get(connectorId);
    if (known !== undefined) return known;
    const process: LaneProcessor = async (job, token, signal) => {
      const connector = connectorOf(connectorId);
      if (connector === undefined) {
        // Removed between the claim and the fetch: back it goes, and the sweep will route it again.
        // Where Redis refuses, it is found abandoned; any other error would fail it for good.
        await job.moveToWait(token).catch(() => undefined);
        throw new WaitingError();
      }
      const rate = connector.limits.messagesPerMinute;
      // Where it fails, BullMQ's own interval holds.
      if (rate !== null) open.pacer(connectorId, rate).catch(() => undefined);
      return processLaneJob({ job, token, signal: signal ?? stopping.signal, connector }, laneTools);
    };
    const { lockMs, maintenanceMs } = timing;
    const made = open.laneWorker(connectorId, process, { lockMs, stalledMs: maintenanceMs, maxStalledCount });
    laneWorkers.set(connectorId, made);
    return made;
  };

  const admission = createAdmission({
    lanes,
    sessions,
    transport: options.transport,
    paced: (connectorId) => (connectorOf(connectorId)?.limits.messagesPerMinute ?? null) !== null,
    signal: stopping.signal,
    wake: () => scheduler.wake(),
  });
  const scheduler = createScheduler({
    lanes,
    admission,
    laneWorker: (connectorId) => (connectorOf(connectorId) === undefined ? null : laneWorker(connectorId)),
    slots: options.config.worker.slots,
    worker: options.name,
    emit,
  });

  const maintenanceTools: MaintenanceTools = {
    ...laneTools,
    redis,
    keys,
    views: open.views,
    repair: open,
    shardOf: (connectorId) => open.shards.of(connectorId),
    intake,
    deadLetters: open.deadLetters,
    routing: () => routing,
    laneWorker,
    everyMs: timing.maintenanceMs,
    orphanGraceMs: timing.orphanGraceMs,
    configuredAt: () => configuredAt,
  };

  let router: IntakeWorker | null = null;
  let subscriber: RedisClient | null = null;
  let maintenance: Promise<void> = Promise.resolve();
  let stopped: Promise<boolean> | null = null;

  const setLimits = async (): Promise<void> => {
    await Promise.all([...routing.senders.values()].map(({ id, limits }) => lanes.setLimits(id, limits)));
  };

  const startRouter = (): IntakeWorker => {
    const made = new IntakeWorker(intakeName, async (job, token) => routeJob(job, token ?? '', maintenanceTools), {
      connection: redis,
      prefix,
      concurrency: 50,
      lockDuration: timing.lockMs,
      stalledInterval: timing.maintenanceMs,
      maxStalledCount,
      removeOnComplete: { count: 0 },
      removeOnFail: { count: -1 },
    });
    made.on('error', (error) => emit({ event: 'error', id: null, where: 'intake', detail: error.message }));
    return made;
  };

  return {
    sessions,

    async start() {
      const warnings = await durabilityWarnings(redis);
      // A stop may come while this waits for Redis: what is opened after it would be closed by nobody.
      if (stopping.signal.aborted) return;
      for (const warning of [...warnings, ...(await open.countWarnings())])
        emit({ event: 'redis-warning', ...warning });
      await setLimits();
      if (stopping.signal.aborted) return;
      const sessionsChannels = open.shards.all.map(({ sessionsChannel }) => sessionsChannel);
      subscriber = subscriberOf(redis, `postlane-wake:${options.name}`);
      subscriber.on('error', () => undefined);
      subscriber.on('message', (channel, message) => {
        if (!sessionsChannels.includes(channel)) return scheduler.wake();
        const freed = sessions.onMessage(message);
        if (freed !== null) admission.freed(freed);
      });
      await subscriber.subscribe(...open.shards.all.map(({ wake }) => wake), ...sessionsChannels);
      if (stopping.signal.aborted) return;
      await guarded('the keys of the intake', { emit }, () => setIntrudersAside(maintenanceTools));
      router = startRouter();
      scheduler.start();
      maintenance = maintainUntil(
        stopping.signal,
        timing.maintenanceMs,
        () => maintain(maintenanceTools, stopping.signal),
        emit,
      );
      const { slots } = options.config.worker;
      emit({ event: 'ready', worker: options.name, connectors: routing.config.connectors.length, slots });
    },

    async apply(config) {
      const before = routing.senders;
      routing = routingOf(config);
      configuredAt = now();
      for (const { id, transport, limits } of routing.senders.values()) {
        const old = before.get(id);
        if (old === undefined) continue;
        // New settings deserve a try at once: this is how a latched wrong password ends.
        if (JSON.stringify(old.transport) !== JSON.stringify(transport)) await lanes.clearFaults(id);
        else if (JSON.stringify(old.limits) !== JSON.stringify(limits)) await lanes.endQuotaHold(id);
      }
      await setLimits();
      emit({ event: 'config-applied', worker: options.name, connectors: config.connectors.length });
      scheduler.wake();
    },

    stop() {
      stopped ??= (async () => {
        emit({ event: 'draining', worker: options.name, running: scheduler.running() });
        stopping.abort();
        const { drainMs } = routing.config.worker;
        const drained = scheduler.drain();
        let finished = await settlesWithin(Promise.all([drained, router?.close(), maintenance]), drainMs);
        if (!finished) {
          for (const lane of laneWorkers.values()) lane.cancelAllJobs('stopping');
          finished = await settlesWithin(drained, timing.abortMs);
        }
        await settlesWithin(sessions.close(), 5_000);
        // BullMQ's close waits for Redis without an end (bullmq#4656); what is left is the process's to end.
        await settlesWithin(Promise.all([...laneWorkers.values()].map((lane) => lane.close())), 1_000);
        subscriber?.disconnect();
        redis.disconnect();
        emit({ event: 'stopped', worker: options.name, drained: finished });
        return finished;
      })();
      return stopped;
    },

    health() {
      const idleForMs = Date.now() - scheduler.lastTurnAt();
      return { ok: redis.status === 'ready' && idleForMs < 30_000, redis: redis.status, idleForMs };
    },
  };
}

function routingOf(config: WorkerConfig): Routing {
  const senders = config.connectors.filter(({ direction }) => sends(direction));
  return {
    config,
    senders: new Map(senders.map((connector) => [connector.id, connector])),
    table: buildRouteTable(config.connectors, config.systemDefaultGateway),
  };
}
