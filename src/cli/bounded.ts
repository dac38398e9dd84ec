/** Does the same with many things, a few at once. */

/** Results in the order of `items`. The first rejection rejects all; what is running then is not waited for. */
export async function eachBounded<Item, Result>(
  items: readonly Item[],
  atOnce: number,
  work: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results = new Map<number, Result>();
  const entries = items.entries();
  // One iterator for all of them: whoever is free takes the next.
  const lane = async (): Promise<void> => {
    for (const [index, item] of entries) results.set(index, await work(item));
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, lane));
  return items.map((_, index) => results.get(index)!);
}
