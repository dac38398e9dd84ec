/** Row: what very many connectors cost a worker process: its connections to Redis, and its memory. */
import { createProducer } from '../../../src/index.ts';
import { setTimeout as pause } from 'node:timers/promises';
import { startSmtpServer } from '../../../testkit/smtp/server.ts';
import { until } from '../../../testkit/until.ts';
import { startChild } from '../child.ts';
import { mailOf } from '../mail.ts';
import { startStore } from '../store.ts';
import type { BenchConnector } from '../worker.ts';
import { finding, type Bench, type Row } from './row.ts';

const many = 2_000;
const few = 10;

export const connectors: Row = {
  id: 'connectors',
  title: '2,000 connectors: connections to Redis, and heap above 10 connectors',
  sink: false,
  async run(bench) {
    const small = await worker(bench, few);
    const big = await worker(bench, many);
    const againstFew = `${few} connectors`;
    return {
      findings: [
        finding(
          { what: `${many} connectors: Redis connections`, against: againstFew, measured: big.clients, unit: '' },
          { kind: 'at most', value: 4 },
          `${small.clients} with ${few} connectors`,
        ),
        finding(
          { what: `${many} connectors: heap`, against: againstFew, measured: big.heapMb - small.heapMb, unit: 'MB' },
          { kind: 'at most', value: 40 },
          `${big.heapMb.toFixed(1)} MB and ${small.heapMb.toFixed(1)} MB, after one message through each connector`,
        ),
      ],
      figures: [],
    };
  },
};

/** A process whose connectors have all sent one message. */
async function worker({ disposables, progress }: Bench, count: number): Promise<{ clients: number; heapMb: number }> {
  progress(`connectors: ${count}`);
  let accepted = 0;
  const server = disposables.add(await startSmtpServer({ record: false, onMessage: () => (accepted += 1) }));
  const store = disposables.add(await startStore());
  const list = Array.from({ length: count }, (_, nth): BenchConnector => {
    const id = `x${String(nth).padStart(2, '0')}`;
    return { id, port: server.port, concurrency: 2, messagesPerMinute: null };
  });
  const child = disposables.add(await startChild('worker.ts', { name: 'w1', redisUrl: store.url, connectors: list }));
  await child.ask('start');
  const producer = createProducer({ redis: { url: store.url } });
  const sent = await producer.sendMany(Array.from({ length: count }, (_, nth) => mailOf(nth, undefined, count)));
  await producer.close();
  if (sent.some(({ ok }) => !ok)) throw new Error('not all messages were enqueued');
  await until(() => accepted >= count, { what: `${count} messages to arrive`, timeoutMs: 60_000 });
  await pause(500);
  const { bytes } = await child.ask<{ bytes: number }>('heap');
  // Redis' own list of its clients: all but this one are the worker's.
  const clients =
    String(await store.client.client('LIST'))
      .trim()
      .split('\n').length - 1;
  await child.stop();
  return { clients, heapMb: bytes / 1_048_576 };
}
