/** Owns a real Redis Cluster on the loopback: three masters with a replica each, joined by hand, which takes a second. */
import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';
import { Redis } from 'ioredis';
import { onTestFinished } from 'vitest';
import { startPrivateRedis, type PrivateRedis } from '../../testkit/redis.ts';
import { until } from '../../testkit/until.ts';

interface ClusterNode extends PrivateRedis {
  readonly admin: Redis;
}

export interface RedisCluster {
  /** Three masters, then the replica of each in the same order; what a failover makes of them is not noted here. */
  readonly nodes: readonly ClusterNode[];
  readonly urls: readonly string[];
  /** The node that is the master of a key now. */
  readonly masterOf: (key: string) => Promise<ClusterNode>;
  /** Waits until another node than this one is the master of the key. */
  readonly replaced: (key: string, old: ClusterNode) => Promise<ClusterNode>;
}

const masters = 3;
const slots = 16_384;

/** Ends with the test. `settings` go to every server, after those that make it a node. */
export async function startRedisCluster(settings: readonly string[] = []): Promise<RedisCluster> {
  const own = [
    ['--cluster-enabled', 'yes'],
    ['--cluster-config-file', 'nodes.conf'],
    // How long a node may be silent. Shorter, and a busy machine makes failovers of its own.
    ['--cluster-node-timeout', '2000'],
    ['--cluster-require-full-coverage', 'no'],
    // A replica that was cut off for a moment may still be promoted: there is only one.
    ['--cluster-replica-validity-factor', '0'],
    ['--repl-diskless-sync-delay', '0'],
  ].flat();
  const nodes = await Promise.all(Array.from({ length: 2 * masters }, () => startNode([...own, ...settings])));
  const ids = await Promise.all(nodes.map(({ admin }) => admin.cluster('MYID')));
  await Promise.all(
    nodes.map(async ({ admin }, i) => {
      await admin.call('CLUSTER', 'SET-CONFIG-EPOCH', i + 1);
      if (i >= masters) return;
      const [from, to] = [Math.ceil((slots / masters) * i), Math.ceil((slots / masters) * (i + 1)) - 1];
      await admin.call('CLUSTER', 'ADDSLOTSRANGE', from, to);
    }),
  );
  const [first, ...others] = nodes;
  for (const { port } of others) await first!.admin.call('CLUSTER', 'MEET', '127.0.0.1', port);
  const joined = async (): Promise<boolean> => {
    const known = await Promise.all(nodes.map(({ admin }) => admin.cluster('INFO')));
    return known.every((info) => info.includes(`cluster_known_nodes:${nodes.length}`));
  };
  await until(joined, { what: 'the nodes to know each other', timeoutMs: 20_000 });
  await Promise.all(
    nodes
      .slice(masters)
      .map(({ admin }, i) =>
        until(() => admin.call('CLUSTER', 'REPLICATE', ids[i]!), { what: 'the replica to know its master' }),
      ),
  );
  const complete = async (): Promise<boolean> => {
    const states = await Promise.all(nodes.map(({ admin }) => admin.cluster('INFO')));
    const roles = await Promise.all(nodes.map(({ admin }) => admin.info('replication')));
    return (
      states.every((info) => info.includes('cluster_state:ok')) &&
      roles.every((info) => /master_link_status:up|slave0:.*state=online/.test(info))
    );
  };
  await until(complete, { what: 'the cluster to be complete', timeoutMs: 20_000 });

  const masterOf = async (key: string): Promise<ClusterNode> => {
    for (const node of nodes) {
      const answer = await node.admin.exists(key).catch((error: Error) => error.message);
      if (typeof answer === 'number') return node;
      const port = /^MOVED \d+ .*:(\d+)$/.exec(answer)?.[1];
      const named = nodes.find((each) => String(each.port) === port);
      if (named !== undefined) return named;
    }
    throw new Error('no node knows the master');
  };
  return {
    nodes,
    urls: nodes.map(({ url }) => url),
    masterOf,
    replaced: (key, old) =>
      until(
        async () => {
          const isMaster = async (node: ClusterNode): Promise<boolean> =>
            node !== old &&
            (await node.admin.info('replication')).includes('role:master') &&
            typeof (await node.admin.exists(key)) === 'number';
          for (const node of nodes) if (await isMaster(node).catch(() => false)) return node;
          return null;
        },
        { what: 'a replica to take over', timeoutMs: 30_000 },
      ),
  };
}

async function startNode(settings: readonly string[]): Promise<ClusterNode> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const server = await startPrivateRedis({ port: await freePair(), settings });
      // Asks of a node that is gone fail at once, so that the others can be asked.
      const admin = new Redis(server.url, { maxRetriesPerRequest: 0, retryStrategy: () => 100 });
      admin.on('error', () => undefined);
      onTestFinished(async () => {
        admin.disconnect();
        await server.stop();
      });
      return Object.defineProperty({ ...server, admin }, 'pid', { get: () => server.pid });
    } catch (error) {
      if (attempt === 5) throw error;
    }
  }
}

/** A port that is free together with the one of the cluster's bus, which is 10,000 above; both below the outgoing ports. */
export async function freePair(): Promise<number> {
  for (;;) {
    const port = randomInt(20_000, 22_700);
    if ((await isFree(port)) && (await isFree(port + 10_000))) return port;
  }
}

async function isFree(port: number): Promise<boolean> {
  const probe = createServer();
  return new Promise((resolve) => {
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}
