/** Starts a private squid, an HTTP proxy, on the loopback: `apt-get install squid` is enough. */
import { existsSync } from 'node:fs';
import { chmod, chown, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startGuarded } from '../guarded.ts';
import { freePort } from '../ports.ts';
import { until } from '../until.ts';
import { accepts } from './accepts.ts';

export interface SquidOptions {
  /** Where it listens. Default: 127.0.0.1. */
  readonly address?: string;
  /** It wants a login, and this is the one that it takes. */
  readonly login?: { readonly user: string; readonly password: string };
  /** Ports that it does not connect to. */
  readonly deniedPorts?: readonly number[];
  /** Names that it knows, as in `/etc/hosts`: name → address. */
  readonly hosts?: Readonly<Record<string, string>>;
}

export interface Squid {
  readonly port: number;
  /** Each CONNECT that has ended: `200 127.0.0.1:25`. */
  connects(): Promise<string[]>;
  stop(): Promise<void>;
}

const program = '/usr/sbin/squid';
const startTimeoutMs = 60_000;
/** The account of Debian's package. */
const owner = { uid: 13, gid: 13 };

/** Why squid cannot run here; null if it can. */
export function squidMissing(): string | null {
  return existsSync(program) ? null : `${program} is missing (Debian: apt-get install squid)`;
}

export async function startSquid(options: SquidOptions = {}): Promise<Squid> {
  const { address = '127.0.0.1', hosts = { localhost: '127.0.0.1' } } = options;
  const folder = await mkdtemp(join(tmpdir(), 'postlane-squid-'));
  await chmod(folder, 0o755);
  if (process.getuid?.() === 0) await chown(folder, owner.uid, owner.gid);
  const port = await freePort();
  await writeFile(
    join(folder, 'hosts'),
    Object.entries(hosts).map(([name, at]) => `${at} ${name}\n`),
  );
  await writeFile(join(folder, 'login.sh'), helper(options.login));
  await writeFile(join(folder, 'squid.conf'), configuration(folder, `${address}:${port}`, options));
  const guarded = await startGuarded([program, '-N', '-f', join(folder, 'squid.conf')], { folder });
  const stop = async (): Promise<void> => {
    await guarded.end();
    await rm(folder, { recursive: true, force: true });
  };
  const ready = async (): Promise<boolean> => !guarded.running() || accepts(address, port);
  const started = await until(ready, { what: 'squid to listen', timeoutMs: startTimeoutMs }).catch(() => false);
  if (!started || !guarded.running()) {
    const logged = `${guarded.stderr()}${await readFile(join(folder, 'cache.log'), 'utf8').catch(() => '')}`;
    await stop();
    throw new Error(`squid did not start: ${logged.slice(-2_000)}`);
  }
  return {
    port,
    async connects() {
      const log = await readFile(join(folder, 'access.log'), 'utf8').catch(() => '');
      return log.split('\n').filter((line) => line !== '' && !line.includes('error:'));
    },
    stop,
  };
}

function configuration(folder: string, listen: string, { login, deniedPorts = [] }: SquidOptions): string {
  return `http_port ${listen}
visible_hostname squid.test
hosts_file ${folder}/hosts
pid_filename none
cache_log ${folder}/cache.log
logformat connects %>Hs %ru
access_log stdio:${folder}/access.log connects
cache deny all
cache_mem 1 MB
netdb_filename none
pinger_enable off
shutdown_lifetime 0 seconds
connect_timeout 5 seconds
forward_timeout 5 seconds
${deniedPorts.length === 0 ? '' : `acl denied port ${deniedPorts.join(' ')}\nhttp_access deny denied`}
${
  login === undefined
    ? 'http_access allow all'
    : `auth_param basic program /bin/sh ${folder}/login.sh
auth_param basic children 1
auth_param basic realm test
acl known proxy_auth REQUIRED
http_access allow known
http_access deny all`
}
`;
}

/**
 * https://wiki.squid-cache.org/Features/AddonHelpers: a line with user and password, in which squid escapes some characters, and an
 * answer. The shell unescapes what a password of a test has.
 */
function helper(login: SquidOptions['login']): string {
  const line = login === undefined ? '' : `${login.user} ${login.password}`;
  const plain = `sed -e 's/%40/@/g' -e 's/%3[aA]/:/g' -e 's/%23/#/g' -e 's/%20/ /g'`;
  return `while read -r line; do [ "$(printf '%s' "$line" | ${plain})" = '${line}' ] && echo OK || echo ERR; done\n`;
}
