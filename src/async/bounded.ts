/** Runs the same work for many items, a few at a time. */

/** Results in the order of `items`. Rejects with the first rejection, without waiting for work that is still running. */
export async function eachBounded<Item, Result>(
  items: readonly Item[],
  atOnce: number,
  work: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results = new Map<number, Result>();
  const entries = items.entries();
  // All share one iterator: each takes the next item when it is free.
  const lane = async (): Promise<void> => {
    for (const [index, item] of entries) results.set(index, await work(item));
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, lane));
  return items.map((_, index) => results.get(index)!);
}
