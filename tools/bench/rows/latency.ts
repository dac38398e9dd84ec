/** Row: the latency of healthy connectors beside a backlog, a hung server and one that is always busy. */
import { createProducer } from '../../../src/index.ts';
import { startSmtpServer, type SmtpServer, type SmtpServerOptions } from '../../../testkit/smtp/server.ts';
import { startTimingSink } from '../timing-sink.ts';
import { startChild } from '../child.ts';
import { sendEvenly } from '../evenly.ts';
import { mailOf, type BenchMail } from '../mail.ts';
import { createDisposables, type Disposables } from '../../../testkit/disposables.ts';
import { median, percentile } from '../statistics.ts';
import { startStore, type Store } from '../store.ts';
import type { BenchConnector } from '../worker.ts';
import { heldId, holdInLane } from './backlog.ts';
import { finding, type Bench, type Row } from './row.ts';

const lanes = 100;
const perSecond = 200;
/** Messages for each of the two broken servers. */
const stuck = 500;
const troubles = { [heldId]: 30, hung: null, busy: null } as const;

export const latency: Row = {
  id: 'latency',
  title: 'p99 from enqueue to 250 on 100 healthy lanes, beside a backlog, a hung and a busy server',
  sink: false,
  async run(bench) {
    const { sizes, disposables, progress } = bench;
    const calm = disposables.add(await startStore());
    const troubled = disposables.add(await startStore());
    const ports = await troublePorts(disposables);
    progress(`latency: ${sizes.waiting} messages into a lane of ${troubles[heldId]} a minute`);
    const lane = await holdInLane(disposables, troubled, { port: ports[heldId] });
    await troubled.fill(() => lane.add(sizes.waiting));
    await fillStuck(troubled);

    const all: Record<'calm' | 'troubled', number[][]> = { calm: [], troubled: [] };
    for (let repetition = 1; repetition <= sizes.repetitions; repetition += 1) {
      progress(`latency: without trouble, ${repetition} of ${sizes.repetitions}`);
      all.calm.push(await measure(bench, calm, []));
      progress(`latency: with trouble, ${repetition} of ${sizes.repetitions}`);
      const connectors = Object.entries(troubles).map(([id, messagesPerMinute]): BenchConnector => {
        return { id, port: ports[id as keyof typeof troubles], concurrency: 5, messagesPerMinute };
      });
      all.troubled.push(await measure(bench, troubled, connectors));
    }
    const p99 = (runs: readonly number[][]): number => median(runs.map((run) => percentile(run, 99)));
    const p50 = (runs: readonly number[][]): number => median(runs.map((run) => percentile(run, 50)));
    const [without, beside] = [p99(all.calm), p99(all.troubled)];
    return {
      findings: [
        finding(
          {
            what: 'p99 from enqueue to 250, 100 lanes, beside trouble',
            against: 'without it',
            measured: beside / without,
            unit: '×',
          },
          { kind: 'at most', value: 1.2 },
          `${beside.toFixed(1)} ms against ${without.toFixed(1)} ms (median ${p50(all.troubled).toFixed(1)} and ${p50(all.calm).toFixed(1)} ms) at ${perSecond}/s, ${sizes.waiting.toLocaleString('en')} waiting`,
        ),
      ],
      figures: [],
    };
  },
};

async function troublePorts(disposables: Disposables): Promise<Record<keyof typeof troubles, number>> {
  const start = async (script: SmtpServerOptions['script'] = {}): Promise<SmtpServer> =>
    disposables.add(await startSmtpServer({ record: false, script }));
  const slow = await start();
  const hung = await start({ CONNECT: 'hang' });
  const busy = await start({ CONNECT: '421 4.3.2 busy, come back later' });
  return { [heldId]: slow.port, hung: hung.port, busy: busy.port };
}

async function fillStuck(store: Store): Promise<void> {
  const producer = createProducer({ redis: { url: store.url } });
  const mails = ['hung', 'busy'].flatMap((id) =>
    Array.from({ length: stuck }, (_, nth) => ({ ...mailOf(nth), from: `news@${id}.bench.test` })),
  );
  const refused = (await producer.sendMany(mails)).some(({ ok }) => !ok);
  await producer.close();
  if (refused) throw new Error('not all messages were enqueued');
}

/** → ms from the call of `send` to the 250, of every message of one run. */
async function measure({ sizes }: Bench, store: Store, troubled: readonly BenchConnector[]): Promise<number[]> {
  const disposables = createDisposables();
  const sentAt = new Map<string, number>();
  const tookMs: number[] = [];
  try {
    const server = disposables.add(await startTimingSink(sentAt, (ms) => tookMs.push(ms)));
    const healthy = Array.from({ length: lanes }, (_, nth): BenchConnector => {
      return { id: `x${String(nth).padStart(2, '0')}`, port: server.port, concurrency: 5, messagesPerMinute: null };
    });
    const settings = { name: 'w1', redisUrl: store.url, connectors: [...healthy, ...troubled] };
    const worker = disposables.add(await startChild('worker.ts', settings));
    const producer = createProducer({ redis: { url: store.url } });
    disposables.defer('producer', () => producer.close());
    await worker.ask('start');
    // Code is compiled, sessions are open, and the broken servers are known by then.
    const send = (mail: BenchMail): Promise<unknown> => producer.send(mail);
    const evenly = { sentAt, perSecond, senders: lanes };
    await sendEvenly(send, { ...evenly, ms: 1_500, tag: 'warm' });
    tookMs.length = 0;
    await sendEvenly(send, { ...evenly, ms: sizes.latencyMs, tag: 'm' });
  } finally {
    await disposables.close();
  }
  return tookMs;
}
