/** The stage of the quick start: Redis, mail servers, configuration and worker; set up in this order, and taken down in the other. */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { startPrivateRedis } from '../../testkit/redis.ts';
import { writeConfiguration } from './configuration.ts';
import type { Screen } from './report.ts';
import { serverPlans, startServers, type ServerPlan, type Servers } from './servers.ts';
import { startWorker, type WorkerProcess } from './worker.ts';

export interface Stage {
  readonly directory: string;
  readonly configFile: string;
  readonly logFile: string;
  readonly redis: { readonly url: string; readonly prefix: string };
  readonly plans: readonly ServerPlan[];
  readonly servers: Servers;
  readonly worker: WorkerProcess;
}

/** What ends at the end, last begun first. */
export interface Curtain {
  push(what: string, end: () => Promise<void> | void): void;
  /** Ends everything, whatever of it fails. → what failed. */
  fall(): Promise<string[]>;
}

export function createCurtain(): Curtain {
  const acts: { what: string; end: () => Promise<void> | void }[] = [];
  return {
    push: (what, end) => acts.push({ what, end }),
    async fall() {
      const failures: string[] = [];
      for (let act = acts.pop(); act !== undefined; act = acts.pop()) {
        try {
          await act.end();
        } catch (error) {
          failures.push(`${act.what}: ${error instanceof Error ? error.message : String(error)}`);
        }
      }
      return failures;
    },
  };
}

/** `keepFiles` is asked at the end: whether the directory should stay. */
export async function setStage(curtain: Curtain, screen: Screen, keepFiles: () => boolean): Promise<Stage> {
  const directory = mkdtempSync(join(tmpdir(), 'postlane-quickstart-'));
  const logFile = join(directory, 'worker.log');
  curtain.push('its directory', () => {
    // Before the configuration is written there is nothing to look at.
    if (!keepFiles() || readdirSync(directory).length === 0) return rmSync(directory, { recursive: true, force: true });
    const log = existsSync(logFile) ? `; the worker's log is ${logFile}` : '';
    return screen.line(`\nKept for a look: ${directory}${log}`);
  });

  const redis = await findRedis(curtain, screen);
  const plans = serverPlans(() => randomBytes(12).toString('base64url'));
  const servers = await startServers(plans, new Date());
  curtain.push('the mail servers', () => servers.stop());
  for (const { connector, by, security, login } of plans) {
    const how = { none: 'plain', starttls: 'STARTTLS', tls: 'TLS' }[security];
    const who = login === null ? 'no login' : `login ${login.user}, private CA`;
    const [what, manner] = by === 'smtp' ? ['SMTP server', `${how}, ${who}`] : ['fake Graph', 'HTTPS, private CA'];
    screen.line(`  ${what.padEnd(13)} ${connector.padEnd(8)} 127.0.0.1:${servers.ports.get(connector)}  ${manner}`);
  }

  const configFile = writeConfiguration(directory, redis, plans, servers);
  screen.line(`  configuration ${configFile}`);
  const worker = await startWorker(configFile, logFile, directory);
  curtain.push('the worker', async () => {
    const code = await worker.stop();
    if (code !== 0) throw new Error(`ended with exit code ${code}`);
  });
  screen.line(`  worker        process ${worker.pid}, log ${logFile}`);
  return { directory, configFile, logFile, redis, plans, servers, worker };
}

const briefly = { maxRetriesPerRequest: 1, connectTimeout: 5_000, connectionName: 'postlane-quickstart' };

async function findRedis(curtain: Curtain, screen: Screen): Promise<Stage['redis']> {
  const given = process.env.REDIS_URL ?? '';
  if (given === '') {
    const redis = await startPrivateRedis();
    curtain.push('Redis', () => redis.stop());
    screen.line(`  Redis         private, ${redis.url}`);
    return { url: redis.url, prefix: '{postlane}' };
  }
  const { host } = new URL(given);
  await reach(given, host);
  // Somebody's own: nothing of it is touched, and nothing of ours stays.
  const prefix = `{postlane-quickstart-${randomBytes(4).toString('hex')}}`;
  curtain.push('its keys in Redis', () => removeKeys(given, prefix));
  screen.line(`  Redis         of REDIS_URL (${host}), keys ${prefix}:*`);
  return { url: given, prefix };
}

/** Says at once that nobody is there; a worker would wait for Redis to come. */
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
