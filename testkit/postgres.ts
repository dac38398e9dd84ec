/**
 * Starts a private PostgreSQL: own port on the loopback, own folder, and never as root. Debian's package is enough:
 * `apt-get install postgresql`.
 */
import { execFile } from 'node:child_process';
import { globSync } from 'node:fs';
import { chmod, chown, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { startGuarded, type Guarded } from './guarded.ts';
import { freePort } from './ports.ts';
import { until } from './until.ts';

const run = promisify(execFile);

export interface PrivatePostgres {
  readonly port: number;
  /** Of the database of that name. */
  url(database: string): string;
  /** Makes an empty database. → its URL. */
  create(database: string): Promise<string>;
  stop(): Promise<void>;
  /** As a crash: nothing is finished, and what was committed is recovered at the next start. */
  kill(): Promise<void>;
  /** Starts it again, on the same port with the same data. */
  restart(): Promise<void>;
}

export interface PostgresOptions {
  /** PEM texts, for connections with TLS. */
  readonly tls?: { readonly cert: string; readonly key: string };
  /** Further settings, such as `fsync=on`: without a loss of power there is nothing to lose without it. */
  readonly settings?: readonly string[];
}

const user = 'postgres';
export const postgresPassword = 'pl4nted/secret';
/** PostgreSQL refuses to run as root. */
const owner = { uid: 65_534, gid: 65_534 };
const startTimeoutMs = 60_000;

/** The folder of the newest server, or null. */
function binaries(): string | null {
  const servers = globSync('/usr/lib/postgresql/*/bin/postgres');
  const newest = servers.toSorted((a, b) => a.localeCompare(b, 'en', { numeric: true })).at(-1);
  return newest === undefined ? null : dirname(newest);
}

/** Why PostgreSQL cannot run here; null if it can. */
export function postgresMissing(): string | null {
  return binaries() === null ? 'PostgreSQL is missing (Debian: apt-get install postgresql)' : null;
}

export async function startPrivatePostgres(options: PostgresOptions = {}): Promise<PrivatePostgres> {
  const bin = binaries();
  if (bin === null) throw new Error(postgresMissing() ?? '');
  const asOwner =
    process.getuid?.() === 0 ? ['setpriv', `--reuid=${owner.uid}`, `--regid=${owner.gid}`, '--clear-groups', '--'] : [];
  const folder = await mkdtemp(join(tmpdir(), 'postlane-postgres-'));
  const own = async (path: string, text: string): Promise<string> => {
    await writeFile(path, text, { mode: 0o600 });
    if (asOwner.length > 0) await chown(path, owner.uid, owner.gid);
    return path;
  };
  await chmod(folder, 0o700);
  if (asOwner.length > 0) await chown(folder, owner.uid, owner.gid);
  const data = join(folder, 'data');
  const password = await own(join(folder, 'password'), postgresPassword);
  const login = ['-U', user, '-A', 'scram-sha-256', `--pwfile=${password}`];
  const initdb = [...asOwner, join(bin, 'initdb'), '-D', data, ...login, '-E', 'UTF8', '--locale=C', '--no-sync'];
  await run(initdb[0]!, initdb.slice(1), { cwd: '/' });
  const secure: string[] = [];
  if (options.tls !== undefined) {
    const cert = await own(join(folder, 'cert.pem'), options.tls.cert);
    const key = await own(join(folder, 'key.pem'), options.tls.key);
    secure.push('ssl=on', `ssl_cert_file=${cert}`, `ssl_key_file=${key}`);
  }
  const port = await freePort();
  const url = (database: string): string =>
    `postgres://${user}:${encodeURIComponent(postgresPassword)}@127.0.0.1:${port}/${database}`;
  const settings = [
    'listen_addresses=127.0.0.1',
    `port=${port}`,
    `unix_socket_directories=${folder}`,
    'shared_buffers=32MB',
    'fsync=off',
    'max_connections=60',
    ...secure,
    ...(options.settings ?? []),
  ];
  const command = [...asOwner, join(bin, 'postgres'), '-D', data, ...settings.flatMap((each) => ['-c', each])];
  let running = await start(command, folder, url('postgres'));
  return {
    port,
    url,
    async create(database) {
      const client = new Client({ connectionString: url('postgres') });
      await client.connect();
      await client.query(`CREATE DATABASE "${database}"`);
      await client.end();
      return url(database);
    },
    async stop() {
      await end(running, 'SIGINT');
      await rm(folder, { recursive: true, force: true });
    },
    kill: () => end(running, 'SIGQUIT'),
    async restart() {
      running = await start(command, folder, url('postgres'));
    },
  };
}

async function start(command: readonly string[], folder: string, url: string): Promise<Guarded> {
  const guarded = await startGuarded(command, { folder });
  const serves = async (): Promise<boolean> => {
    if (!guarded.running()) return true;
    const client = new Client({ connectionString: url });
    client.on('error', () => undefined);
    await client.connect();
    await client.end();
    return true;
  };
  await until(serves, { what: 'PostgreSQL to serve', timeoutMs: startTimeoutMs });
  if (!guarded.running()) throw new Error(`PostgreSQL did not start: ${guarded.stderr().slice(-2_000)}`);
  guarded.unref();
  return guarded;
}

/** SIGTERM, which the guard sends, would wait for clients. */
async function end(guarded: Guarded, signal: 'SIGINT' | 'SIGQUIT'): Promise<void> {
  if (guarded.running()) process.kill(guarded.pid, signal);
  // It waits for the end, and keeps this process alive meanwhile.
  await guarded.end({ keepFolder: true });
}
