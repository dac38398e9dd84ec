/** Starts a master with two replicas and three Sentinels that agree on who is the master, all on the loopback. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { createDisposables, type Disposables } from './disposables.ts';
import { startGuarded } from './guarded.ts';
import { freePort } from './ports.ts';
import { redisBinary, startPrivateRedis, type PrivateRedis } from './redis.ts';
import { until } from './until.ts';

export interface RedisSentinels {
  /** The name under which the Sentinels watch the master. */
  readonly name: string;
  /** URLs of the Sentinels. */
  readonly sentinels: readonly string[];
  readonly servers: readonly PrivateRedis[];
  /** The server that the Sentinels call the master now. */
  readonly master: () => Promise<PrivateRedis>;
  stop(): Promise<void>;
}

/** `settings` go to every data server. */
export async function startRedisSentinels(settings: readonly string[] = []): Promise<RedisSentinels> {
  const started = createDisposables();
  const stop = async (): Promise<void> => void (await started.close());
  const start = async (more: readonly string[]): Promise<PrivateRedis> =>
    started.add(await startPrivateRedis({ settings: ['--repl-diskless-sync-delay', '0', ...settings, ...more] }));
  const name = 'mail';
  try {
    const first = await start([]);
    const replicas = await Promise.all([1, 2].map(() => start(['--replicaof', `127.0.0.1 ${first.port}`])));
    const servers = [first, ...replicas];
    const sentinels = await Promise.all([1, 2, 3].map(() => startSentinel(started, name, first.port)));
    const asked = sentinels[0]!;
    const complete = async (): Promise<boolean> => {
      const row = (await asked.call('SENTINEL', 'MASTER', name)) as string[];
      const value = (field: string): string | undefined => row[row.indexOf(field) + 1];
      return value('num-slaves') === '2' && value('num-other-sentinels') === '2' && value('flags') === 'master';
    };
    await until(complete, { what: 'the Sentinels to know every server', timeoutMs: 60_000 });
    return {
      name,
      sentinels: sentinels.map(({ options }) => `redis://127.0.0.1:${options.port}`),
      servers,
      async master() {
        const [, port] = (await asked.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', name)) as string[];
        return servers.find((server) => String(server.port) === port)!;
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startSentinel(started: Disposables, name: string, masterPort: number): Promise<Redis> {
  const folder = mkdtempSync(join(tmpdir(), 'postlane-sentinel-'));
  const port = await freePort();
  const file = join(folder, 'sentinel.conf');
  const lines = [
    `port ${port}`,
    'bind 127.0.0.1',
    `dir ${folder}`,
    `logfile ${join(folder, 'sentinel.log')}`,
    `sentinel monitor ${name} 127.0.0.1 ${masterPort} 2`,
    `sentinel down-after-milliseconds ${name} 1500`,
    `sentinel failover-timeout ${name} 6000`,
  ];
  writeFileSync(file, `${lines.join('\n')}\n`);
  const guarded = await startGuarded([redisBinary() ?? 'redis-server', file, '--sentinel'], { folder });
  started.defer('a Sentinel', async () => {
    await guarded.end();
    rmSync(folder, { recursive: true, force: true });
  });
  const client = new Redis(port, '127.0.0.1', { retryStrategy: () => 50, maxRetriesPerRequest: null });
  client.on('error', () => undefined);
  started.defer('a connection', () => client.disconnect());
  await client.ping();
  return client;
}
