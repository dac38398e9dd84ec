/**
 * Starts a private Postfix: its own configuration, queue and ports under a temporary folder; nothing of the system's
 * Postfix is read or changed. It speaks no DNS. Debian's package is enough: `apt-get install postfix`.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { chmod, chown, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startGuarded } from './guarded.ts';
import { freePort, greets } from './ports.ts';
import { until } from './until.ts';

export interface PostfixOptions {
  /** Lines of main.cf after the basic ones; they may name files of the folder. */
  readonly settings: (folder: string) => readonly string[];
  /** SMTP listeners by name, with the options of each (`-o name=value`) in master.cf. The first one speaks without TLS. */
  readonly listeners: Readonly<Record<string, readonly string[]>>;
  /** Writes further files into the folder, before Postfix starts. */
  readonly prepare?: (folder: string, owner: { readonly uid: number; readonly gid: number }) => Promise<void>;
}

export interface Postfix {
  /** Of the master process. */
  readonly pid: number;
  /** Listener → port on 127.0.0.1. */
  readonly ports: Readonly<Record<string, number>>;
  /** What Postfix has logged, for the message of a failing test. */
  log(): string;
  stop(): Promise<void>;
}

const program = '/usr/sbin/postfix';
const startTimeoutMs = 60_000;

/** Why Postfix cannot run here; null if it can. `tools` are further programs that the caller needs. */
export function postfixMissing(tools: readonly string[] = []): string | null {
  const missing = [program, ...tools].find((file) => !existsSync(file));
  if (missing !== undefined) return `${missing} is missing (Debian: apt-get install postfix sasl2-bin)`;
  return process.getuid?.() === 0 ? null : 'Postfix must be started as root';
}

export async function startPostfix({ settings, listeners, prepare }: PostfixOptions): Promise<Postfix> {
  const folder = await mkdtemp(join(tmpdir(), 'postlane-postfix-'));
  // Postfix' own processes drop root, and must reach their files.
  await chmod(folder, 0o755);
  const owner = { uid: idOf('-u'), gid: idOf('-g') };
  for (const name of ['config', 'queue', 'data']) await mkdir(join(folder, name));
  await chown(join(folder, 'data'), owner.uid, owner.gid);
  const ports: Record<string, number> = {};
  for (const name of Object.keys(listeners)) ports[name] = await freePort();
  const services = Object.entries(listeners).map(([name, options]) => listener(ports[name]!, options));
  await writeFile(join(folder, 'config/main.cf'), `${[basicSettings(folder), ...settings(folder)].join('\n')}\n`);
  await writeFile(join(folder, 'config/master.cf'), [...services, ownServices].join('\n'));
  await prepare?.(folder, owner);

  const guarded = await startGuarded([program, '-c', join(folder, 'config'), 'start-fg'], { folder });
  const log = (): string => (existsSync(join(folder, 'log')) ? readFileSync(join(folder, 'log'), 'utf8') : '');
  const stop = async (): Promise<void> => {
    // Postfix' own stop waits for its processes, which would otherwise still write into the folder.
    spawnSync(program, ['-c', join(folder, 'config'), 'stop'], { timeout: 20_000 });
    await guarded.end();
    await rm(folder, { recursive: true, force: true });
  };
  const ready = async (): Promise<boolean> => {
    if (!guarded.running()) return true;
    // The master process listens on all ports before it starts the first server.
    return greets(Object.values(ports)[0]!);
  };
  const started = await until(ready, { what: 'Postfix to greet', timeoutMs: startTimeoutMs }).catch(() => false);
  if (!started || !guarded.running()) {
    const logged = `${guarded.stderr()}${log()}`;
    await stop();
    throw new Error(`Postfix did not start: ${logged.slice(-2_000)}`);
  }
  return { pid: guarded.pid, ports, log, stop };
}

function basicSettings(folder: string): string {
  return `compatibility_level = 3.6
queue_directory = ${folder}/queue
data_directory = ${folder}/data
maillog_file = ${folder}/log
maillog_file_prefixes = ${folder}
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
smtpd_client_connection_count_limit = 0`;
}

function listener(port: number, options: readonly string[]): string {
  return [`127.0.0.1:${port} inet n - n - - smtpd`, ...options.map((option) => `  -o ${option}`)].join('\n');
}

const ownServices = `cleanup unix n - n - 0 cleanup
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

function idOf(which: '-u' | '-g'): number {
  return Number(spawnSync('/usr/bin/id', [which, 'postfix'], { encoding: 'utf8' }).stdout);
}
