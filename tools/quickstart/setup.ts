/** Starts what the quick start needs: Redis, mail servers, configuration and worker, in this order; they end in reverse order. */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { startCliWorker, type CliWorker } from '../../testkit/cli-worker.ts';
import type { Disposables } from '../../testkit/disposables.ts';
import { freePort } from '../../testkit/ports.ts';
import { startPrivateRedis } from '../../testkit/redis.ts';
import { writeConfiguration } from './configuration.ts';
import type { Screen } from './report.ts';
import { serverPlans, startServers, type ServerPlan, type Servers } from './servers.ts';

export interface Setup {
  readonly directory: string;
  readonly configFile: string;
  readonly logFile: string;
  readonly redis: { readonly url: string; readonly prefix: string };
  readonly plans: readonly ServerPlan[];
  readonly servers: Servers;
  readonly worker: CliWorker;
  /** Where the HTTP API answers, and a token that may do everything there. */
  readonly api: { readonly url: string; readonly token: string };
}

/** `keepFiles` is called at the end: whether the directory should stay. */
export async function startAll(started: Disposables, screen: Screen, keepFiles: () => boolean): Promise<Setup> {
  const directory = mkdtempSync(join(tmpdir(), 'postlane-quickstart-'));
  const logFile = join(directory, 'worker.log');
  started.defer('its directory', () => {
    // Before the configuration is written there is nothing worth keeping.
    if (!keepFiles() || readdirSync(directory).length === 0) return rmSync(directory, { recursive: true, force: true });
    const log = existsSync(logFile) ? `; the worker's log is ${logFile}` : '';
    return screen.line(`\nKept for a look: ${directory}${log}`);
  });

  const redis = await findRedis(started, screen);
  const plans = serverPlans(() => randomBytes(12).toString('base64url'));
  const servers = started.add(await startServers(plans, new Date()), 'the mail servers');
  for (const { connector, by, security, login } of plans) {
    const how = { none: 'plain', starttls: 'STARTTLS', tls: 'TLS' }[security];
    const who = login === null ? 'no login' : `login ${login.user}, private CA`;
    const [what, manner] = by === 'smtp' ? ['SMTP server', `${how}, ${who}`] : ['fake Graph', 'HTTPS, private CA'];
    screen.line(`  ${what.padEnd(13)} ${connector.padEnd(8)} 127.0.0.1:${servers.ports.get(connector)}  ${manner}`);
  }

  const port = await freePort();
  const token = `plk_quickstart_${randomBytes(32).toString('base64url')}`;
  const configFile = writeConfiguration(directory, redis, plans, servers, { port, token });
  screen.line(`  configuration ${configFile}`);
  const worker = await startCliWorker({ configFile, args: ['--serve'], logFile, folder: directory });
  started.defer('the worker', async () => {
    const code = await worker.stop();
    if (code !== 0) throw new Error(`ended with exit code ${code}`);
  });
  screen.line(`  worker        process ${worker.pid}, log ${logFile}`);
  const api = { url: `http://127.0.0.1:${port}`, token };
  screen.line(`  HTTP API      ${api.url}`);
  return { directory, configFile, logFile, redis, plans, servers, worker, api };
}

const briefly = { maxRetriesPerRequest: 1, connectTimeout: 5_000, connectionName: 'postlane-quickstart' };

async function findRedis(started: Disposables, screen: Screen): Promise<Setup['redis']> {
  const given = process.env.REDIS_URL ?? '';
  if (given === '') {
    const redis = started.add(await startPrivateRedis(), 'Redis');
    screen.line(`  Redis         private, ${redis.url}`);
    return { url: redis.url, prefix: '{postlane}' };
  }
  const { host } = new URL(given);
  await reach(given, host);
  // The user's own server: its other keys are not touched, and ours are removed at the end.
  const prefix = `{postlane-quickstart-${randomBytes(4).toString('hex')}}`;
  started.defer('its keys in Redis', () => removeKeys(given, prefix));
  screen.line(`  Redis         of REDIS_URL (${host}), keys ${prefix}:*`);
  return { url: given, prefix };
}

/** Fails at once where Redis does not answer; a worker would wait for it. */
async function reach(url: string, host: string): Promise<void> {
  const redis = new Redis(url, { ...briefly, retryStrategy: () => null, lazyConnect: true });
  redis.on('error', () => undefined);
  try {
    await redis.connect();
    await redis.ping();
  } catch (error) {
    throw new Error(`The Redis of REDIS_URL (${host}) cannot be reached. Unset it to use a private one.`, {
      cause: error,
    });
  } finally {
    redis.disconnect();
  }
}

async function removeKeys(url: string, prefix: string): Promise<void> {
  const redis = new Redis(url, briefly);
  redis.on('error', () => undefined);
  try {
    for await (const keys of redis.scanStream({ match: `${prefix}*`, count: 1_000 })) {
      const found = keys as string[];
      if (found.length > 0) await redis.unlink(...found);
    }
  } finally {
    redis.disconnect();
  }
}
