/** Row: what the search index and events cost a message, against a worker that indexes nothing and has no reader of events. */
import { openQueues } from '../../../src/queue/open.ts';
import { compare, type Contender } from '../contender.ts';
import { postlane } from '../contenders.ts';
import { startSink } from '../sink.ts';
import { startStore } from '../store.ts';
import { costs, finding, rates, type Finding, type Row } from './row.ts';

/** Of the processor time of a message, in worker and Redis together. */
const most = 1.05;

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
      if (name !== 'index and events') return made;
      return {
        ...made,
        // A lap begins with an empty store.
        async lap(messages, begins) {
          return made.lap(messages, async () => {
            const { events } = openQueues(store.client, { prefix: '{postlane}' });
            await events.register('bench', { wants: 'results', leaseMs: null });
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
      repetitions: sizes.peerRepetitions,
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
