/** Row: from the queue to 250, against the alternatives, and against the limits of the queue and of the wire. */
import { compare, type Figures } from '../contender.ts';
import { noop, pooled, postlane, tutorial, wire } from '../contenders.ts';
import { postfixMissing } from '../../../testkit/postfix.ts';
import { harakaMissing } from '../../../testkit/mailservers/haraka.ts';
import { reference } from '../earlier.ts';
import { haraka, harakaPackages } from '../peers/haraka.ts';
import { postfix } from '../peers/postfix.ts';
import { startSink } from '../sink.ts';
import { ratioOfMedians, type Target } from '../statistics.ts';
import { startStore } from '../store.ts';
import { costs, finding, rates, type Finding, type Row } from './row.ts';

export const peers: Row = {
  id: 'peers',
  title: 'queue to 250, 4 KiB, 10 connectors, beside nodemailer, a tutorial worker, Postfix, Haraka, and the limits',
  sink: true,
  earlier: true,
  async run({ sizes, earlier, disposables, progress }) {
    const sink = disposables.add(await startSink());
    const store = async (): ReturnType<typeof startStore> => disposables.add(await startStore());
    const ours = await postlane(disposables, { store: await store(), sink });
    const before =
      earlier === null
        ? null
        : await postlane(disposables, {
            name: `Postlane ${earlier.commit}`,
            program: earlier.worker,
            store: await store(),
            sink,
          });
    const pool = await pooled(disposables, sink);
    const copied = await tutorial(disposables, await store(), sink);
    const missing = postfixMissing();
    const mta = missing === null ? await postfix(disposables, sink) : null;
    const missingHaraka = harakaMissing(harakaPackages);
    const mailServer = missingHaraka === null ? await haraka(disposables, sink) : null;
    const queue = await noop(disposables, await store());
    const bare = await wire(disposables, sink);
    const servers = [mta, mailServer].filter((each) => each !== null);
    const contenders = [ours, ...(before === null ? [] : [before]), pool, copied, ...servers, queue, bare];
    const options = {
      lapMs: sizes.lapMs,
      repetitions: sizes.peerRepetitions,
      warmUp: sizes.warmUp,
      lapMessages: sizes.lapMessages,
      tune: sizes.tune,
      most: 60_000,
    };
    const figures = await compare(contenders, { ...options, progress });

    const against = (name: string, value: number | null): Finding => {
      const [us, them] = [figures.get(ours.name)!, figures.get(name)];
      const target: Target | null = value === null ? null : { kind: 'at least', value };
      const about = { what: 'queue to 250, messages/s', against: name, unit: '×' } as const;
      if (them === undefined)
        return {
          ...about,
          measured: Number.NaN,
          target,
          verdict: 'skipped',
          note: (name === 'Postfix' ? missing : missingHaraka) ?? '',
        };
      const measured = ratioOfMedians(us.samples, them.samples);
      const tuned = them.tuned === null ? '' : `, ${them.tuned} at once`;
      return finding(
        { ...about, measured },
        target,
        `${rates(us)}, ${costs(us)}, against ${rates(them)}, ${costs(them)}${tuned}`,
      );
    };
    return {
      findings: [
        against(pool.name, 1.3),
        against(copied.name, 1.9),
        against('Postfix', 4),
        against('Haraka', null),
        against(queue.name, null),
        against(bare.name, null),
        ...(before === null ? [] : againstEarlier(figures.get(ours.name)!, figures.get(before.name)!)),
      ],
      figures: [...figures.values()],
    };
  },
};

/** What a message costs now, beside what it cost then. Both run in turns, so that a slow minute affects both. */
function againstEarlier(us: Figures, then: Figures): Finding[] {
  const isReference = then.name.endsWith(` ${reference}`);
  const cost = (role: 'sender' | 'redis', what: string, most: number): Finding => {
    const [now, before] = [us.cpuUs[role] ?? Number.NaN, then.cpuUs[role] ?? Number.NaN];
    return finding(
      { what: `processor time of a message, ${what}`, against: then.name, measured: now / before, unit: '×' },
      isReference ? { kind: 'at most', value: most } : null,
      `${Math.round(now)} µs against ${Math.round(before)} µs`,
    );
  };
  return [
    cost('sender', 'worker', 0.38),
    cost('redis', 'Redis', 0.33),
    finding(
      {
        what: 'queue to 250, messages/s',
        against: then.name,
        measured: ratioOfMedians(us.samples, then.samples),
        unit: '×',
      },
      null,
      `${rates(us)}, ${costs(us)}, against ${rates(then)}, ${costs(then)}`,
    ),
  ];
}
