/** Owns the end of what was started: everything added is stopped when the list closes, the last one first. */

interface Stoppable {
  stop(): Promise<unknown>;
}

export interface Disposables {
  add<Thing extends Stoppable>(thing: Thing, what?: string): Thing;
  /** For what has no `stop`. `what` names it in a failure. */
  defer(what: string, end: () => Promise<unknown> | void): void;
  /** Stops everything, even if some of it fails to stop. Safe to call twice. → what failed. */
  close(): Promise<string[]>;
}

export function createDisposables(): Disposables {
  const open: { readonly what: string; readonly end: () => Promise<unknown> | void }[] = [];
  let closed = false;
  const defer: Disposables['defer'] = (what, end) => void open.push({ what, end });
  const close = async (): Promise<string[]> => {
    closed = true;
    const failures: string[] = [];
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      try {
        await next.end();
      } catch (error) {
        failures.push(`${next.what}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    return failures;
  };
  return {
    add(thing, what = 'a server or process') {
      // It was still starting while the list closed.
      if (closed) void thing.stop().catch(() => undefined);
      else defer(what, () => thing.stop());
      return thing;
    },
    defer,
    close,
  };
}
