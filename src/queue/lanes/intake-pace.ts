/**
 * How much of the intake a process takes at once. While messages can go straight through, it takes as many as it has free slots, and the
 * others wait where any process finds them. If no slot was free for a moment, sending is what takes long: then it puts all that comes into
 * the lanes, so that no lane holds up another, until the intake is empty.
 */

/** How long no slot may be free, in ms. */
const patienceMs = 30;

export interface IntakePace {
  /** Jobs that may be taken now, beside those `inHand`; 0: look again within `waitMs`. */
  room(inHand: number): number;
  readonly waitMs: number;
  /** Nothing is there. */
  emptied(): void;
}

/** `freeSlots`: null while nothing can go straight through. `now` in ms, monotonic. */
export function createIntakePace(freeSlots: () => number | null, now: () => number): IntakePace {
  let fullSince: number | null = null;
  let moving = false;
  return {
    waitMs: patienceMs,
    room(inHand) {
      const free = moving ? null : freeSlots();
      if (free === null) return Infinity;
      if (free > inHand) {
        fullSince = null;
        return free - inHand;
      }
      fullSince ??= now();
      moving = now() - fullSince >= patienceMs;
      return moving ? Infinity : 0;
    },
    emptied() {
      fullSince = null;
      moving = false;
    },
  };
}
