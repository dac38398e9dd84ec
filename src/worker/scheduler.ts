/**
 * The scheduler of one process: serves all lanes that have work, the one least recently served first, over one shared
 * connection and with a fixed number of slots. A lane that waits (limit, pause, fault) costs nothing and delays no other lane.
 *
 *   claim lanes that are due ─▶ take one job (others may take the next) ─▶ run ─▶ run the next … ─▶ refresh
 *                                     └─ nothing there: the lane is due later, or out of the set
 */
import { randomBytes } from 'node:crypto';
import { asError, printable } from '../errors.ts';
import type { LaneWorker } from '../queue/lanes/lane-worker.ts';
import type { Lanes } from '../queue/lanes/lanes.ts';
import type { Admission } from './admission.ts';
import { burstLimits, runBurst } from './burst.ts';
import { createWakeup } from '../async/wakeup.ts';
import type { Listener } from './events.ts';

export interface SchedulerOptions {
  readonly lanes: Lanes;
  /** The lane's worker, or null if this process does not know its connector: another may. */
  readonly laneWorker: (connectorId: string) => LaneWorker | null;
  /** Asked before a message is taken: what it needs to be sent. Null if that is not to be had here; the lane is seen to. */
  readonly admission: Pick<Admission, 'admit' | 'refused'>;
  readonly slots: number;
  readonly worker: string;
  readonly emit: Listener;
  /** While it is true, no message is taken. Default: never. */
  readonly suspended?: () => boolean;
  /**
   * A lane claimed by a process that died is due again after this time. Default 1 s: if the process is
   * merely slow, another may claim the lane too; each job is still taken once.
   */
  readonly visibilityMs?: number;
  /** How long to sleep at most when nothing is due; lanes that become ready wake it. Default 2 s. */
  readonly idleMs?: number;
}

export interface Scheduler {
  start(): void;
  /** Looks for work now. */
  readonly wake: () => void;
  /** Stops claiming; resolves when all running jobs are done. */
  drain(): Promise<void>;
  running(): number;
  /** Whether a slot is free, and the next turn will look for work. */
  readonly hasRoom: () => boolean;
  /** When the loop last turned, ms since the epoch: a health check's question. */
  lastTurnAt(): number;
}

/** No lane takes more of a process than this share of its slots: a lane that begins to hang leaves room for the others. */
function slotsPerLane(slots: number): number {
  return Math.max(1, Math.floor(slots * 0.75));
}

export function createScheduler(options: SchedulerOptions): Scheduler {
  const { lanes, laneWorker, admission, slots, worker, emit, suspended = () => false } = options;
  const visibilityMs = options.visibilityMs ?? 1_000;
  const idleMs = options.idleMs ?? 2_000;
  const active = new Set<Promise<void>>();
  /** Running jobs by lane. */
  const busy = new Map<string, number>();
  const stop = new AbortController();
  let loop: Promise<void> = Promise.resolve();
  let turnedAt = 0;
  // A process that comes back under the same name begins to count anew, and no lock of its predecessor may look like its own.
  const tokenStart = `${worker}:${randomBytes(6).toString('base64url')}`;
  let tokens = 0;
  /** Lanes that were due at the last claim and found no free slot. */
  let inLine = 0;
  const wakeup = createWakeup();

  const report = (where: string, thrown: unknown): void =>
    emit({ event: 'error', id: null, where, detail: printable(asError(thrown).message, 500) });

  /** The loop may sleep longer: it has not heard of a lane that is due in so many ms. */
  const wakeIn = (ms: number): void => {
    if (ms === 0) wakeup.signal();
    else if (ms > 0 && ms < idleMs) setTimeout(() => wakeup.signal(), ms).unref();
  };

  const newToken = (): string => `${tokenStart}:${(tokens += 1)}`;

  const tokenForMore = (count: number, endsAt: number): string | null => {
    if (stop.signal.aborted || suspended()) return null;
    const many = inLine === 0 ? burstLimits.alone : burstLimits.amongOthers;
    return active.size < slots || (count < many && Date.now() < endsAt) ? newToken() : null;
  };

  const take = async (connectorId: string, lane: LaneWorker): Promise<void> => {
    // When this process is full, an idle one should hear that the lane has more.
    const { job, token, dueInMs } = await lane.take(newToken(), { first: true, announce: active.size >= slots });
    if (job === undefined) return;
    wakeIn(dueInMs);
    wakeIn((await runBurst(lane, job, token, tokenForMore)) ?? (await lanes.refresh(connectorId, 'sooner', false)));
  };

  const serve = async (connectorId: string): Promise<void> => {
    const before = busy.get(connectorId) ?? 0;
    // A lane that is not served here is due again in a moment, for a process that has room.
    if (before >= slotsPerLane(slots)) return void (await lanes.refresh(connectorId, 'exact', false));
    busy.set(connectorId, before + 1);
    try {
      const lane = laneWorker(connectorId);
      if (lane === null) return;
      const place = await admission.admit(connectorId);
      if (place === null) return;
      try {
        await take(connectorId, lane);
      } finally {
        place.cancel();
      }
    } finally {
      const left = (busy.get(connectorId) ?? 1) - 1;
      if (left > 0) busy.set(connectorId, left);
      else busy.delete(connectorId);
    }
  };

  const turn = async (): Promise<void> => {
    turnedAt = Date.now();
    if (suspended()) return wakeup.wait(idleMs);
    const free = slots - active.size;
    if (free <= 0) return wakeup.wait(idleMs);
    const { connectors, waitMs, left } = await lanes.claim(free, visibilityMs, admission.refused());
    inLine = left;
    for (const connectorId of connectors) {
      const served = serve(connectorId)
        .catch((thrown: unknown) => report(`lane ${connectorId}`, thrown))
        .finally(() => {
          active.delete(served);
          wakeup.signal();
        });
      active.add(served);
    }
    if (connectors.length === 0) await wakeup.wait(waitMs < 0 ? idleMs : Math.min(Math.max(waitMs, 1), idleMs));
  };

  return {
    start() {
      loop = (async () => {
        while (!stop.signal.aborted) {
          try {
            await turn();
          } catch (thrown) {
            report('scheduler', thrown);
            await wakeup.wait(1_000);
          }
        }
      })();
    },
    wake: () => wakeup.signal(),
    async drain() {
      stop.abort();
      wakeup.signal();
      await loop;
      await Promise.all(active);
    },
    running: () => active.size,
    hasRoom: () => active.size < slots && !stop.signal.aborted && !suspended(),
    lastTurnAt: () => turnedAt,
  };
}
