/** The parts of a worker, joined as its life (worker.ts) needs them. Nothing is started here. */
import type { MessageLimits } from '../message/message.ts';
import { defaultIndex } from '../queue/journal/index-entries.ts';
import { openQueues } from '../queue/open.ts';
import { connectPatient, reasonOf } from '../queue/redis/connection.ts';
import type { RedisSettings } from '../queue/redis/settings.ts';
import { createSessions, type Sessions } from '../queue/sessions/leases.ts';
import { createAdmission, type Admission } from './admission.ts';
import { createByteBudget } from './byte-budget.ts';
import { emitTo, type Listener } from './events.ts';
import { createFormatGate } from './format-gate.ts';
import type { LaneTools } from './lane-processor.ts';
import { createLaneWorkers } from './lane-workers.ts';
import { type MaintenanceTools } from './maintenance/tools.ts';
import { reportRecovery } from './recovery.ts';
import { createRoomWatch } from './room-watch.ts';
import type { RouterTools } from './router.ts';
import { routingOf, type Routing } from './routes.ts';
import { createScheduler, type Scheduler } from './scheduler.ts';
import { selfReport } from './self-report.ts';
import { sealingInForce, sealingToolsOf } from './sealing-tools.ts';
import { createStraight } from './straight.ts';
import { createSuppressionView } from './suppression-view.ts';
import type { ConnectorConfig, WorkerConfig } from './settings.ts';
import { defaultTiming, type Timing } from './timing.ts';
import { createTransports, type CreateTransport } from './transports.ts';

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

const contentMsOf = (routing: () => Routing) => (): number => routing().config.retention.contentMs ?? 0;
const parentWithinMsOf = (routing: () => Routing) => (): number => routing().config.tracing?.parentWithinMs ?? 60_000;
export const bytesInFlightOf = ({ config }: Routing): number => config.worker.maxBytesInFlight ?? Infinity;

export function buildParts(options: WorkerOptions) {
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
  const forms = { limits, index, sealing: sealingInForce(() => routing) };
  const open = openQueues(redis, { ...options.redis, ...forms, retentionMs, worker: options.name });
  const { keys, lanes, ledger, contents, intake } = open;
  const gate = createFormatGate(open.form, emit);
  const sessions = createSessions({ redis, shards: open.shards, worker: options.name });
  const hostname = (): string => routing.config.hostname ?? '';
  const transports = createTransports(options.createTransport, sessions, connectorOf, hostname, emit);
  const contentMs = contentMsOf(() => routing);
  const parentWithinMs = parentWithinMsOf(() => routing);
  const sealed = sealingToolsOf(open, () => routing, emit, timing);
  const ledgerTools = { ledger, contents, emit, now, retentionMs, contentMs, parentWithinMs, ...sealed };
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
    suppressions: createSuppressionView(open.suppressions, { now, marked: open.shards.all.length > 1 }),
    attribution: lanes.attribution,
    pauseScale: timing.pauseScale,
    budget: createByteBudget(() => bytesInFlightOf(routing), stopping.signal),
    recovered: (id, how) => reportRecovery(id, how, connectorOf(id)?.limits, lanes, emit),
    limits,
    delivery: () => routing.delivery,
    transport: (id) => transports.get(id),
  };
  const { lockMs, maintenanceMs: stalledMs } = timing;
  const laneWorkers = createLaneWorkers({ open, connectorOf, tools: laneTools, lane: { lockMs, stalledMs } });
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
    noteKeys: () => open.keyless.noteKeys(open.sealing().keyring.keys),
    views: open.views,
    shardOf: (connectorId) => open.shards.of(connectorId),
    deadLetters: open.deadLetters,
    suppressions: open.suppressions,
    journal: open,
    lateResultMs: timing.lateResultMs,
    laneWorker: (connectorId) => laneWorkers.of(connectorId),
    everyMs: timing.maintenanceMs,
    orphanGraceMs: timing.orphanGraceMs,
    configuredAt: () => configuredAt,
  };
  const announcements = announcementsOf(sessions, admission, scheduler);
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

/** What other processes announce. */
function announcementsOf(sessions: Sessions, admission: Pick<Admission, 'freed'>, scheduler: Pick<Scheduler, 'wake'>) {
  return {
    onReady: () => scheduler.wake(),
    onSession(message: string) {
      const freed = sessions.onMessage(message);
      if (freed !== null) admission.freed(freed);
    },
  };
}
