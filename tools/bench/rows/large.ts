/** Row: messages of 100 KiB, against nodemailer's pool and the tutorial worker. A published figure of another machine is only shown. */
import { compare } from '../contender.ts';
import { pooled, postlane, tutorial } from '../contenders.ts';
import { largeBytes } from '../mail.ts';
import { startSink } from '../sink.ts';
import { ratioOfMedians, type Target } from '../statistics.ts';
import { startStore } from '../store.ts';
import { costs, finding, rates, type Finding, type Row } from './row.ts';

/** https://docs.kumomta.com/userguide/performance/testing/: 2.7 million messages of 100 KB an hour on 2 vCPU. */
const published = 750;

export const large: Row = {
  id: 'large',
  title: 'messages of 100 KiB per second, beside nodemailer and a tutorial worker',
  sink: true,
  async run({ sizes, disposables, progress }) {
    const sink = disposables.add(await startSink());
    const store = async (): ReturnType<typeof startStore> => disposables.add(await startStore());
    const bytes = largeBytes;
    const ours = await postlane(disposables, { name: 'Postlane, 100 KiB', store: await store(), sink, bytes });
    const pool = await pooled(disposables, sink, bytes);
    const copied = await tutorial(disposables, await store(), sink, bytes);
    const { lapMs, repetitions } = sizes;
    const [warmUp, lapMessages] = [Math.round(sizes.warmUp / 4), Math.round(sizes.lapMessages / 3)];
    const options = { lapMs, repetitions, warmUp, lapMessages, most: 5_000, tune: sizes.tune, progress };
    const figures = await compare([ours, pool, copied], options);
    const us = figures.get(ours.name)!;
    const against = (name: string, target: Target | null): Finding => {
      const them = figures.get(name)!;
      return finding(
        {
          what: '100 KiB messages/s',
          against: name,
          measured: ratioOfMedians(us.samples, them.samples),
          unit: '×',
        },
        target,
        `${rates(us)}, ${costs(us)}, against ${rates(them)}, ${costs(them)}`,
      );
    };
    return {
      findings: [
        against(pool.name, { kind: 'at least', value: 1.9 }),
        against(copied.name, null),
        finding(
          {
            what: '100 KiB messages/s',
            against: 'KumoMTA on 2 vCPU: 750/s',
            measured: us.perSecond.median / published,
            unit: '×',
          },
          null,
          `${rates(us)}; theirs is a published figure of another machine, without the sink`,
        ),
      ],
      figures: [...figures.values()],
    };
  },
};
