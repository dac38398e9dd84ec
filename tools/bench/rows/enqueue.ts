/** Row: what enqueuing costs beside BullMQ's own calls with the same payload. */
import { compare } from '../contender.ts';
import { enqueuer } from '../contenders.ts';
import { ratioOfMedians } from '../statistics.ts';
import { startStore } from '../store.ts';
import { costs, finding, rates, type Finding, type Row } from './row.ts';

export const enqueue: Row = {
  id: 'enqueue',
  title: 'send and sendMany, against queue.add and queue.addBulk with the same payload',
  sink: false,
  async run({ sizes, disposables, progress }) {
    const store = disposables.add(await startStore());
    const ways = ['send', 'add', 'sendMany', 'addBulk'] as const;
    const contenders = [];
    for (const way of ways) contenders.push(await enqueuer(disposables, way, store, true));
    const lapMs = sizes.lapMs / 2;
    const options = {
      lapMs,
      repetitions: sizes.repetitions,
      warmUp: sizes.warmUp,
      lapMessages: sizes.lapMessages * 2,
      most: 60_000,
      tune: true,
      progress,
    };
    const figures = await compare(contenders, options);
    const against = (our: 'send' | 'sendMany', their: 'add' | 'addBulk', how: string): Finding => {
      const [us, them] = [figures.get(our)!, figures.get(their)!];
      return finding(
        {
          what: `${our}, messages/s`,
          against: `queue.${their}`,
          measured: ratioOfMedians(us.samples, them.samples),
          unit: '×',
        },
        { kind: 'at least', value: 0.85 },
        `${rates(us)}, ${costs(us)}, against ${rates(them)}, ${costs(them)}; ${how}`,
      );
    };
    return {
      findings: [
        against('send', 'add', '50 callers at once'),
        against('sendMany', 'addBulk', '500 messages in a call, one after the other'),
      ],
      figures: [...figures.values()],
    };
  },
};
