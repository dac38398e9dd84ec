/** What every page asks for and what takes long to read: read once for many tabs, and shown as it was while it is read anew. */

/** At most so old, and by as much longer as it takes to read, in ms: many tabs ask for it, and reading it looks at every lane. */
const freshMs = 2_000;
/** What takes so long is not waited for, in ms: with thousands of connectors, each page would. */
const slowMs = 200;
/** But what is older than this is, in ms. */
const staleMs = 20_000;

interface Reading<T> {
  readonly at: number;
  readonly value: Promise<T>;
  /** null: not over yet. */
  tookMs: number | null;
}

/** Rejects while it cannot be read: what was before is not shown then. `now`: in ms. */
export function remembered<T>(read: (at: number) => Promise<T>, now: () => number): () => Promise<T> {
  let last: Reading<T> | null = null;
  let older: { readonly at: number; readonly value: T } | null = null;

  const readNow = async (at: number): Promise<T> => {
    try {
      const value = await read(at);
      const tookMs = now() - at;
      if (last?.at === at) last.tookMs = tookMs;
      older = tookMs >= slowMs ? { at, value } : null;
      return value;
    } catch (thrown) {
      [last, older] = [null, null];
      throw thrown;
    }
  };

  return () => {
    const at = now();
    const isFresh = last !== null && (last.tookMs === null || at - last.at < freshMs + last.tookMs);
    if (last === null || !isFresh) {
      const value = readNow(at);
      // It is awaited by who asks, or by no page at all.
      value.catch(() => undefined);
      last = { at, value, tookMs: null };
    }
    const isComing = last.tookMs === null;
    return isComing && older !== null && at - older.at < staleMs ? Promise.resolve(older.value) : last.value;
  };
}
