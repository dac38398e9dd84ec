/** Dead letters over several shards: each is where its message's row was; lists are merged by the time of death. */
import type { DeadLetters, DeadLetterSummary } from './ledger/dead-letters.ts';

export function shardLetters(letters: readonly DeadLetters[]): DeadLetters {
  const all = async <T>(ask: (each: DeadLetters) => Promise<T>): Promise<T[]> => Promise.all(letters.map(ask));
  return {
    count: async () => (await all((each) => each.count())).reduce((sum, count) => sum + count, 0),
    list: (filter) => merged(letters.map((each) => each.list(filter))),
    get: async (id) => (await all((each) => each.get(id))).find((letter) => letter !== null) ?? null,
    drop: async (id) => (await all((each) => each.drop(id))).includes(true),
    oldest: async (limit) =>
      (await all((each) => each.oldest(limit)))
        .flat()
        .sort((a, b) => a.at - b.at)
        .slice(0, limit),
    async overdue({ maxCount, limit, ...bounds }) {
      const old = await all((each) => each.overdue({ ...bounds, limit, maxCount: Infinity }));
      const over = (await this.count()) - maxCount;
      const many = over > 0 ? await this.oldest(Math.min(over, limit)) : [];
      return [...new Set([...old.flat(), ...many.map(({ id }) => id)])];
    },
  };
}

/** Each is sorted; so is what comes out. */
async function* merged(lists: AsyncGenerator<DeadLetterSummary>[]): AsyncGenerator<DeadLetterSummary> {
  const heads = await Promise.all(lists.map((list) => list.next()));
  for (;;) {
    let first: number | null = null;
    for (const [i, head] of heads.entries()) {
      if (head.done === true) continue;
      const best = first === null ? null : heads[first]!;
      if (best === null || best.done === true || head.value.at < best.value.at) first = i;
    }
    if (first === null) return;
    const head = heads[first]!;
    if (head.done !== true) yield head.value;
    heads[first] = await lists[first]!.next();
  }
}
