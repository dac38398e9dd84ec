/**
 * The program of a worker process for fault tests: one JSON argument says how, JSON lines on stdout say what happens, and
 * lines on stdin do to it what a test wants: `clock MS` moves its wall clock, `block` keeps its event loop until the next line.
 *
 * It ends with whoever started it (stdin closes), and like `postlane worker` with SIGTERM.
 */
import { readSync, writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { createGraphTransport } from '../../src/transport/graph/graph.ts';
import type { RedisSettings } from '../../src/queue/redis/settings.ts';
import type { GraphSettings } from '../../src/transport/graph/settings.ts';
import type { SmtpSettings } from '../../src/transport/smtp/settings.ts';
import { createSmtpTransport } from '../../src/transport/smtp/smtp.ts';
import type { Transport } from '../../src/transport/transport.ts';
import type { WorkerConfig } from '../../src/worker/settings.ts';
import { createWorker, type Timing } from '../../src/worker/worker.ts';

export interface WorkerMainSettings {
  readonly redis: RedisSettings & { readonly prefix: string; readonly shards?: number };
  readonly name: string;
  readonly config: WorkerConfig;
  /** By connector; each is in one of the two. */
  readonly smtp: Readonly<Record<string, SmtpSettings>>;
  readonly graph: Readonly<Record<string, GraphSettings>>;
  readonly timing: Partial<Timing>;
}

const { redis, name, config, smtp, graph, timing } = JSON.parse(process.argv[2] ?? '') as WorkerMainSettings;
const worker = createWorker({
  redis,
  config,
  name,
  timing,
  transport: (id) => transports.get(id) ?? null,
  listeners: [say],
  // Asked each time, as the function itself is replaced when the clock is set.
  now: () => Date.now(),
});

const transports = new Map(config.connectors.map(({ id, limits }) => [id, telling(id, limits.concurrency)] as const));

const systemNow = Date.now;
createInterface({ input: process.stdin })
  .on('line', (line) => {
    const [command, value] = line.split(' ');
    say({ event: 'told', command });
    if (command === 'clock') setClock(Number(value));
    else if (command === 'block') block();
  })
  .on('close', () => process.exit(3));

const stopped = new Promise<void>((resolve) => process.once('SIGTERM', () => resolve()));
await worker.start();
await stopped;
process.exit((await worker.stop()) ? 0 : 1);

/** Synchronous: what was said before a SIGKILL has been said. */
function say(line: object): void {
  writeSync(1, `${JSON.stringify(line)}\n`);
}

/** The connector's transport, which tells what came out before the worker can tell the ledger. */
function telling(id: string, maxConnections: number): Transport {
  const byGraph = graph[id];
  const leases = worker.sessions.of(id, maxConnections);
  const transport =
    byGraph === undefined
      ? createSmtpTransport({ settings: smtp[id]!, hostname: 'worker.test', maxConnections, leases })
      : createGraphTransport({ settings: byGraph, maxConnections });
  return {
    ...transport,
    async send(mail, context) {
      const outcome = await transport.send(mail, context);
      say({ event: 'outcome', id: mail.id, kind: outcome.kind });
      return outcome;
    },
  };
}

/** Of the whole process, as when a host's clock is set: timers go on, only the time of day jumps. */
function setClock(aheadMs: number): void {
  Date.now = () => systemNow() + aheadMs;
}

/** Nothing of this process runs, no timer and no socket, before the next line comes. */
function block(): void {
  const sleeper = new Int32Array(new SharedArrayBuffer(4));
  for (;;) {
    try {
      readSync(0, Buffer.alloc(100));
      break;
    } catch (error) {
      // stdin does not block, so it is asked again and again.
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      Atomics.wait(sleeper, 0, 0, 10);
    }
  }
  say({ event: 'unblocked' });
}
