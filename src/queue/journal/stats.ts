/** Reads the counters of five minutes, over all shards. */
import { runReading, script } from '../lua/script.ts';
import type { RedisClient } from '../redis/connection.ts';
import type { Shards } from '../redis/shards.ts';
import { slotMs } from './lua.ts';
import type { ResultKind } from './notes.ts';

/** `soon`: of the sent ones, those within five minutes of acceptance (or `sendAt`). `bounced`: reports of a failure. `faults`: of connectors. */
const counterNames = [
  'accepted',
  'sent',
  'soon',
  'partial',
  'deferred',
  'set-aside',
  'uncertain',
  'held',
  'dead',
  'cancelled',
  'replayed',
  'bounced',
  'fault',
] as const satisfies readonly (Exclude<ResultKind, '-'> | 'accepted' | 'soon' | 'bounced' | 'fault')[];
type CounterName = (typeof counterNames)[number];

type Counts = Readonly<Record<CounterName, number>>;

/** Five minutes that begin `at` (ms since the epoch). The last ones have not ended. */
interface Slot {
  readonly at: number;
  readonly counts: Counts;
}

/** Kept for so long: eight days in all, 25 hours by connector. */
const mostSlots = { all: 2_304, connector: 300 } as const;

export interface Counters {
  /** From the one that contains `since` to the one that contains `until`; the last 2,304 (eight days) at most. */
  series(since: number, until: number): Promise<readonly Slot[]>;
  /** The same of one connector, without `accepted`; the last 300 (25 hours) at most. */
  connectorSeries(connectorId: string, since: number, until: number): Promise<readonly Slot[]>;
}

/** Of one step. */
const slotsPerStep = 300;

/** → of each hash the values of the fields. @lua */
export const countsScript = script(
  { keys: ['_anchor'], moreKeys: 'slots', moreArgs: 'names' },
  /* lua */ `
local found = {}
for i, key in ipairs(slots) do found[i] = redis.call('HMGET', key, unpack(names)) end
return found
`,
);

export function createCounters(redis: RedisClient, shards: Shards): Counters {
  const read = async (
    slotsAt: readonly number[],
    keyOf: (keys: Shards['all'][number], at: number) => string,
    fieldOf: (name: CounterName) => string,
    connectorId: string | null,
  ): Promise<readonly Slot[]> => {
    const sums = slotsAt.map(() => counterNames.map(() => 0));
    const asked = connectorId === null ? shards.all : [shards.keysOf(connectorId)];
    await Promise.all(
      asked.map(async (keys) => {
        for (let from = 0; from < slotsAt.length; from += slotsPerStep) {
          const some = slotsAt.slice(from, from + slotsPerStep);
          const answer = (await runReading(redis, countsScript, {
            keys: { _anchor: keys.recent },
            moreKeys: some.map((at) => keyOf(keys, at)),
            moreArgs: counterNames.map(fieldOf),
          })) as (string | null)[][];
          for (const [i, values] of answer.entries()) {
            for (const [nth, value] of values.entries()) sums[from + i]![nth]! += Number(value ?? 0);
          }
        }
      }),
    );
    return slotsAt.map((at, i) => ({
      at,
      counts: Object.fromEntries(counterNames.map((name, nth) => [name, sums[i]![nth]!])) as Counts,
    }));
  };
  return {
    series: (since, until) =>
      read(
        slotsBetween(since, until, mostSlots.all),
        (keys, at) => keys.stats(at),
        (name) => name,
        null,
      ),
    connectorSeries: (connectorId, since, until) =>
      read(
        slotsBetween(since, until, mostSlots.connector),
        (keys, at) => keys.connectorSlot(at),
        (name) => `${name} ${connectorId}`,
        connectorId,
      ),
  };
}

function slotsBetween(since: number, until: number, most: number): number[] {
  const last = Math.floor(until / slotMs) * slotMs;
  const first = Math.max(Math.floor(since / slotMs) * slotMs, last - (most - 1) * slotMs);
  const count = Math.max(0, Math.floor((last - first) / slotMs) + 1);
  return Array.from({ length: count }, (_, i) => first + i * slotMs);
}
