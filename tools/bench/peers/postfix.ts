/**
 * A private Postfix with `sender_dependent_relayhost_maps`, the part of it that does what Postlane does: its own
 * configuration, queue and port in a temporary folder, nothing of the system's is read or changed.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { chmod, chown, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { startChild } from '../child.ts';
import type { Contender } from '../contender.ts';
import { sinkPart } from '../contenders.ts';
import { freePort, startExternal } from '../external.ts';
import { connectorId } from '../mail.ts';
import type { Scope } from '../scope.ts';
import type { Sink } from '../sink.ts';

const program = '/usr/sbin/postfix';
const startMs = 20_000;

/** Why it cannot run here; null if it can. */
export function postfixMissing(): string | null {
  if (!existsSync(program)) return 'Postfix is missing (Debian: apt-get install postfix)';
  return process.getuid?.() === 0 ? null : 'Postfix must be started as root';
}

/** Fed by the bare SMTP client; the time runs from the first message at the sink to the last, as with everybody. */
export async function postfix(scope: Scope, sink: Sink): Promise<Contender> {
  const root = await mkdtemp(join(tmpdir(), 'postlane-bench-postfix-'));
  // Postfix' own processes drop root, and must reach their files.
  await chmod(root, 0o755);
  for (const folder of ['config', 'queue', 'data']) await mkdir(join(root, folder));
  await chown(join(root, 'data'), idOf('-u'), idOf('-g'));
  const port = await freePort();
  await writeFile(join(root, 'config/main.cf'), mainCf(root, sink.port));
  await writeFile(join(root, 'config/master.cf'), masterCf(port));
  // Without its own stop it leaves processes that still write into the folder.
  const external = await startExternal([program, '-c', join(root, 'config'), 'start-fg'], root);
  scope.add({
    stop: async () => {
      spawnSync(program, ['-c', join(root, 'config'), 'stop'], { timeout: 10_000 });
      await external.stop();
      // The guard removes it only if it had to end Postfix itself.
      await rm(root, { recursive: true, force: true });
    },
  });
  const deadline = performance.now() + startMs;
  while (!(await greets(port))) {
    if (performance.now() > deadline) throw new Error(`Postfix did not start: ${logOf(root)}`);
    await pause(50);
  }
  const feeder = scope.add(await startChild('peers/wire.ts', { port }));
  await feeder.ask('tune', 20);
  return {
    name: 'Postfix',
    ours: false,
    store: null,
    parts: [{ role: 'sender', pid: external.pid, tree: true }, { role: 'feeder', pid: feeder.pid }, sinkPart(sink)],
    async lap(messages, begins) {
      await begins();
      return sink.lap(messages, () => feeder.ask('send', messages));
    },
    tuning: null,
  };
}

function mainCf(root: string, sinkPort: number): string {
  const senders = Array.from({ length: 10 }, (_, nth) => `@${connectorId(nth)}.bench.test=[127.0.0.1]:${sinkPort}`);
  return `compatibility_level = 3.6
queue_directory = ${root}/queue
data_directory = ${root}/data
maillog_file = ${root}/log
maillog_file_prefixes = ${root}
myhostname = bench.test
mydestination =
alias_maps =
alias_database =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtp_dns_support_level = disabled
smtp_host_lookup = native
default_database_type = texthash
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
sender_dependent_relayhost_maps = inline:{ ${senders.join(', ')} }
default_destination_concurrency_limit = 50
initial_destination_concurrency = 20
`;
}

function masterCf(port: number): string {
  return `127.0.0.1:${port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
postlog unix-dgram n - n - 1 postlogd
`;
}

function idOf(which: '-u' | '-g'): number {
  return Number(spawnSync('id', [which, 'postfix'], { encoding: 'utf8' }).stdout);
}

function logOf(root: string): string {
  return existsSync(join(root, 'log')) ? readFileSync(join(root, 'log'), 'utf8').slice(-2_000) : '';
}

function greets(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
      .once('data', () => {
        socket.end('QUIT\r\n');
        resolve(true);
      })
      .once('error', () => resolve(false));
  });
}
