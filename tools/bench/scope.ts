/** Owns the end of what was started: whatever is added to a scope is stopped when it closes, the last one first. */

interface Stoppable {
  stop(): Promise<unknown>;
}

export interface Scope {
  add<Thing extends Stoppable>(thing: Thing): Thing;
  /** Stops everything, also if something does not stop well. Safe to call twice. */
  close(): Promise<void>;
}

export function createScope(): Scope {
  const things: Stoppable[] = [];
  let closed = false;
  return {
    add(thing) {
      // It was being started while the scope closed.
      if (closed) void thing.stop().catch(() => undefined);
      else things.push(thing);
      return thing;
    },
    async close() {
      closed = true;
      for (let thing = things.pop(); thing !== undefined; thing = things.pop()) {
        // Its measurement is over; what matters is that the others are stopped, too.
        await thing.stop().catch(() => undefined);
      }
    },
  };
}
