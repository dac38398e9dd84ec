/**
 * The life of a worker: connect → ready → (apply a new configuration)* → drain → stopped. Builds the parts and joins them;
 * each part's rules are in its own file. The worker owns its transports, so a reload has one place.
 *
 * Redis connections: one shared for all commands, one that blocks for the intake, one that listens for announcements.
 */
import { settlesWithin } from '../async/timeout.ts';
import type { Intake } from '../queue/lanes/intake.ts';
import { defaultIndex } from '../queue/journal/index-entries.ts';
import { type RedisClient } from '../queue/redis/connection.ts';
import { durabilityWarnings } from '../queue/redis/durability.ts';
import { type Sessions } from '../queue/sessions/leases.ts';
import { startIntake, subscribe } from './connections.ts';
import { createFailover, failOverUntil } from './failover/failover.ts';
import { setIntrudersAside } from './intruders.ts';
import { maintain, maintainUntil } from './maintenance/maintenance.ts';
import { guarded } from './maintenance/tools.ts';
import { changesBetween } from './reload.ts';
import type { WorkerConfig } from './settings.ts';
import { buildParts, bytesInFlightOf, type WorkerOptions } from './parts.ts';
import { createVitals, type Health, type Load } from './vitals.ts';

export type { WorkerOptions } from './parts.ts';
export type { Timing } from './timing.ts';
export type { TransportContext } from './transports.ts';

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
  const failover = createFailover({ ...routerTools, ...timing, worker: name, random: options.random ?? Math.random });
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
  let failovers: Promise<void> = Promise.resolve();
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
    let finished = await settlesWithin(Promise.all([drained, intake?.close(), maintenance, failovers]), drainMs);
    if (!finished) {
      for (const lane of laneWorkers.all()) lane.cancelAllJobs('stopping');
      finished = await settlesWithin(drained, timing.abortMs);
    }
    await settlesWithin(
      failover.end().catch(() => undefined),
      limitMs.presence,
    );
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
      failovers = failOverUntil(stopping.signal, timing.failoverMs, failover, gate.suspended, emit);
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
