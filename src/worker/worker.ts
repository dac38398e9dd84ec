/**
 * The life of a worker: connect → ready → (apply a new configuration)* → drain → stopped. Builds the parts and joins them;
 * each part's rules are in its own file. The worker owns its transports, so a reload has one place.
 *
 * Redis connections: one shared for all commands, one that blocks for the intake, one that listens for announcements.
 */
import { settlesWithin } from '../async/timeout.ts';
import type { Intake } from '../queue/lanes/intake.ts';
import type { MessageLimits } from '../message/message.ts';
import { defaultIndex } from '../queue/journal/index-entries.ts';
import { openQueues } from '../queue/open.ts';
import { connectPatient, reasonOf, type RedisClient } from '../queue/redis/connection.ts';
import { durabilityWarnings } from '../queue/redis/durability.ts';
import type { RedisSettings } from '../queue/redis/settings.ts';
import { createSessions, type Sessions } from '../queue/sessions/leases.ts';
import { createAdmission } from './admission.ts';
import { createByteBudget } from './byte-budget.ts';
import { startIntake, subscribe } from './connections.ts';
import { emitTo, type Listener } from './events.ts';
import { createFormatGate } from './format-gate.ts';
import { setIntrudersAside } from './intruders.ts';
import type { LaneTools } from './lane-processor.ts';
import { createLaneWorkers } from './lane-workers.ts';
import type { LedgerTools } from './ledger-write.ts';
import { maintain, maintainUntil } from './maintenance/maintenance.ts';
import { guarded, type MaintenanceTools } from './maintenance/tools.ts';
import { reportRecovery } from './recovery.ts';
import { changesBetween } from './reload.ts';
import { createRoomWatch } from './room-watch.ts';
import { routingOf, type RouterTools, type Routing } from './router.ts';
import { createScheduler } from './scheduler.ts';
import { selfReport } from './self-report.ts';
import { createStraight } from './straight.ts';
import type { ConnectorConfig, WorkerConfig } from './settings.ts';
import { defaultTiming, type Timing } from './timing.ts';
import { createTransports, type CreateTransport } from './transports.ts';
import { createVitals, type Health, type Load } from './vitals.ts';

export type { Timing } from './timing.ts';
export type { TransportContext } from './transports.ts';

export interface WorkerOptions {
  readonly redis: RedisSettings & {
    readonly prefix: string;
    readonly shards?: number;
    readonly reservePercent?: number;
  };
  readonly config: WorkerConfig;
  /** Called once per connector, and again after a reload that changed it. The worker closes what it made. */
  readonly createTransport: CreateTransport;
  readonly listeners: readonly Listener[];
  /** Name in logs, ledger and lock tokens; must differ between processes. */
  readonly name: string;
  readonly now?: () => number;
  readonly random?: () => number;
  readonly timing?: Partial<Timing>;
}

/** How long a stop waits to leave the list of workers, for sessions at servers to end, and for transports to close, in ms. */
const limitMs = { presence: 500, sessions: 5_000, transports: 2_000 };

export interface PostlaneWorker {
  /** Resolves once it serves, or when stop() was called meanwhile. Waits for a Redis that is away. */
  start(): Promise<void>;
  /** Puts a new configuration in force: routes, limits, schedules, and the transports whose settings changed. */
  apply(config: WorkerConfig): Promise<void>;
  /** Stops claiming, lets running sends finish within the drain time, hands back the rest. → whether all finished. */
  stop(): Promise<boolean>;
  /** The sessions that each connector may have open, over all workers. */
  readonly sessions: Pick<Sessions, 'of'>;
  /** What a health check asks: is Redis there, and does the loop turn. */
  health(): Health;
  /** What it has in hand now. */
  load(): Load;
}

