/** The `redis` section: one server, a Cluster or Sentinels; its schema, the settings it becomes, and the rules between its keys. */
import { z } from 'zod';
import type { Path, Problem } from './issues.ts';
import * as value from './values.ts';

const tls = (about: string) =>
  z
    .strictObject({
      ca: value.certificates
        .optional()
        .describe('Private CAs instead of the public ones: PEM text, or the path of a `.pem` or `.crt` file.'),
      cert: value.certificates
        .optional()
        .describe(
          'Client certificate, for servers that require one: PEM text, or the path of a `.pem` or `.crt` file.',
        ),
      key: value.privateKey.optional().describe('Key of `cert`: PEM text, or the path of a `.pem` or `.key` file.'),
      servername: value.host
        .optional()
        .describe('Name that the certificate must contain. Default: the host of the URL.'),
    })
    .optional()
    .describe(about);

export const redis = z
  .strictObject({
    url: value.redisUrl
      .prefault('redis://127.0.0.1:6379')
      .describe(
        'Redis server that holds the queues. The environment variable `REDIS_URL` overrides it, `cluster` and `sentinel`.',
      ),
    cluster: z
      .strictObject({
        nodes: z
          .array(value.redisNode)
          .min(1)
          .describe('Nodes of a Redis Cluster, as `redis://host:port`; not all are needed.'),
      })
      .optional()
      .describe('A Redis Cluster, instead of `url`.'),
    sentinel: z
      .strictObject({
        name: value.text.describe('Name that the Sentinels use for the master.'),
        nodes: z.array(value.redisNode).min(1).describe('Sentinels, as `redis://host:port`; not all are needed.'),
        username: value.text.optional().describe('User name for the Sentinels.'),
        password: value.secret.optional().describe('Password for the Sentinels, normally a reference.'),
        tls: tls('How the certificates of Sentinels at `rediss://` are verified.'),
      })
      .optional()
      .describe('A master that Sentinels watch, instead of `url`.'),
    username: value.text.optional().describe('ACL user. A user in `url` overrides it.'),
    password: value.secret.optional().describe('Password, normally a reference. A password in `url` overrides it.'),
    db: z.int().min(0).max(1_000_000).optional().describe('Database number, with `sentinel` only. Default: 0.'),
    tls: tls('How certificates are verified. With `sentinel`, it also turns TLS to the master on.'),
    prefix: value.redisPrefix
      .prefault('{postlane}')
      .describe('Prefix of every key. The name in braces keeps the keys in one slot of a Redis Cluster.'),
    shards: z
      .int()
      .min(1)
      .max(64)
      .optional()
      .describe(
        'Number of Cluster slots that connectors are spread over; must be the same for workers and applications. Default: 1.',
      ),
    reserve: value.percent
      .optional()
      .describe(
        'Part of `maxmemory` that new messages leave to those that are waiting; beyond it, `send` is refused with `redis-full`. Applications pass it as `reservePercent`. Default: `25%`.',
      ),
  })
  .prefault({})
  .describe('Redis connection.');

/** Places within `redis` where a path may stand for PEM text. */
export const redisPemPlaces: readonly Path[] = ['ca', 'cert', 'key'].flatMap((key) => [
  ['redis', 'tls', key],
  ['redis', 'sentinel', 'tls', key],
]);

/** The rules between the keys. `at` returns the value at a path within `redis`. */
export function redisProblems(at: (...path: string[]) => unknown): Problem[] {
  const problem = (path: Path, rule: Problem['rule'], message: string): Problem => ({
    path: ['redis', ...path],
    rule,
    message,
    on: 'key',
  });
  const kinds = ['url', 'cluster', 'sentinel'].filter((key) => at(key) !== undefined);
  const problems = kinds.slice(1).map((key) => {
    return problem([key], 'redis-server', `cannot be combined with ${kinds[0]}; remove one of the two`);
  });
  if (at('db') !== undefined && at('sentinel') === undefined) {
    const message =
      'belongs to sentinel; a url names its database itself (redis://host:6379/1), and a cluster has only one';
    problems.push(problem(['db'], 'redis-server', message));
  }
  for (const path of [['tls'], ['sentinel', 'tls']]) {
    if ((at(...path, 'cert') === undefined) !== (at(...path, 'key') === undefined)) {
      problems.push(problem(path, 'redis-tls', 'has only one of cert and key; set both'));
    }
  }
  const encrypted = (urls: unknown): boolean =>
    [urls].flat().some((url) => typeof url !== 'string' || url.startsWith('rediss:'));
  const plain = 'has no effect because the connection is not encrypted; write rediss:// instead of redis://';
  const servers = at('cluster') === undefined ? (at('url') ?? 'redis:') : at('cluster', 'nodes');
  if (at('tls') !== undefined && at('sentinel') === undefined && !encrypted(servers)) {
    problems.push(problem(['tls'], 'redis-tls', plain));
  }
  if (at('sentinel', 'tls') !== undefined && !encrypted(at('sentinel', 'nodes'))) {
    problems.push(problem(['sentinel', 'tls'], 'redis-tls', plain));
  }
  return problems;
}

type RedisFile = z.output<typeof redis>;
type TlsFile = NonNullable<RedisFile['tls']>;

interface RedisTls {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly servername?: string;
}

type RedisServers =
  | { readonly url: string }
  | { readonly cluster: { readonly nodes: readonly string[] } }
  | {
      readonly sentinel: {
        readonly name: string;
        readonly nodes: readonly string[];
        readonly username?: string;
        readonly password?: string;
        readonly tls?: RedisTls;
      };
      readonly db?: number;
    };

/** Keys that are not in the file are absent, so that the connection applies its own defaults. */
export type RedisConfig = RedisServers & {
  readonly username?: string;
  readonly password?: string;
  readonly tls?: RedisTls;
  readonly prefix: string;
  readonly shards?: number;
  readonly reservePercent?: number;
};

export function buildRedis({
  url,
  cluster,
  sentinel,
  username,
  password,
  db,
  tls,
  prefix,
  shards,
  reserve,
}: RedisFile): RedisConfig {
  const rest = {
    ...given({ username, password }),
    ...(tls === undefined ? {} : { tls: buildTls(tls) }),
    prefix,
    ...(shards === undefined ? {} : { shards }),
    ...(reserve === undefined ? {} : { reservePercent: reserve }),
  };
  if (cluster !== undefined) return { cluster, ...rest };
  if (sentinel === undefined) return { url, ...rest };
  const { name, nodes, username: user, password: word, tls: theirs } = sentinel;
  const own = {
    ...given({ username: user, password: word }),
    ...(theirs === undefined ? {} : { tls: buildTls(theirs) }),
  };
  return { sentinel: { name, nodes, ...own }, ...(db === undefined ? {} : { db }), ...rest };
}

function buildTls({ ca, cert, key, servername }: TlsFile): RedisTls {
  return given({ ca, cert, key, servername });
}

function given<Key extends string>(values: Record<Key, string | undefined>): { readonly [K in Key]?: string } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    readonly [K in Key]?: string;
  };
}
