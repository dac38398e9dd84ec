/** Row: from `send` to 250 where nothing waits, beside the tutorial worker: 20 messages a second over ten connectors. */
import { Queue } from 'bullmq';
import { createProducer } from '../../../src/index.ts';
import { startTimingSink } from '../timing-sink.ts';
import { startChild } from '../child.ts';
import { carefulOptions, tenConnectors } from '../contenders.ts';
import { sendEvenly } from '../evenly.ts';
import type { BenchMail } from '../mail.ts';
import { median, percentile } from '../statistics.ts';
import { startStore } from '../store.ts';
import { finding, type Bench, type Row } from './row.ts';

const perSecond = 20;
/** Faster than what is measured, so that the code is compiled soon. */
const warmUpPerSecond = 400;

export const fleet: Row = {
  id: 'fleet',
  title: 'send to 250 on an idle fleet, p50 and p99, beside a tutorial worker',
  sink: false,
  async run(bench) {
    const { sizes, progress, disposables } = bench;
    const sentAt = new Map<string, number>();
    let tookMs: number[] = [];
    const server = disposables.add(await startTimingSink(sentAt, (ms) => tookMs.push(ms)));
    const contenders = [await ours(bench, server.port), await theirs(bench, server.port)];
    const runs = contenders.map((): number[][] => []);
    const evenly = { sentAt, senders: 10 };
    for (const [index, { send }] of contenders.entries()) {
      const ms = (sizes.warmUp * 1_000) / 5 / warmUpPerSecond;
      await sendEvenly(send, { ...evenly, perSecond: warmUpPerSecond, ms, tag: `warm${index}x` });
    }
    for (let repetition = 1; repetition <= sizes.repetitions; repetition += 1) {
      for (const [index, { name, send }] of contenders.entries()) {
        progress(`fleet: ${name}, ${repetition} of ${sizes.repetitions}`);
        tookMs = [];
        await sendEvenly(send, { ...evenly, perSecond, ms: sizes.fleetMs, tag: `r${repetition}x${index}x` });
        runs[index]?.push(tookMs);
      }
    }
    const of = (percent: number, atMost: number): ReturnType<typeof finding> => {
      const [us = Number.NaN, them = Number.NaN] = runs.map((each) =>
        median(each.map((run) => percentile(run, percent))),
      );
      return finding(
        { what: `send to 250, idle fleet, p${percent}`, against: 'tutorial worker', measured: us / them, unit: '×' },
        { kind: 'at most', value: atMost },
        `${us.toFixed(1)} ms against ${them.toFixed(1)} ms, at ${perSecond}/s over ten connectors`,
      );
    };
    return { findings: [of(50, 1), of(99, 1.5)], figures: [] };
  },
};

interface Sender {
  readonly name: string;
  readonly send: (mail: BenchMail) => Promise<unknown>;
}

async function ours({ disposables }: Bench, port: number): Promise<Sender> {
  const store = disposables.add(await startStore());
  const settings = { name: 'w1', redisUrl: store.url, connectors: tenConnectors(port) };
  const worker = disposables.add(await startChild('worker.ts', settings));
  const producer = createProducer({ redis: { url: store.url } });
  disposables.defer('producer', () => producer.close());
  await worker.ask('start');
  return { name: 'Postlane', send: (mail) => producer.send(mail) };
}

async function theirs({ disposables }: Bench, port: number): Promise<Sender> {
  const store = disposables.add(await startStore());
  const queue = new Queue('mail', { connection: { url: store.url } });
  queue.on('error', () => undefined);
  disposables.defer('queue', () => queue.close());
  const settings = { port, redisUrl: store.url, queue: 'mail' };
  const worker = disposables.add(await startChild('peers/tutorial.ts', settings));
  await worker.ask('start');
  return { name: 'tutorial worker', send: (mail) => queue.add('mail', mail, carefulOptions) };
}
