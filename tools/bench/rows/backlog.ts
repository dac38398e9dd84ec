/** Row: enqueuing and draining while a very large backlog waits, against the same with an empty queue. */
import { setTimeout as pause } from 'node:timers/promises';
import { createProducer } from '../../../src/index.ts';
import { prepareBacklog, type Backlog } from '../backlog.ts';
import { startChild } from '../child.ts';
import { compare } from '../contender.ts';
import { enqueuer, postlane, sendMany, tenConnectors } from '../contenders.ts';
import { connectorId, mailOf, smallBytes } from '../mail.ts';
import type { Disposables } from '../../../testkit/disposables.ts';
import { startSink } from '../sink.ts';
import { ratioOfMedians } from '../statistics.ts';
import { startStore, type Store } from '../store.ts';
import { costs, finding, rates, type Finding, type Row } from './row.ts';

/**
 * Messages of a lap that enqueues, at most. Redis doubles its table of keys at 1,048,576 (2^20) and moves them over with each command that
 * follows, which costs a message some 20 µs until it is done: the laps end before.
 */
const mostSent = 10_000;

/** The fill takes a while, so it is reported in parts. */
const parts = 5;

/** The lane of the backlog: so slow that none of it is sent. */
export const heldId = 'held';

export const backlog: Row = {
  id: 'backlog',
  title: 'send and drain with 1,000,000 waiting (--quick: 50,000), against none waiting',
  sink: true,
  async run({ sizes, disposables, progress }) {
    const sink = disposables.add(await startSink());
    const stores = {
      few: await startStore(),
      empty: await startStore(),
      lane: await startStore(),
      intake: await startStore(),
    };
    for (const store of Object.values(stores)) disposables.add(store);
    const lane = await holdInLane(disposables, stores.lane, sink);
    const intake = await holdInIntake(stores.intake);
    await stores.lane.fill(() => fillUp('a throttled lane', lane, sizes.backlog, progress));
    await stores.intake.fill(() => fillUp('the intake', intake, sizes.backlog, progress));

    const connectors = withHeld(sink.port, 1);
    const options = { sink, connectors };
    const { repetitions, warmUp, lapMessages } = sizes;
    const loop = { repetitions, warmUp, lapMessages, most: 20_000, tune: true, progress };
    // Neither is cleared between laps: memory that is used again costs less than memory that the kernel has yet to give.
    const sending = [
      await enqueuer(disposables, 'send', stores.few, false),
      rename('send, full', await enqueuer(disposables, 'send', stores.intake, false)),
    ];
    const drain = (name: string, store: Store): ReturnType<typeof postlane> =>
      postlane(disposables, { ...options, name, store, fill: sendMany(disposables, store.url, smallBytes) });
    const draining = [await drain('drain', stores.empty), await drain('drain, full', stores.lane)];
    const figures = new Map([
      ...(await compare(sending, { ...loop, most: mostSent, lapMs: sizes.lapMs / 2 })),
      ...(await compare(draining, { ...loop, lapMs: sizes.lapMs })),
    ]);
    const against = (name: string, note: string): Finding => {
      const [few, many] = [figures.get(name)!, figures.get(`${name}, full`)!];
      return finding(
        {
          what: `${name} at ${sizes.backlog.toLocaleString('en')} waiting`,
          against: 'at none waiting',
          measured: ratioOfMedians(many.samples, few.samples),
          unit: '×',
        },
        { kind: 'at least', value: 0.95 },
        `${rates(many)}, ${costs(many)}, against ${rates(few)}, ${costs(few)}; ${note}`,
      );
    };
    return {
      findings: [
        against('send', 'they wait in the intake; both take new memory'),
        against('drain', 'they wait in a throttled lane'),
      ],
      figures: [...figures.values()],
    };
  },
};

async function fillUp(where: string, waiting: Backlog, count: number, progress: (text: string) => void): Promise<void> {
  for (let part = 1; part <= parts; part += 1) {
    await waiting.add(count / parts);
    progress(`backlog: ${part} of ${parts} parts of ${count.toLocaleString('en')} messages are in ${where}`);
  }
}

function rename<Contender extends { readonly name: string }>(name: string, contender: Contender): Contender {
  return { ...contender, name };
}

export function withHeld(port: number, messagesPerMinute: number): ReturnType<typeof tenConnectors> {
  return [...tenConnectors(port), { id: heldId, port, concurrency: 5, messagesPerMinute }];
}

/** Lets a worker put messages into the throttled lane; the last of them is the template of a backlog there. */
export async function holdInLane(
  disposables: Disposables,
  store: Store,
  sink: { readonly port: number },
): Promise<Backlog> {
  const id = 'lane0000000';
  const worker = disposables.add(
    await startChild('worker.ts', { name: 'holder', redisUrl: store.url, connectors: withHeld(sink.port, 1) }),
  );
  const producer = createProducer({ redis: { url: store.url } });
  try {
    await worker.ask('start');
    const message = { ...mailOf(0), from: `news@${heldId}.bench.test` };
    // The lane has just begun, so the first one is sent.
    await producer.send(message);
    while ((await worker.ask<{ sent: number }>('counts')).sent === 0) await pause(20);
    await producer.send({ ...message, id });
    while ((await producer.status(id))?.connector !== heldId) await pause(20);
    await worker.ask('stop');
  } finally {
    await producer.close();
    await worker.stop();
  }
  return prepareBacklog(store.client, { id, connector: null });
}

/** While no worker runs: a message for each of the ten connectors in turns. */
async function holdInIntake(store: Store): Promise<Backlog> {
  const id = 'intake0000000';
  const producer = createProducer({ redis: { url: store.url } });
  try {
    await producer.send({ ...mailOf(0), id });
  } finally {
    await producer.close();
  }
  return prepareBacklog(store.client, { id, connector: connectorId(0) });
}
