/** Owns a master with two replicas and three Sentinels that agree on who is the master, all on the loopback. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import { onTestFinished } from 'vitest';
import { startPrivateRedis, type PrivateRedis } from '../../testkit/redis.ts';
import { findRedisServer } from '../../testkit/redis-server.mjs';
import { freePair } from './redis-cluster.ts';
import { until } from '../../testkit/until.ts';

export interface SentinelSetup {
  readonly name: string;
  /** URLs of the Sentinels. */
  readonly sentinels: readonly string[];
  readonly servers: readonly PrivateRedis[];
  /** The server that the Sentinels call the master now. */
  readonly master: () => Promise<PrivateRedis>;
}

/** Ends with the test. `settings` go to every data server. */
export async function startSentinels(settings: readonly string[] = []): Promise<SentinelSetup> {
  const name = 'mail';
  const own = ['--repl-diskless-sync-delay', '0', ...settings];
  const start = async (more: readonly string[]): Promise<PrivateRedis> => {
    const server = await startPrivateRedis({ settings: [...own, ...more] });
    onTestFinished(() => server.stop());
    return server;
  };
  const first = await start([]);
  const replicas = await Promise.all([1, 2].map(() => start(['--replicaof', `127.0.0.1 ${first.port}`])));
  const servers = [first, ...replicas];
  const sentinels = await Promise.all([1, 2, 3].map(() => startSentinel(name, first.port)));
  const [asked] = sentinels;
  const complete = async (): Promise<boolean> => {
    const row = (await asked!.call('SENTINEL', 'MASTER', name)) as string[];
    const value = (field: string): string | undefined => row[row.indexOf(field) + 1];
    return value('num-slaves') === '2' && value('num-other-sentinels') === '2' && value('flags') === 'master';
  };
  await until(complete, { what: 'the Sentinels to know all', timeoutMs: 20_000 });
  return {
    name,
    sentinels: sentinels.map(({ options }) => `redis://127.0.0.1:${options.port}`),
    servers,
    async master() {
      const [, port] = (await asked!.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', name)) as string[];
      return servers.find((server) => String(server.port) === port)!;
    },
  };
}

async function startSentinel(name: string, masterPort: number): Promise<Redis> {
  const dir = mkdtempSync(join(tmpdir(), 'postlane-sentinel-'));
  const port = await freePair();
  const file = join(dir, 'sentinel.conf');
  const lines = [
    `port ${port}`,
    'bind 127.0.0.1',
    `dir ${dir}`,
    `logfile ${join(dir, 'sentinel.log')}`,
    `sentinel monitor ${name} 127.0.0.1 ${masterPort} 2`,
    `sentinel down-after-milliseconds ${name} 1500`,
    `sentinel failover-timeout ${name} 6000`,
  ];
  writeFileSync(file, `${lines.join('\n')}\n`);
  const binary = process.env.REDIS_SERVER || findRedisServer(process.env.PATH ?? '') || 'redis-server';
  // The guard ends it with this process, however that one dies.
  const guardFile = fileURLToPath(new URL('../../testkit/guard.mjs', import.meta.url));
  const guard: ChildProcess = spawn(process.execPath, [guardFile, dir, binary, file, '--sentinel'], {
    stdio: ['pipe', 'ignore', 'inherit'],
  });
  const exited = once(guard, 'exit');
  const client = new Redis(port, '127.0.0.1', { retryStrategy: () => 50, maxRetriesPerRequest: null });
  client.on('error', () => undefined);
  onTestFinished(async () => {
    client.disconnect();
    guard.stdin?.end();
    await exited;
    rmSync(dir, { recursive: true, force: true });
  });
  await client.ping();
  return client;
}
