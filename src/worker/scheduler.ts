/**
 * The scheduler of one process: serves all lanes that have work, the one least recently served first, over one shared
 * connection and with a fixed number of slots. A lane that waits (limit, pause, fault) costs nothing and is in nobody's way.
 *
 *   claim lanes that are due ─▶ fetch one job ─▶ refresh (others may take the next) ─▶ run ─▶ refresh
 *                                     └─ nothing there ─▶ refresh exactly: later, or out of the set
 */
import { asError, printable } from '../errors.ts';
import type { LaneWorker } from '../queue/bullmq.ts';
import type { Lanes } from '../queue/lanes.ts';
import type { Listener } from './events.ts';

export interface SchedulerOptions {
  readonly lanes: Lanes;
  /** The lane's worker, or null if this process does not know its connector: another may. */
  readonly laneWorker: (connectorId: string) => LaneWorker | null;
  readonly slots: number;
  readonly worker: string;
  readonly emit: Listener;
  /** A lane claimed by a process that died is due again after this time. Default 10 s. */
  readonly visibilityMs?: number;
  /** How long to sleep at most when nothing is due; lanes that become ready wake it. Default 2 s. */
  readonly idleMs?: number;
}

export interface Scheduler {
  start(): void;
  /** Looks for work now. */
  wake(): void;
  /** Stops claiming; resolves when all running jobs are done. */
  drain(): Promise<void>;
  running(): number;
  /** When the loop last turned, ms since the epoch: a health check's question. */
  lastTurnAt(): number;
}

export function createScheduler(options: SchedulerOptions): Scheduler {
  const { lanes, laneWorker, slots, worker, emit } = options;
  const visibilityMs = options.visibilityMs ?? 10_000;
  const idleMs = options.idleMs ?? 2_000;
  const active = new Set<Promise<void>>();
  const stop = new AbortController();
  let loop: Promise<void> = Promise.resolve();
  let turnedAt = 0;
  let tokens = 0;
  const bell = createBell();

  const report = (where: string, thrown: unknown): void =>
    emit({ event: 'error', id: null, where, detail: printable(asError(thrown).message, 500) });

  const serve = async (connectorId: string): Promise<void> => {
    try {
      const lane = laneWorker(connectorId);
      if (lane === null) return;
      const token = `${worker}:${(tokens += 1)}`;
      const job = await lane.fetch(token);
      if (job === undefined) {
        await lanes.refresh(connectorId, 'exact', false);
        return;
      }
      // When this process is full, an idle one should hear that the lane has more.
      if ((await lanes.refresh(connectorId, 'sooner', active.size >= slots)) === 0) bell.ring();
      await lane.runJob(job, token);
      if ((await lanes.refresh(connectorId, 'sooner', false)) === 0) bell.ring();
    } catch (thrown) {
      report(`lane ${connectorId}`, thrown);
    }
  };

  const turn = async (): Promise<void> => {
    turnedAt = Date.now();
    const free = slots - active.size;
    if (free <= 0) return bell.wait(idleMs);
    const { connectors, waitMs } = await lanes.claim(free, visibilityMs);
    for (const connectorId of connectors) {
      const served = serve(connectorId).finally(() => {
        active.delete(served);
        bell.ring();
      });
      active.add(served);
    }
    if (connectors.length === 0) await bell.wait(waitMs < 0 ? idleMs : Math.min(Math.max(waitMs, 1), idleMs));
  };

  return {
    start() {
      loop = (async () => {
        while (!stop.signal.aborted) {
          try {
            await turn();
          } catch (thrown) {
            report('scheduler', thrown);
            await bell.wait(1_000);
          }
        }
      })();
    },
    wake: () => bell.ring(),
    async drain() {
      stop.abort();
      bell.ring();
      await loop;
      await Promise.all(active);
    },
    running: () => active.size,
    lastTurnAt: () => turnedAt,
  };
}

/** A bell that is remembered if it rings while nobody waits. */
function createBell(): { ring(): void; wait(ms: number): Promise<void> } {
  let rung = false;
  let answer: (() => void) | null = null;
  return {
    ring() {
      rung = true;
      answer?.();
    },
    async wait(ms) {
      if (!rung) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, ms);
          answer = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      }
      answer = null;
      rung = false;
    },
  };
}