export function createWorker(options: WorkerOptions): PostlaneWorker {
  const parts = buildParts(options);
  const { open, redis, sessions, transports, scheduler, laneWorkers, routerTools, maintenanceTools } = parts;
  const { stopping, emit, timing, gate } = parts;
  const { name } = options;
  const { slots } = options.config.worker;
  const vitals = createVitals({
    redis,
    scheduler,
    sessions,
    budget: parts.budget,
    slots,
    maxBytesInFlight: () => bytesInFlightOf(parts.routing()),
    now: Date.now,
  });
  let intake: Intake | null = null;
  let subscriber: RedisClient | null = null;
  let maintenance: Promise<void> = Promise.resolve();
  let stopped: Promise<boolean> | null = null;

  const setLimits = async (): Promise<void> => {
    const senders = [...parts.routing().senders.values()];
    await Promise.all(senders.map(({ id, limits }) => open.lanes.setLimits(id, limits)));
  };

  const stop = async (): Promise<boolean> => {
    emit({ event: 'draining', worker: name, running: scheduler.running() });
    stopping.abort();
    const { drainMs } = parts.routing().config.worker;
    const drained = scheduler.drain();
    let finished = await settlesWithin(Promise.all([drained, intake?.close(), maintenance]), drainMs);
    if (!finished) {
      for (const lane of laneWorkers.all()) lane.cancelAllJobs('stopping');
      finished = await settlesWithin(drained, timing.abortMs);
    }
    await settlesWithin(sessions.close(), limitMs.sessions);
    await settlesWithin(
      open.presence.remove(name).catch(() => undefined),
      limitMs.presence,
    );
    // Closing waits for running sends, and a send that was aborted may never end.
    await settlesWithin(transports.close(), limitMs.transports);
    subscriber?.disconnect();
    redis.disconnect();
    emit({ event: 'stopped', worker: name, drained: finished });
    return finished;
  };

  return {
    sessions,

    async start() {
      const warnings = await durabilityWarnings(redis);
      // A stop may come while this waits for Redis: nothing would close what is opened after it.
      if (stopping.signal.aborted) return;
      // What a newer release has stored is for its workers; this one takes no mail until it knows the form.
      await gate.whenKnown(timing.maintenanceMs, stopping.signal);
      if (stopping.signal.aborted) return;
      await gate.note();
      for (const warning of [...warnings, ...(await open.countWarnings())])
        emit({ event: 'redis-warning', ...warning });
      // Before the first lane is there: what is indexed from the beginning is complete.
      await open.upkeep.noteFields(parts.routing().config.index ?? defaultIndex);
      await setLimits();
      if (stopping.signal.aborted) return;
      subscriber = await subscribe(redis, name, open.shards, parts.announcements);
      if (stopping.signal.aborted) return;
      await guarded('the keys of the intake', { emit }, () => setIntrudersAside(routerTools));
      const { lockMs, maintenanceMs: stalledMs } = timing;
      intake = startIntake({
        open,
        lockMs,
        stalledMs,
        tools: routerTools,
        freeSlots: () => scheduler.freeSlots(),
        emit,
      });
      scheduler.onFree(intake.wake);
      scheduler.start();
      const claims = { pause: async () => intake?.pause(), resume: () => intake?.resume() };
      const round = (): Promise<void> => gate.run(claims, () => maintain(maintenanceTools, stopping.signal));
      maintenance = maintainUntil(stopping.signal, timing.maintenanceMs, round, emit);
      const { config } = parts.routing();
      emit({ event: 'ready', worker: name, connectors: config.connectors.length, slots });
    },

    async apply(config) {
      const changes = changesBetween(parts.routing().config, config);
      parts.configure(config);
      transports.invalidate(changes.transports);
      for (const id of changes.settings) await open.lanes.clearFaults(id);
      for (const id of changes.limits) await open.lanes.endQuotaHold(id);
      await setLimits();
      emit({ event: 'config-applied', worker: name, connectors: config.connectors.length });
      scheduler.wake();
    },

    stop: () => (stopped ??= stop()),
    health: () => vitals.health(),
    load: () => vitals.load(),
  };
}

const contentMsOf = (routing: () => Routing) => (): number => routing().config.retention.contentMs ?? 0;
const bytesInFlightOf = ({ config }: Routing): number => config.worker.maxBytesInFlight ?? Infinity;

