/** Row: what the search index and events cost a message, against a worker that indexes nothing and has no reader of events. */
import { dayOf, defaultIndex, setName } from '../../../src/queue/journal/index-entries.ts';
import { openQueues } from '../../../src/queue/open.ts';
import { shardsOf } from '../../../src/queue/redis/shards.ts';
import { compare, type Contender } from '../contender.ts';
import { postlane } from '../contenders.ts';
import { startSink } from '../sink.ts';
import { startStore, type Store } from '../store.ts';
import { costs, finding, rates, type Finding, type Row } from './row.ts';

/** Of the processor time of a message, in worker and Redis together. */
const most = 1.05;

/** Entries of each set: what half of a day with a million messages has left there. */
const entriesPerSet = 32;
const setsPerStep = 512;
const member = `${'x'.repeat(13)}00000000-0000-0000-0000-000000`;
const fillScript = `
for set = tonumber(ARGV[2]), tonumber(ARGV[3]) do
  for nth = 10, 9 + tonumber(ARGV[4]) do redis.call('ZADD', KEYS[1] .. set, '0', nth .. ARGV[1]) end
end`;

/** The index of today, as it is on a day like others: an entry that makes a set costs several times as much as one that joins it. */
async function fillIndex(redis: Store['client']): Promise<void> {
  const { buckets } = defaultIndex;
  const name = shardsOf('{postlane}', 1)
    .home.find(setName('to', dayOf(Date.now()), buckets, 0))
    .replace(/0$/, '');
  for (let from = 0; from < buckets; from += setsPerStep) {
    await redis.eval(fillScript, 1, name, member, from, from + setsPerStep - 1, entriesPerSet);
  }
}

export const journal: Row = {
  id: 'journal',
  title: 'the search index, and events that are read, against neither',
  sink: true,
  earlier: true,
  async run({ sizes, earlier, disposables, progress }) {
    // It names no id of its own in its answers; a server that does costs one entry more.
    const sink = disposables.add(await startSink());
    const contender = async (name: string, options: object, program?: string): Promise<Contender> => {
      const store = disposables.add(await startStore());
      const named = program === undefined ? {} : { program };
      const made = await postlane(disposables, { ...options, ...named, name, store, sink });
      return {
        ...made,
        // A lap begins with an empty store.
        async lap(messages, begins) {
          return made.lap(messages, async () => {
            await store.fill(() => fillIndex(store.client));
            const { events } = openQueues(store.client, { prefix: '{postlane}' });
            if (name === 'index and events') await events.register('bench', { wants: 'results', leaseMs: null });
            await begins();
          });
        },
      };
    };
    const nothing = await contender('neither', { indexed: false });
    const index = await contender('index', {});
    const all = await contender('index and events', {});
    const before = earlier === null ? [] : [await contender(earlier.commit, {}, earlier.worker)];
    const figures = await compare([nothing, index, all, ...before], {
      lapMs: sizes.lapMs,
      repetitions: sizes.fineRepetitions,
      warmUp: sizes.warmUp,
      lapMessages: sizes.lapMessages,
      tune: false,
      most: 30_000,
      progress,
    });
    const against = (name: string, than: string, bound: number | null): Finding => {
      const [ours, base] = [figures.get(name)!, figures.get(than)!];
      const cost = ({ cpuUs: { sender = Number.NaN, redis = Number.NaN } }: typeof ours): number => sender + redis;
      return finding(
        { what: `processor time of a message, ${name}`, against: than, measured: cost(ours) / cost(base), unit: '×' },
        bound === null ? null : { kind: 'at most', value: bound },
        `${rates(ours)}, ${costs(ours)}, against ${rates(base)}, ${costs(base)}`,
      );
    };
    return {
      findings: [
        against('index', 'neither', most),
        against('index and events', 'neither', most),
        ...before.flatMap(({ name }) => [against('neither', name, null), against('index', name, null)]),
      ],
      figures: [...figures.values()],
    };
  },
};
