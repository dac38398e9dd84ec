/** Row: the cost of a backlog that may not be sent yet: worker and Redis together, as a share of one processor. */
import { setTimeout as pause } from 'node:timers/promises';
import { startSmtpServer } from '../../../testkit/smtp/server.ts';
import { startChild } from '../child.ts';
import { redisPart } from '../contenders.ts';
import { cpuMs, peakMb } from '../processes.ts';
import { startStore } from '../store.ts';
import { holdInLane, withHeld } from './backlog.ts';
import { finding, type Row } from './row.ts';

const messagesPerMinute = 30;

export const idle: Row = {
  id: 'idle',
  title:
    'processor time of worker and Redis with 100,000 waiting on a throttled lane (--quick: 10,000) and nothing else',
  sink: false,
  async run({ sizes, disposables, progress }) {
    const { waiting } = sizes;
    const server = disposables.add(await startSmtpServer({ record: false }));
    const store = disposables.add(await startStore());
    progress(`idle: ${waiting} messages into a lane of ${messagesPerMinute} a minute`);
    const lane = await holdInLane(disposables, store, server);
    await store.fill(() => lane.add(waiting));
    const connectors = withHeld(server.port, messagesPerMinute);
    const worker = disposables.add(await startChild('worker.ts', { name: 'w1', redisUrl: store.url, connectors }));
    await worker.ask('start');
    // Its start, and the first round of maintenance over the backlog.
    await pause(sizes.idleMs / 4);
    progress(`idle: watching for ${sizes.idleMs / 1_000} s`);
    const parts = [{ pid: worker.pid }, redisPart(store)];
    const before = parts.map(cpuMs);
    const startedAt = performance.now();
    await pause(sizes.idleMs);
    const ms = performance.now() - startedAt;
    const [ofWorker = 0, ofRedis = 0] = parts.map((part, index) => ((cpuMs(part) - before[index]!) / ms) * 100);
    const memory = parts.map((part) => `${Math.round(peakMb(part))} MB`);
    return {
      findings: [
        finding(
          {
            what: `${waiting.toLocaleString('en')} waiting on a throttled lane`,
            against: 'one processor',
            measured: ofWorker + ofRedis,
            unit: '%',
          },
          { kind: 'at most', value: 1 },
          `worker ${ofWorker.toFixed(1)} % (${memory[0]}), Redis ${ofRedis.toFixed(1)} % (${memory[1]})`,
        ),
      ],
      figures: [],
    };
  },
};
