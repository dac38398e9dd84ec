/** The ledger over several shards: each step goes to the shard that the row is in, as the word of its place says. */
import type { Ledger, LedgerRow } from './ledger/ledger.ts';
import type { Placement } from './ledger/location.ts';
import type { Shards } from './redis/shards.ts';

/** A message that moves is cancelled where it arrives; this often it is looked where that is. */
const chases = 5;

export function shardLedger(ledgers: readonly Ledger[], shards: Shards, placement: Placement): Ledger {
  const at = (shard: number): Ledger => ledgers[shard] ?? ledgers[0]!;
  /** A row is in the shard of its place; while it moves, or where a crash left it, in the one that it came from. */
  const search = async (id: string): Promise<{ readonly shard: number; readonly row: LedgerRow | null }> => {
    const { shard, from } = await placement.read(id);
    for (const each of [shard, from]) {
      const row = each === null ? null : await at(each).read(id);
      if (row !== null) return { shard: each ?? shard, row };
    }
    return { shard, row: null };
  };
  return {
    read: async (id) => (await search(id)).row,

    async standing(id) {
      const { shard, from } = await placement.read(id);
      const standing = await at(shard).standing(id);
      return standing.kind === 'new' && from !== null ? at(from).standing(id) : standing;
    },

    async create(row) {
      const shard = row.connector === null ? 0 : shards.of(row.connector);
      const place = await placement.claim(row.id, '', shard, null, row.deadline);
      return place.shard === shard ? at(shard).create(row) : false;
    },

    // A job in a lane has its row beside it.
    fence: async (row, attempt) => at(shards.of(row.connector ?? '')).fence(row, attempt),

    async settle(row, token, settlement) {
      const beside = row.connector !== null && token !== null;
      const shard = beside ? shards.of(row.connector) : (await search(row.id)).shard;
      return at(shard).settle(row, token, settlement);
    },

    settleAddOn: (row, token, settlement) => at(shards.of(row.connector ?? '')).settleAddOn(row, token, settlement),

    async cancel(id, now, retentionMs, inIntake) {
      for (let chase = 1; chase <= chases; chase += 1) {
        const before = await placement.read(id);
        const done = await at(before.shard).cancel(id, now, retentionMs, inIntake);
        // Whoever routes it writes the place first and the row then: if the place is still the same, the row is, or will be, there.
        if ((await placement.read(id)).at === before.at) return done;
      }
      return false;
    },

    async release(id, release) {
      const { shard, row } = await search(id);
      // Between the shards: a new row in its place would know nothing of those who have their copy.
      const { from } = row === null ? await placement.read(id) : { from: null };
      if (from !== null) await placement.move(id, from, shard);
      return at(shard).release(id, release);
    },
  };
}
