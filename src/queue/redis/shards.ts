/**
 * Shards: the parts that connectors are spread over, each with a hash tag of its own, so that a Cluster can keep them on
 * different masters. The first one is the home of everything that has no connector: intake, contents, and where messages are.
 */
import { keysOf, type HomeKeys, type ShardKeys } from './keys.ts';

export interface Shards {
  readonly prefixes: readonly string[];
  readonly all: readonly ShardKeys[];
  /** The keys of the first shard. */
  readonly home: HomeKeys;
  /** The number of the shard that a connector's lane, faults, quota, rows and dead letters are in. */
  readonly of: (connectorId: string) => number;
  /** The keys of a connector's shard. */
  readonly keysOf: (connectorId: string) => ShardKeys;
  /** One shard as if it were the only one: it then has every connector. For maintenance, which looks at shards one by one. */
  readonly only: (shard: number) => Shards;
}

/** The same in every process that has the same prefix and count. */
export function shardsOf(prefix: string, count: number): Shards {
  const prefixes = Array.from({ length: Math.max(1, count) }, (_, i) => prefixOf(prefix, i));
  return shardsWith(prefixes, prefixes.map(keysOf));
}

function shardsWith(prefixes: readonly string[], all: readonly HomeKeys[]): Shards {
  // The hash of a connector is needed several times a message.
  const known = new Map<string, number>();
  const of = (connectorId: string): number => {
    if (all.length === 1) return 0;
    let shard = known.get(connectorId);
    if (shard === undefined) known.set(connectorId, (shard = fnv1a(connectorId) % all.length));
    return shard;
  };
  return {
    prefixes,
    all,
    home: all[0]!,
    of,
    keysOf: (connectorId) => all[of(connectorId)]!,
    only: (shard) => shardsWith([prefixes[shard]!], [all[shard]!]),
  };
}

/** `{postlane}`, `{postlane1}`, `{postlane2}` …: the number goes into the tag, which is all that a Cluster hashes. */
function prefixOf(prefix: string, shard: number): string {
  return shard === 0 ? prefix : prefix.replace('}', `${shard}}`);
}

/** FNV-1a, 32 bit (http://www.isthe.com/chongo/tech/comp/fnv/), with its bits mixed once more: ids that differ in a digit shall spread. */
function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  return (hash ^ (hash >>> 13)) >>> 0;
}
