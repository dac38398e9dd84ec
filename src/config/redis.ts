/** `redis` of the configuration: one server, a Cluster, or Sentinels; how to log in, and how TLS is verified. */
import { z } from 'zod';
import type { Path, Problem } from './issues.ts';
import * as value from './values.ts';

const tls = (about: string) =>
  z
    .strictObject({
      ca: value.certificates
        .optional()
        .describe('Private CAs that replace the public ones: PEM text, or the path of a `.pem` or `.crt` file.'),
      cert: value.certificates
        .optional()
        .describe('Own certificate, for servers that ask for one: PEM text, or the path of a `.pem` or `.crt` file.'),
      key: value.privateKey.optional().describe('Key of `cert`: PEM text, or the path of a `.pem` or `.key` file.'),
      servername: value.host.optional().describe('Name that the certificate must carry. Default: the host of the URL.'),
    })
    .optional()
    .describe(about);

export const redis = z
  .strictObject({
    url: value.redisUrl
      .prefault('redis://127.0.0.1:6379')
      .describe(
        'Redis that holds the queues. The environment variable `REDIS_URL` wins over it, and over `cluster` and `sentinel`.',
      ),
    cluster: z
      .strictObject({
        nodes: z
          .array(value.redisNode)
          .min(1)
          .describe('Nodes of a Redis Cluster, as `redis://host:port`; some are enough.'),
      })
      .optional()
      .describe('A Redis Cluster, instead of `url`.'),
    sentinel: z
      .strictObject({
        name: value.text.describe('What the Sentinels call the master.'),
        nodes: z.array(value.redisNode).min(1).describe('The Sentinels, as `redis://host:port`; some are enough.'),
        username: value.text.optional().describe('User at the Sentinels.'),
        password: value.secret.optional().describe('Password at the Sentinels; normally a reference.'),
        tls: tls('How the certificates of Sentinels at `rediss://` are verified.'),
      })
      .optional()
      .describe('A master that Sentinels watch, instead of `url`.'),
    username: value.text.optional().describe('User of the ACL. A user in `url` wins over it.'),
    password: value.secret.optional().describe('Password; normally a reference. One in `url` wins over it.'),
    db: z.int().min(0).max(1_000_000).optional().describe('Number of the database, with `sentinel`. Default: 0.'),
    tls: tls('How certificates are verified. With `sentinel` it also says that the master speaks TLS.'),
    prefix: value.redisPrefix
      .prefault('{postlane}')
      .describe('Begins every key. The name in braces keeps them in one slot of a Redis Cluster.'),
    shards: z
      .int()
      .min(1)
      .max(64)
      .optional()
      .describe(
        'Over how many slots of a Cluster connectors are spread; the same for workers and applications. Default: 1.',
      ),
  })
  .prefault({})
  .describe('Where the queues are.');

/** Where within `redis` PEM text may be given as a path. */
export const redisPemPlaces: readonly Path[] = ['ca', 'cert', 'key'].flatMap((key) => [
  ['redis', 'tls', key],
  ['redis', 'sentinel', 'tls', key],
]);

/** The rules between its keys. `at` gives what stands at a path within `redis`. */
export function redisProblems(at: (...path: string[]) => unknown): Problem[] {
  const problem = (path: Path, rule: Problem['rule'], message: string): Problem => ({
    path: ['redis', ...path],
    rule,
    message,
    on: 'key',
  });
  const kinds = ['url', 'cluster', 'sentinel'].filter((key) => at(key) !== undefined);
  const problems = kinds.slice(1).map((key) => {
    return problem([key], 'redis-server', `stands beside ${kinds[0]}; keep one of the two`);
  });
  if (at('db') !== undefined && at('sentinel') === undefined) {
    const message = 'belongs to sentinel; a url names its database (redis://host:6379/1), a cluster has one only';
    problems.push(problem(['db'], 'redis-server', message));
  }
  for (const path of [['tls'], ['sentinel', 'tls']]) {
    if ((at(...path, 'cert') === undefined) !== (at(...path, 'key') === undefined)) {
      problems.push(problem(path, 'redis-tls', 'has one of cert and key; a certificate needs its key'));
    }
  }
  const encrypted = (urls: unknown): boolean =>
    [urls].flat().some((url) => typeof url !== 'string' || url.startsWith('rediss:'));
  const plain = 'is not used, as the connection is not encrypted; write rediss:// instead of redis://';
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

/** What is not written is not there, so that whoever connects fills in its own. */
export type RedisConfig = RedisServers & {
  readonly username?: string;
  readonly password?: string;
  readonly tls?: RedisTls;
  readonly prefix: string;
  readonly shards?: number;
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
}: RedisFile): RedisConfig {
  const rest = {
    ...given({ username, password }),
    ...(tls === undefined ? {} : { tls: buildTls(tls) }),
    prefix,
    ...(shards === undefined ? {} : { shards }),
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
