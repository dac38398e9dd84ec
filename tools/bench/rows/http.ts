/** Row: what submitting over HTTP costs beside `send` in the process of an application, and what 1,000 open streams of events take. */
import { startChild, type Child } from '../child.ts';
import { compare, type Contender } from '../contender.ts';
import { enqueuer, redisPart } from '../contenders.ts';
import { ratioOfMedians } from '../statistics.ts';
import { startStore } from '../store.ts';
import { costs, finding, rates, type Row } from './row.ts';

const streams = 1_000;
/** A socket of Node with its request and response. */
const mostKbPerStream = 64;

export const http: Row = {
  id: 'http',
  title: 'submissions over HTTP, against send in process; memory of 1,000 open streams of events',
  sink: false,
  async run({ sizes, disposables, progress }) {
    const store = disposables.add(await startStore());
    const token = 'bench-token-of-at-least-32-characters';
    const server = disposables.add(await startChild('http-serve.ts', { redisUrl: store.url, token }));
    const { port } = await server.ask<{ port: number }>('port');
    const client = disposables.add(await startChild('http-client.ts', { port, token }));
    const over: Contender = {
      name: 'HTTP',
      ours: true,
      store,
      parts: [{ role: 'sender', pid: server.pid }, redisPart(store)],
      async lap(messages, begins) {
        await store.clear();
        await begins();
        return client.ask<Awaited<ReturnType<Contender['lap']>>>('run', messages);
      },
      tuning: null,
    };
    const send = await enqueuer(disposables, 'send', store, true);
    const figures = await compare([send, over], {
      lapMs: sizes.lapMs / 2,
      repetitions: sizes.repetitions,
      warmUp: sizes.warmUp,
      lapMessages: sizes.lapMessages,
      most: 30_000,
      tune: false,
      progress,
    });
    const [ours, base] = [figures.get('HTTP')!, figures.get('send')!];
    const kbPerStream = await memoryOf(server, client);
    return {
      findings: [
        finding(
          {
            what: 'submissions over HTTP, messages/s',
            against: 'send in process',
            measured: ratioOfMedians(ours.samples, base.samples),
            unit: '×',
          },
          null,
          `${rates(ours)}, ${costs(ours)}, against ${rates(base)}, ${costs(base)}; 50 callers at once, connections kept`,
        ),
        finding(
          {
            what: `memory of ${streams} streams of events`,
            against: 'none',
            measured: (kbPerStream * streams) / 1_000,
            unit: 'MB',
          },
          { kind: 'at most', value: (mostKbPerStream * streams) / 1_000 },
          `${Math.round(kbPerStream)} KB for a stream`,
        ),
      ],
      figures: [...figures.values()],
    };
  },
};

async function memoryOf(server: Child, client: Child): Promise<number> {
  // The first ones pay for what all share.
  await client.ask('open', 100);
  const before = (await server.ask<{ mb: number }>('memory')).mb;
  await client.ask('open', streams - 100);
  return (((await server.ask<{ mb: number }>('memory')).mb - before) * 1_000) / (streams - 100);
}
