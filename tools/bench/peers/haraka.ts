/** Haraka, a mail server in JavaScript with a queue on disk: it relays everything to the sink, or keeps what it takes. */
import { copyFileSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Disposables } from '../../../testkit/disposables.ts';
import { startGuarded } from '../../../testkit/guarded.ts';
import { freePort, greets } from '../../../testkit/ports.ts';
import { until } from '../../../testkit/until.ts';
import { startChild, type Child } from '../child.ts';
import type { Contender } from '../contender.ts';
import { sinkPart } from '../contenders.ts';
import type { Sink } from '../sink.ts';

/** Its packages are those of the tests with real servers. */
export const harakaPackages = fileURLToPath(new URL('../../../test/compat/haraka', import.meta.url));

/** Takes every message into its queue, and sends each to the sink. */
const plugin = (port: number): string => `
exports.register = function () {
  this.register_hook('connect', 'onConnect');
  this.register_hook('rcpt', 'onRcpt');
  this.register_hook('get_mx', 'onMx');
};
exports.onConnect = (next, connection) => {
  connection.relaying = true;
  next();
};
exports.onRcpt = (next) => next(OK);
exports.onMx = (next) => next(OK, { exchange: '127.0.0.1', port: ${port}, priority: 0 });
`;

interface Running {
  readonly pid: number;
  readonly feeder: Child;
}

/** With the bare SMTP client that feeds it over so many connections. `sinkPort`: null keeps everything in the queue. */
async function startHaraka(disposables: Disposables, sinkPort: number | null, connections: number): Promise<Running> {
  const folder = mkdtempSync(join(tmpdir(), 'postlane-haraka-'));
  const port = await freePort();
  for (const name of ['config', 'plugins', 'queue']) mkdirSync(join(folder, name));
  const installed = join(harakaPackages, 'node_modules/Haraka');
  copyFileSync(join(installed, 'config/connection.ini'), join(folder, 'config/connection.ini'));
  const files = {
    'config/smtp.ini': `listen=127.0.0.1:${port}\nnodes=0\ndaemonize=false\n`,
    'config/outbound.ini': `concurrency_max=50\nenable_tls=false\nlocal_mx_ok=true\ndisabled=${sinkPort === null}\n`,
    'config/plugins': 'bench\n',
    'config/loglevel': 'ERROR\n',
    'config/me': 'haraka.test\n',
    'plugins/bench.js': plugin(sinkPort ?? 25),
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  const program = [process.execPath, join(installed, 'bin/haraka'), '-c', folder];
  const server = await startGuarded(program, { folder });
  disposables.defer('Haraka', () => server.end());
  await until(() => greets(port), { what: 'Haraka to greet', timeoutMs: 30_000 });
  const feeder = disposables.add(await startChild('peers/wire.ts', { port, waits: true }));
  await feeder.ask('tune', connections);
  return { pid: server.pid, feeder };
}

/** Fed by the bare SMTP client, and timed like every other peer. */
export async function haraka(disposables: Disposables, sink: Sink): Promise<Contender> {
  const { pid, feeder } = await startHaraka(disposables, sink.port, 20);
  return {
    name: 'Haraka',
    ours: false,
    store: null,
    parts: [{ role: 'sender', pid }, { role: 'feeder', pid: feeder.pid }, sinkPart(sink)],
    async lap(messages, begins) {
      await begins();
      return sink.lap(messages, () => feeder.ask('send', messages));
    },
    tuning: null,
  };
}

/** It writes each mail to its queue, syncs it to disk, and sends none of it. */
export async function harakaQueue(disposables: Disposables, connections: number): Promise<Contender> {
  const { pid, feeder } = await startHaraka(disposables, null, connections);
  return {
    name: 'Haraka with its queue',
    ours: false,
    store: null,
    parts: [
      { role: 'sender', pid },
      { role: 'feeder', pid: feeder.pid },
    ],
    async lap(messages, begins) {
      await begins();
      const startedAt = performance.now();
      await feeder.ask('send', messages);
      return { messages, ms: performance.now() - startedAt };
    },
    tuning: null,
  };
}
