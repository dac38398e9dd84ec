/** Row: a paced lane over three worker processes, one of which is killed: never above its limit, and barely below. */
import { setTimeout as pause } from 'node:timers/promises';
import { startSmtpServer } from '../../../testkit/smtp/server.ts';
import { startChild, type Child } from '../child.ts';
import { sendMany } from '../contenders.ts';
import { connectorId } from '../mail.ts';
import { mostInAnyWindow } from '../statistics.ts';
import { startStore } from '../store.ts';
import type { BenchConnector } from '../worker.ts';
import { finding, type Row } from './row.ts';

const messagesPerMinute = 600;
/** A minute, where the run is long enough, and shorter windows, whose share is harder to keep. */
const windowsMs = [60_000, 10_000, 1_000];

export const pacing: Row = {
  id: 'pacing',
  title: 'a lane of 600 a minute over three processes, one killed: most in any window, and use of the limit',
  sink: false,
  async run({ sizes, disposables, progress }) {
    const times: number[] = [];
    const MAIL = (): undefined => void times.push(performance.now());
    const server = disposables.add(await startSmtpServer({ record: false, script: { MAIL } }));
    const store = disposables.add(await startStore());
    // More than can be sent in the time.
    const perMs = messagesPerMinute / 60_000;
    await sendMany(disposables, store.url, 1_000, 1)(Math.ceil(perMs * sizes.pacingMs * 2));
    const paced: BenchConnector = { id: connectorId(0), port: server.port, concurrency: 5, messagesPerMinute };
    const workers: Child[] = [];
    for (const name of ['w1', 'w2', 'w3']) {
      const settings = { name, redisUrl: store.url, connectors: [paced] };
      workers.push(disposables.add(await startChild('worker.ts', settings)));
    }
    progress(`pacing: three workers for ${sizes.pacingMs / 1_000} s, one is killed after a third`);
    await Promise.all(workers.map((worker) => worker.ask('start')));
    await pause(sizes.pacingMs / 3);
    await workers[0]?.stop();
    await pause((sizes.pacingMs * 2) / 3);

    const sorted = times.toSorted((a, b) => a - b);
    const spanMs = sorted.at(-1)! - sorted[0]!;
    const windows = windowsMs
      .filter((ms) => ms <= spanMs)
      .map((ms) => ({ ms, most: mostInAnyWindow(sorted, ms), limit: perMs * ms }));
    const widest = windows[0] ?? { ms: 0, most: Number.NaN, limit: 1 };
    const shown = windows.map(({ ms, most, limit }) => `${most} of ${limit} in ${ms / 1_000} s`).join(', ');
    const about = { what: `paced lane, most in any ${widest.ms / 1_000} s`, against: 'its limit' } as const;
    return {
      findings: [
        finding(
          { ...about, measured: (widest.most / widest.limit) * 100, unit: '%' },
          // The promise is per minute; a quick run is too short for it.
          widest.ms === windowsMs[0] ? { kind: 'at most', value: 100 } : null,
          `counted at the server, at MAIL FROM: ${shown}`,
        ),
        finding(
          {
            what: 'paced lane, use of its limit',
            against: 'its limit',
            measured: ((sorted.length - 1) / (perMs * spanMs)) * 100,
            unit: '%',
          },
          { kind: 'at least', value: 99 },
          `${sorted.length} messages in ${(spanMs / 1_000).toFixed(1)} s, three processes, one killed after a third`,
        ),
      ],
      figures: [],
    };
  },
};
