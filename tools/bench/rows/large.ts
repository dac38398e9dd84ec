/** Row: messages of 100 KiB, against the figure that KumoMTA publishes for a machine with two processors. */
import { compare } from '../contender.ts';
import { postlane } from '../contenders.ts';
import { largeBytes } from '../mail.ts';
import { startSink } from '../sink.ts';
import { startStore } from '../store.ts';
import { finding, rates, type Row } from './row.ts';

/** https://docs.kumomta.com/userguide/performance/testing/: 2.7 million messages of 100 KB an hour on 2 vCPU. */
const published = 750;

export const large: Row = {
  id: 'large',
  title: 'messages of 100 KiB per second, against 750 per second',
  sink: true,
  async run({ sizes, disposables, progress }) {
    const sink = disposables.add(await startSink());
    const ours = await postlane(disposables, {
      name: 'Postlane, 100 KiB',
      store: disposables.add(await startStore()),
      sink,
      bytes: largeBytes,
    });
    const { lapMs, repetitions } = sizes;
    const options = { lapMs, repetitions, warmUp: Math.round(sizes.warmUp / 3), most: 5_000, tune: true, progress };
    const figures = (await compare([ours], options)).get(ours.name)!;
    return {
      findings: [
        finding(
          {
            what: '100 KiB messages/s',
            against: 'KumoMTA on 2 vCPU: 750/s',
            measured: figures.perSecond.median / published,
            unit: '×',
          },
          { kind: 'at least', value: 1 },
          `${rates(figures)}; theirs is a published figure of another machine, without the sink`,
        ),
      ],
      figures: [figures],
    };
  },
};