/** The parts of a worker, joined. Nothing is started. */
function buildParts(options: WorkerOptions) {
  const timing = { ...defaultTiming, ...options.timing };
  const now = options.now ?? Date.now;
  const emit = emitTo(options.listeners);
  const redis = connectPatient(options.redis, `postlane-worker:${options.name}`);
  redis.on('error', (error) => emit({ event: 'redis-error', detail: reasonOf(error) }));
  const stopping = new AbortController();
  let routing: Routing = routingOf(options.config);
  let configuredAt = now();
  const retentionMs = (): number => routing.config.retention.ledgerMs;
  const connectorOf = (id: string): ConnectorConfig | undefined => routing.senders.get(id);
  const limits = (): MessageLimits => routing.config.message;
  const index = () => routing.config.index ?? defaultIndex;
  const open = openQueues(redis, { ...options.redis, retentionMs, limits, index, worker: options.name });
  const { keys, lanes, ledger, contents, intake } = open;
  const gate = createFormatGate(open.form, emit);
  const sessions = createSessions({ redis, shards: open.shards, worker: options.name });
  const hostname = (): string => routing.config.hostname ?? '';
  const transports = createTransports(options.createTransport, sessions, connectorOf, hostname, emit);
  const ledgerTools: LedgerTools = { ledger, contents, emit, now, retentionMs, contentMs: contentMsOf(() => routing) };
  const laneTools: LaneTools = {
    ...ledgerTools,
    jobs: open.jobs,
    lockKey: open.lockKey,
    lanes,
    random: options.random ?? Math.random,
    worker: options.name,
    lateResultMs: timing.lateResultMs,
    verifyForMs: timing.verifyForMs,
    returnPathKey: open.returnPathKey,
    quota: open.quota,
    attribution: lanes.attribution,
    pauseScale: timing.pauseScale,
    budget: createByteBudget(() => bytesInFlightOf(routing), stopping.signal),
    recovered: (id, how) => reportRecovery(id, how, connectorOf(id)?.limits, lanes, emit),
    limits,
    transport: (id) => transports.get(id),
  };
  const lane = { lockMs: timing.lockMs, stalledMs: timing.maintenanceMs };
  const laneWorkers = createLaneWorkers({ open, connectorOf, tools: laneTools, lane });
  const admission = createAdmission({
    lanes,
    sessions,
    transport: (id) => transports.get(id),
    paced: (connectorId) => (connectorOf(connectorId)?.limits.messagesPerMinute ?? null) !== null,
    signal: stopping.signal,
    wake: () => scheduler.wake(),
  });
  const scheduler = createScheduler({
    lanes,
    suspended: gate.suspended,
    admission,
    laneWorker: (connectorId) => (connectorOf(connectorId) === undefined ? null : laneWorkers.of(connectorId)),
    slots: options.config.worker.slots,
    worker: options.name,
    emit,
  });
  const routerTools: RouterTools = {
    ...ledgerTools,
    redis,
    keys,
    prefix: options.redis.prefix,
    intake,
    jobs: open.jobs,
    repair: open,
    lanes,
    routing: () => routing,
    movesWhole: gate.writesNew,
    goStraight: createStraight({ lanes, scheduler, connectorOf, tools: laneTools }),
    scheduler,
  };
  const maintenanceTools: MaintenanceTools = {
    ...routerTools,
    watchRoom: createRoomWatch(() => open.room(options.redis.reservePercent), emit),
    ...selfReport(options.name, options.config.worker.slots, { open, scheduler, now, everyMs: timing.maintenanceMs }),
    views: open.views,
    shardOf: (connectorId) => open.shards.of(connectorId),
    deadLetters: open.deadLetters,
    journal: open,
    lateResultMs: timing.lateResultMs,
    laneWorker: (connectorId) => laneWorkers.of(connectorId),
    everyMs: timing.maintenanceMs,
    orphanGraceMs: timing.orphanGraceMs,
    configuredAt: () => configuredAt,
  };
  const announcements = {
    onReady: () => scheduler.wake(),
    onSession(message: string) {
      const freed = sessions.onMessage(message);
      if (freed !== null) admission.freed(freed);
    },
  };
  const configure = (config: WorkerConfig): void => {
    routing = routingOf(config);
    configuredAt = now();
  };
  return {
    timing,
    emit,
    redis,
    stopping,
    open,
    sessions,
    transports,
    laneWorkers,
    scheduler,
    budget: laneTools.budget,
    gate,
    routerTools,
    maintenanceTools,
    announcements,
    configure,
    routing: () => routing,
  };
}
