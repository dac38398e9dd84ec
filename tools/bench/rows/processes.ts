/** Row: two worker processes against one, and the bottleneck. */
import { cpus } from 'node:os';
import { compare, type Figures } from '../contender.ts';
import { postlane } from '../contenders.ts';
import { startSink } from '../sink.ts';
import { ratioOfMedians } from '../statistics.ts';
import { startStore } from '../store.ts';
import { finding, rates, type Row } from './row.ts';

export const processes: Row = {
  id: 'processes',
  title: 'two worker processes against one',
  sink: true,
  async run({ sizes, disposables, progress }) {
    const sink = disposables.add(await startSink());
    const one = await postlane(disposables, { name: 'one worker', store: disposables.add(await startStore()), sink });
    const two = await postlane(disposables, {
      name: 'two workers',
      store: disposables.add(await startStore()),
      sink,
      workers: 2,
    });
    const { lapMs, repetitions, warmUp, lapMessages } = sizes;
    const options = { lapMs, repetitions, warmUp, lapMessages, most: 30_000, tune: true, progress };
    const figures = await compare([one, two], options);
    const [alone, both] = [figures.get(one.name)!, figures.get(two.name)!];
    return {
      findings: [
        finding(
          {
            what: 'two worker processes, messages/s',
            against: 'one',
            measured: ratioOfMedians(both.samples, alone.samples),
            unit: '×',
          },
          null,
          `${rates(both)} against ${rates(alone)}; ${limitOf(both)}`,
        ),
      ],
      figures: [alone, both],
    };
  },
};

/** Which processes were busy, and so the bottleneck. */
function limitOf({ cores, othersCores }: Figures): string {
  const { sender = 0, redis = 0, sink = 0 } = cores;
  const total = sender + redis + sink + othersCores;
  const available = cpus().length;
  const busy = `workers ${percent(sender)}, Redis ${percent(redis)}, sink ${percent(sink)}, others ${percent(othersCores)} of a processor`;
  if (total > 0.85 * available) return `limit: all ${available} processors busy (${busy})`;
  if (redis > 0.85) return `limit: Redis, which has one thread (${busy})`;
  if (sink > 0.85) return `limit: the sink, which has one thread (${busy})`;
  return `limit: waiting, none was busy (${busy})`;
}

function percent(cores: number): string {
  return `${Math.round(cores * 100)} %`;
}
