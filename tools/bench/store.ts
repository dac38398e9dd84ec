/** A private Redis with the settings of production, and what the benchmarks measure on it: commands, reads, clients. */
import { setTimeout as pause } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { startPrivateRedis } from '../../testkit/redis.ts';

export interface Store {
  readonly url: string;
  readonly pid: number;
  readonly client: Redis;
  /** How often the server has read from a client so far: round trips, where pipelined commands share one. */
  reads(): Promise<number>;
  /** Counts the commands of clients by name until it is stopped. Commands that scripts call within the server do not count. */
  watch(): Promise<{ stop(): Promise<Readonly<Record<string, number>>> }>;
  /** Fills it without the append-only file, which is written once afterwards instead of repeatedly as it grows. */
  fill(work: () => Promise<unknown>): Promise<void>;
  clear(): Promise<void>;
  stop(): Promise<void>;
}

/** `everysec`, as the documentation recommends where a second may be lost with the machine. */
export const appendfsync = 'everysec';

/** `fsync`: of the append-only file. */
export async function startStore(fsync: 'everysec' | 'always' = appendfsync): Promise<Store> {
  const server = await startPrivateRedis({ appendfsync: fsync });
  const client = new Redis(server.url, { maxRetriesPerRequest: null, connectionName: 'bench' });
  client.on('error', () => undefined);
  const field = async (section: string, name: string): Promise<number> =>
    Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(await client.info(section))?.[1] ?? Number.NaN);
  /** Rewriting the append-only file would take a processor from the measurement. */
  const calm = async (): Promise<void> => {
    while ((await field('persistence', 'aof_rewrite_in_progress')) > 0) await pause(50);
  };
  return {
    url: server.url,
    pid: server.pid(),
    client,
    reads: () => field('stats', 'total_reads_processed'),
    async fill(work) {
      await client.config('SET', 'appendonly', 'no');
      await work();
      await client.config('SET', 'appendonly', 'yes');
      await pause(200);
      await calm();
    },
    async watch() {
      const monitor = await client.monitor();
      monitor.on('error', () => undefined);
      const counts: Record<string, number> = {};
      monitor.on('monitor', (_time: string, args: string[], source: string) => {
        const name = String(args[0]).toLowerCase();
        if (source !== 'lua') counts[name] = (counts[name] ?? 0) + 1;
      });
      return {
        async stop() {
          await pause(20);
          monitor.disconnect();
          return counts;
        },
      };
    },
    async clear() {
      await client.flushall();
      await calm();
    },
    async stop() {
      client.disconnect();
      await server.stop();
    },
  };
}
