/**
 * How much of the intake a process takes at once. While messages can go straight through, it takes as many as it has free slots, and the
 * others wait where any process finds them. If sending is what takes long, it puts all that comes into the lanes, so that no lane holds up
 * another, until the intake is empty. That is so if there was no room for a batch for a moment, or if the process waited for slots and had
 * nothing to do meanwhile: a process that is busy all the time would not be faster in moving them.
 */
import { maxOfKind } from '../lua/exchange.ts';

/** How long there may be no room, and how often it is looked at what the process did, in ms. */
const patienceMs = 30;
/** Of the time that passes while messages wait for slots. */
const maxIdleShare = 0.2;

export interface IntakePace {
  /** Jobs that may be taken now, beside those `inHand`; 0: look again within `waitMs`. */
  room(inHand: number): number;
  readonly waitMs: number;
  /** `full`: as many were taken as were asked for, so more may be there. */
  fetched(full: boolean): void;
  /** Nothing is there. */
  emptied(): void;
}

/** In ms, monotonic: the time, and how much of it the process had nothing to do. */
export interface ProcessTimes {
  readonly now: () => number;
  readonly idle: () => number;
}

/** `freeSlots`: null while nothing can go straight through. */
export function createIntakePace(freeSlots: () => number | null, { now, idle }: ProcessTimes): IntakePace {
  let fullSince: number | null = null;
  let window: { readonly at: number; readonly idle: number } | null = null;
  let moving = false;
  let backlog = false;

  /** Whether sending is what takes long, as far as the time since the window began shows. */
  const waits = (at: number): boolean => {
    const idleNow = idle();
    window ??= { at, idle: idleNow };
    const passed = at - window.at;
    if (passed < patienceMs) return false;
    const idled = idleNow - window.idle;
    window = { at, idle: idleNow };
    return idled > passed * maxIdleShare;
  };

  return {
    waitMs: patienceMs,
    room(inHand) {
      const free = moving ? null : freeSlots();
      if (free === null) return Infinity;
      // Where others wait, a whole batch is worth a moment: a script for one message costs nearly as much as for eight.
      if (free - inHand >= (backlog ? maxOfKind : 1)) {
        fullSince = null;
        return free - inHand;
      }
      const at = now();
      fullSince ??= at;
      moving = waits(at) || at - fullSince >= patienceMs;
      return moving ? Infinity : 0;
    },
    fetched(full) {
      backlog = full;
    },
    emptied() {
      fullSince = null;
      window = null;
      moving = false;
      backlog = false;
    },
  };
}
