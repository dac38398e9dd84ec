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
import { createShares } from './lane-shares.ts';

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
  /** `call` is called when a slot has become free. */
  onFree(call: () => void): void;
  running(): number;
  /** Whether a slot is free, and the next turn will look for work. */
  readonly hasRoom: () => boolean;
  /**
   * Runs a message that is in no lane yet, in a slot of its own, if one is free that no lane waits for. `work` → whether the lane has others
   * that wait: they are then looked for. → false: there is none, and nothing was called.
   */
  runDirect(connectorId: string, work: (lane: LaneWorker, token: string) => Promise<boolean | null>): boolean;
  /** Slots that no message has, and that no lane is known to wait for; 0 or less if there is none. Null: none may be taken at all. */
  freeSlots(): number | null;
  /** When the loop last turned, ms since the epoch: a health check's question. */
  lastTurnAt(): number;
}

/** How long a message that went straight through counts, in ms. */
const recentlyMs = 100;

/** A process that comes back under the same name begins to count anew, and no lock of its predecessor may look like its own. */
function tokensOf(worker: string): () => string {
  const start = `${worker}:${randomBytes(6).toString('base64url')}`;
  let count = 0;
  return () => `${start}:${(count += 1)}`;
}

async function repeat(
  turn: () => Promise<void>,
  end: AbortSignal,
  failed: (thrown: unknown) => Promise<void>,
): Promise<void> {
  while (!end.aborted) {
    try {
      await turn();
    } catch (thrown) {
      await failed(thrown);
    }
  }
}

export function createScheduler(options: SchedulerOptions): Scheduler {
  const { lanes, laneWorker, admission, slots, worker, emit, suspended = () => false } = options;
  const { visibilityMs = 1_000, idleMs = 2_000 } = options;
  const active = new Set<Promise<void>>();
  const shares = createShares(slots);
  const stop = new AbortController();
  let loop: Promise<void> = Promise.resolve();
  let turnedAt = 0;
  const newToken = tokensOf(worker);
  let inLine = 0; // lanes that were due at the last claim and found no free slot
  let claiming = 0; // of the free slots, those that a claim under way may fill
  let directAt = -Infinity;
  let freed = (): void => undefined;
  const wakeup = createWakeup();

  const report = (where: string, thrown: unknown): void =>
    emit({ event: 'error', id: null, where, detail: printable(asError(thrown).message, 500) });

  /** The loop may sleep longer: it has not heard of a lane that is due in so many ms. */
  const wakeIn = (ms: number): void => {
    if (ms === 0) wakeup.signal();
    else if (ms > 0 && ms < idleMs) setTimeout(() => wakeup.signal(), ms).unref();
  };

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
    // A lane that is not served here is due again in a moment, for a process that has room.
    if (!shares.hasRoom(connectorId)) return void (await lanes.refresh(connectorId, 'exact', false));
    await shares.hold(connectorId, async () => {
      const lane = laneWorker(connectorId);
      if (lane === null) return;
      const place = await admission.admit(connectorId);
      if (place === null) return;
      try {
        await take(connectorId, lane);
      } finally {
        place.cancel();
      }
    });
  };

  /** A slot of this process is in use until `work` has ended. `claims`: then another lane may have it. */
  const occupy = (connectorId: string, work: () => Promise<void>, claims: boolean): void => {
    const served = work()
      .catch((thrown: unknown) => report(`lane ${connectorId}`, thrown))
      .finally(() => {
        const wasFull = active.size >= slots;
        active.delete(served);
        if (claims || wasFull || inLine > 0) wakeup.signal();
        freed();
      });
    active.add(served);
  };

  const freeSlots = (): number | null => {
    if (stop.signal.aborted || suspended() || inLine > 0) return null;
    return slots - active.size - claiming;
  };

  const turn = async (): Promise<void> => {
    turnedAt = Date.now();
    const free = suspended() ? 0 : slots - active.size;
    if (free <= 0) return wakeup.wait(idleMs);
    // Where messages go straight through, they keep a half meanwhile: what this leaves is claimed in the next turn, at once.
    claiming = Date.now() - directAt < recentlyMs ? Math.ceil(free / 2) : free;
    const claim = lanes.claim(claiming, visibilityMs, admission.refused()).finally(() => (claiming = 0));
    const { connectors, waitMs, left } = await claim;
    inLine = left;
    for (const connectorId of connectors) occupy(connectorId, () => serve(connectorId), true);
    // What was kept for this claim, and is not used.
    if (active.size < slots) freed();
    if (connectors.length === 0) await wakeup.wait(waitMs < 0 ? idleMs : Math.min(Math.max(waitMs, 1), idleMs));
  };

  return {
    start() {
      loop = repeat(turn, stop.signal, (thrown) => {
        report('scheduler', thrown);
        return wakeup.wait(1_000);
      });
    },
    wake: () => wakeup.signal(),
    async drain() {
      stop.abort();
      wakeup.signal();
      await loop;
      await Promise.all(active);
    },
    runDirect(connectorId, work) {
      const lane = shares.hasRoom(connectorId) ? laneWorker(connectorId) : null;
      if (lane === null || (freeSlots() ?? 0) <= 0) return false;
      directAt = Date.now();
      const follow = async (): Promise<void> => {
        if ((await work(lane, newToken())) !== false) wakeIn(await lanes.refresh(connectorId, 'sooner', false));
      };
      occupy(connectorId, () => shares.hold(connectorId, follow), false);
      return true;
    },
    freeSlots,
    onFree(call) {
      freed = call;
    },
    running: () => active.size,
    hasRoom: () => active.size < slots && !stop.signal.aborted && !suspended(),
    lastTurnAt: () => turnedAt,
  };
}
