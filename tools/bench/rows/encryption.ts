/** Row: what sealed bodies cost, against bodies that are stored as they are: to enqueue a message, and to send it. */
import { compare, type Figures } from '../contender.ts';
import { enqueuer, postlane } from '../contenders.ts';
import { benchKeys } from '../mail.ts';
import { startSink } from '../sink.ts';
import { startStore, type Store } from '../store.ts';
import { ratioOfMedians } from '../statistics.ts';
import { costs, finding, rates, type Finding, type Row } from './row.ts';

/** Messages per second, sealed against plain. */
const least = 0.85;

export const encryption: Row = {
  id: 'encryption',
  title: 'sealed bodies, against bodies that are stored as they are',
  sink: true,
  async run({ sizes, disposables, progress }) {
    const sink = disposables.add(await startSink());
    const store = async (): Promise<Store> => disposables.add(await startStore());
    const options = {
      lapMs: sizes.lapMs,
      repetitions: sizes.fineRepetitions,
      warmUp: sizes.warmUp,
      lapMessages: sizes.lapMessages,
      tune: false,
      most: 30_000,
      progress,
    };
    const plain = await postlane(disposables, { name: 'plain', store: await store(), sink });
    const sealed = await postlane(disposables, { name: 'sealed', store: await store(), sink, encryption: benchKeys });
    const senders = await Promise.all(
      [null, benchKeys].map(async (keys) => ({
        ...(await enqueuer(disposables, 'sendMany', await store(), true, keys)),
        name: keys === null ? 'sendMany, plain' : 'sendMany, sealed',
      })),
    );
    const sent = await compare([plain, sealed], options);
    const queued = await compare(senders, options);
    const against = (what: string, figures: ReadonlyMap<string, Figures>, name: string, than: string): Finding[] => {
      const [ours, base] = [figures.get(name)!, figures.get(than)!];
      const cost = ({ cpuUs: { sender = Number.NaN, redis = Number.NaN } }: Figures): number => sender + redis;
      const note = `${rates(ours)}, ${costs(ours)}, against ${rates(base)}, ${costs(base)}`;
      return [
        finding(
          {
            what: `${what}, messages/s`,
            against: than,
            measured: ratioOfMedians(ours.samples, base.samples),
            unit: '×',
          },
          { kind: 'at least', value: least },
          note,
        ),
        finding(
          { what: `${what}, processor time of a message`, against: than, measured: cost(ours) / cost(base), unit: '×' },
          null,
          note,
        ),
      ];
    };
    return {
      findings: [
        ...against('queue to 250, sealed', sent, 'sealed', 'plain'),
        ...against('sendMany, sealed', queued, 'sendMany, sealed', 'sendMany, plain'),
      ],
      figures: [...sent.values(), ...queued.values()],
    };
  },
};
