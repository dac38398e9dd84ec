/** Starts a real Redis Cluster on the loopback: three masters with a replica each, joined by hand, which takes a second. */
import { Redis } from 'ioredis';
import { createDisposables, type Disposables } from './disposables.ts';
import { freePortPair } from './ports.ts';
import { startPrivateRedis, type PrivateRedis } from './redis.ts';
import { until } from './until.ts';

interface ClusterNode extends PrivateRedis {
  readonly admin: Redis;
}

export interface RedisCluster {
  /** Three masters, then the replica of each in the same order. A failover does not change this list. */
  readonly nodes: readonly ClusterNode[];
  readonly urls: readonly string[];
  /** The node that is the master of a key now. */
  readonly masterOf: (key: string) => Promise<ClusterNode>;
  /** Waits until another node than this one is the master of the key. */
  readonly replaced: (key: string, old: ClusterNode) => Promise<ClusterNode>;
  stop(): Promise<void>;
}

const masters = 3;
const slots = 16_384;
/** Six servers start and agree at once; on a busy machine that takes its time. */
const startTimeoutMs = 60_000;

const clusterSettings = [
  ['--cluster-enabled', 'yes'],
  ['--cluster-config-file', 'nodes.conf'],
  // How long a node may be silent. Shorter, and a busy machine makes failovers of its own.
  ['--cluster-node-timeout', '2000'],
  ['--cluster-require-full-coverage', 'no'],
  // A replica that was cut off for a moment may still be promoted: there is only one.
  ['--cluster-replica-validity-factor', '0'],
  ['--repl-diskless-sync-delay', '0'],
].flat();

/** `settings` go to every server, after those that make it a node. */
export async function startRedisCluster(settings: readonly string[] = []): Promise<RedisCluster> {
  const started = createDisposables();
  const stop = async (): Promise<void> => void (await started.close());
  try {
    const nodes = await Promise.all(
      Array.from({ length: 2 * masters }, () => startNode(started, [...clusterSettings, ...settings])),
    );
    await join(nodes);
    const masterOf = (key: string): Promise<ClusterNode> => findMaster(nodes, key);
    return {
      nodes,
      urls: nodes.map(({ url }) => url),
      masterOf,
      replaced: (key, old) =>
        until(() => successor(nodes, key, old), { what: 'a replica to take over', timeoutMs: 60_000 }),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startNode(started: Disposables, settings: readonly string[]): Promise<ClusterNode> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const server = started.add(await startPrivateRedis({ port: await freePortPair(), settings }));
      // Commands to a node that is gone fail at once, so that the others can be asked.
      const admin = new Redis(server.url, { maxRetriesPerRequest: 0, retryStrategy: () => 100 });
      admin.on('error', () => undefined);
      started.defer('a connection', () => admin.disconnect());
      return { ...server, admin };
    } catch (error) {
      if (attempt === 5) throw error;
    }
  }
}

/** Gives out the slots, introduces the nodes to each other, and waits until every replica follows its master. */
async function join(nodes: readonly ClusterNode[]): Promise<void> {
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
  await until(joined, { what: 'the nodes to know each other', timeoutMs: startTimeoutMs });
  await Promise.all(
    nodes.slice(masters).map(({ admin }, i) =>
      until(() => admin.call('CLUSTER', 'REPLICATE', ids[i]!), {
        what: 'the replica to know its master',
        timeoutMs: startTimeoutMs,
      }),
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
  await until(complete, { what: 'the cluster to be complete', timeoutMs: startTimeoutMs });
}

async function findMaster(nodes: readonly ClusterNode[], key: string): Promise<ClusterNode> {
  for (const node of nodes) {
    const answer = await node.admin.exists(key).catch((error: Error) => error.message);
    if (typeof answer === 'number') return node;
    const port = /^MOVED \d+ .*:(\d+)$/.exec(answer)?.[1];
    const named = nodes.find((each) => String(each.port) === port);
    if (named !== undefined) return named;
  }
  throw new Error('no node knows the master');
}

async function successor(nodes: readonly ClusterNode[], key: string, old: ClusterNode): Promise<ClusterNode | null> {
  const isMaster = async (node: ClusterNode): Promise<boolean> =>
    node !== old &&
    (await node.admin.info('replication')).includes('role:master') &&
    typeof (await node.admin.exists(key)) === 'number';
  for (const node of nodes) if (await isMaster(node).catch(() => false)) return node;
  return null;
}
