/** The section `outbox`: the application's database whose messages are relayed, and how; its schema, settings and rules. */
import { z } from 'zod';
import type { Path, Problem } from './issues.ts';
import { isLoopback } from './networks.ts';
import * as value from './values.ts';

export interface DatabaseTls {
  /** PEM texts; null: the public CAs, no certificate of ours. */
  readonly ca: string | null;
  readonly cert: string | null;
  readonly key: string | null;
  /** Name that the certificate must have; null: the host. */
  readonly servername: string | null;
}

export interface DatabaseSettings {
  /** A name, an address, or the folder of a Unix socket. */
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly password: string | null;
  /** Settings of the server for the session, such as `-c search_path=mail`. */
  readonly options: string | null;
  /** null: not encrypted. */
  readonly tls: DatabaseTls | null;
}

export interface OutboxSettings {
  /** null: there is no outbox. */
  readonly database: DatabaseSettings | null;
  readonly batchRows: number;
  readonly batchBytes: number;
  readonly pollMs: number;
  readonly listen: boolean;
  readonly acknowledgeReplicas: number;
}

type Url = Omit<DatabaseSettings, 'tls'> & { readonly encrypted: boolean };

const defaultPort = 5432;
/** Words of libpq. `prefer` and `allow` would go on without TLS in silence. */
const encryptedModes = ['require', 'verify-ca', 'verify-full'];

export const databaseUrl = value.textAs('database-url', (text): value.Reading<Url> => {
  const must =
    'must be the URL of a PostgreSQL database: postgres://user:password@host:5432/database; percent-encode / # ? @ : and % in the password';
  const url = URL.parse(text);
  if (url === null || !['postgres:', 'postgresql:'].includes(url.protocol) || text.length > 2_000) return { must };
  const { sslmode = 'disable', host = decoded(url.hostname), options = null, ...unknown } = parametersOf(url);
  const [strange] = Object.keys(unknown);
  if (strange !== undefined) return { must: 'must have no parameters but sslmode, host and options' };
  const encrypted = encryptedModes.includes(sslmode);
  if (!encrypted && sslmode !== 'disable') {
    return {
      must: 'must have sslmode=disable or sslmode=verify-full: other modes go on without TLS, or without its checks',
    };
  }
  const [database, user, password] = [url.pathname.slice(1), url.username, url.password].map(decoded);
  if (!database || !user || !host || password === null || password === undefined) return { must };
  const port = url.port === '' ? defaultPort : Number(url.port);
  const bare = host.startsWith('[') ? host.slice(1, -1) : host;
  return { value: { host: bare, port, database, user, password: password || null, options, encrypted } };
});

function parametersOf({ searchParams }: URL): Partial<Record<'sslmode' | 'host' | 'options', string>> {
  return Object.fromEntries(searchParams);
}

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}

const maxBatchRows = 1_000;

export const outbox = z
  .strictObject({
    url: databaseUrl
      .optional()
      .describe(
        'Database with the table `postlane_outbox`, as `postgres://…`. The environment variable `POSTLANE_DATABASE_URL` overrides it.',
      ),
    tls: z
      .strictObject({
        ca: value.certificates
          .optional()
          .describe('Private CAs instead of the public ones: PEM text, or the path of a `.pem` or `.crt` file.'),
        cert: value.certificates
          .optional()
          .describe('Client certificate: PEM text, or the path of a `.pem` or `.crt` file.'),
        key: value.privateKey.optional().describe('Key of `cert`: PEM text, or the path of a `.pem` or `.key` file.'),
        servername: value.host
          .optional()
          .describe('Name that the certificate must contain. Default: the host of the URL.'),
      })
      .optional()
      .describe('Turns TLS on, as `sslmode=verify-full` in the URL does, and says how certificates are verified.'),
    batch: z.int().min(1).max(maxBatchRows).default(200).describe('Rows that a relay takes at once.'),
    batchBytes: value.size
      .prefault('16MiB')
      .describe('Bytes of messages that a relay takes at once; a larger message is taken alone.'),
    poll: value.duration(1).prefault('1s').describe('How often a relay that has nothing to do looks for rows.'),
    listen: z
      .boolean()
      .default(false)
      .describe('Whether a relay is woken by the trigger of `postlane outbox --print-migration --notify`, too.'),
    acknowledgeReplicas: z
      .int()
      .min(0)
      .max(10)
      .default(0)
      .describe('Replicas of Redis that must have a message before its row is removed.'),
  })
  .prefault({})
  .describe('The transactional outbox, of `postlane outbox`.');

type OutboxFile = z.output<typeof outbox>;

export function buildOutbox({ url, tls, batch, poll, ...rest }: OutboxFile): OutboxSettings {
  return {
    database: url === undefined ? null : buildDatabase(url, tls),
    ...rest,
    batchRows: batch,
    pollMs: poll,
  };
}

function buildDatabase({ encrypted, ...rest }: Url, tls: OutboxFile['tls']): DatabaseSettings {
  const { ca = null, cert = null, key = null, servername = null } = tls ?? {};
  return { ...rest, tls: encrypted || tls !== undefined ? { ca, cert, key, servername } : null };
}

/** Places where a path may stand for PEM text. */
export const outboxPemPlaces: readonly Path[] = ['ca', 'cert', 'key'].map((key) => ['outbox', 'tls', key]);

/** `at` returns the value at a path within `outbox`. */
export function outboxProblems(at: (...path: string[]) => unknown): Problem[] {
  const problem = (path: Path, message: string): Problem[] => [
    { path: ['outbox', ...path], rule: 'database-tls', message, on: 'key' },
  ];
  const url = at('url');
  if (at('tls') === undefined) return plainProblems(url);
  const disabled = typeof url === 'string' && URL.parse(url)?.searchParams.get('sslmode') === 'disable';
  return [
    ...(disabled ? problem(['tls'], 'has no effect beside sslmode=disable in the URL; remove one of the two') : []),
    ...((at('tls', 'cert') === undefined) !== (at('tls', 'key') === undefined)
      ? problem(['tls'], 'has only one of cert and key; set both')
      : []),
  ];
}

/** Without `sslmode`, libpq tries TLS first, and this relay does not: who has not written it may not know. */
function plainProblems(url: unknown): Problem[] {
  const { data } = databaseUrl.safeParse(url);
  if (data === undefined || data.encrypted || data.host.startsWith('/') || isLoopback(data.host)) return [];
  if (URL.parse(String(url))?.searchParams.has('sslmode')) return [];
  const message =
    'is not encrypted: others can read the messages and the login on their way; add ?sslmode=verify-full or outbox.tls, or ?sslmode=disable if the network is safe';
  return [{ path: ['outbox', 'url'], rule: 'database-plain', message, on: 'value' }];
}
