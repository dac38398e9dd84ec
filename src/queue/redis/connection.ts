/**
 * Connections to Redis, to a single server, a Cluster, or the master that Sentinels name: one profile for producers, which
 * must fail fast, and one for workers, which must wait.
 */
import { Cluster, Redis, type ClusterOptions, type RedisOptions } from 'ioredis';
import { PostlaneError } from '../../errors.ts';
import { coalesceWrites } from './write-coalescing.ts';
import type { RedisSettings, RedisTls } from './settings.ts';

/** A single server (Sentinels only say which), or a Cluster: both take the same commands. */
export type RedisClient = Redis | Cluster;

type NodeOptions = Omit<RedisOptions, 'replyMapping'>;

/** How patient a connection is: each one to a server, and, over several servers, the Cluster as a whole. */
interface Profile {
  readonly node: NodeOptions;
  readonly cluster: Pick<ClusterOptions, 'enableOfflineQueue' | 'maxRedirections' | 'slotsRefreshInterval'>;
}

/** Reconnect delays 50 ms … 2 s: quick after a restart, bearable for a Redis that is down for hours. */
const retryStrategy = (times: number): number => Math.min(50 * 2 ** Math.min(times, 6), 2_000);

/**
 * After a failover the old primary may live on as a replica, with our connection to it: only a new one finds the new primary.
 * The command fails all the same, and its caller tries again. Redis 6 wraps a script's error, so it may stand in the middle.
 */
const reconnectOnError = (error: Error): boolean => /\bREADONLY\b/.test(error.message);

/**
 * For producers and operators: nothing is queued while Redis is away and every command ends within `timeoutMs`, so that
 * a caller gets an answer. A command may have reached Redis before it was given up; ids make calling again safe.
 */
export function connectFailFast(settings: RedisSettings, timeoutMs: number, name = 'postlane-producer'): RedisClient {
  return connect(settings, {
    node: {
      connectionName: name,
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      connectTimeout: timeoutMs,
      commandTimeout: timeoutMs,
      // The command is given up, and so is the connection: its host may be gone without having closed it.
      socketTimeout: timeoutMs,
      sentinelCommandTimeout: timeoutMs,
    },
    // A failover is waited for, but no longer than the caller does: each redirection to a dead node is 100 ms.
    cluster: { enableOfflineQueue: false, maxRedirections: Math.max(16, Math.ceil(timeoutMs / 100)) },
  });
}

/**
 * For workers: commands wait for Redis to come back. BullMQ demands `maxRetriesPerRequest: null` of them. A Redis that owes an
 * answer for `silenceMs` counts as gone: the kernel would need a quarter of an hour to notice that a host is gone
 * (tcp(7), tcp_retries2). More than the 10 s for which the intake's connection is silent on purpose.
 */
export function connectPatient(settings: RedisSettings, name = 'postlane-worker', silenceMs = 30_000): RedisClient {
  return connect(settings, {
    node: {
      connectionName: name,
      maxRetriesPerRequest: null,
      connectTimeout: 10_000,
      socketTimeout: silenceMs,
    },
    // Asking for the slots finds out that a node which went silent has been replaced, long before the silence ends.
    cluster: { maxRedirections: Infinity, slotsRefreshInterval: 5_000 },
  });
}

function connect(settings: RedisSettings, profile: Profile): RedisClient {
  const redis = open(settings, profile);
  if (redis instanceof Cluster) redis.on('+node', coalesceWrites);
  else coalesceWrites(redis);
  return redis;
}

function open(settings: RedisSettings, profile: Profile): RedisClient {
  const { username, password, tls } = settings;
  const options: NodeOptions = {
    retryStrategy,
    reconnectOnError,
    // ioredis waits this long even for a connection that is already closed, and keeps the process alive meanwhile.
    disconnectTimeout: 100,
    ...profile.node,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
  };
  if ('url' in settings) return new Redis(settings.url, { ...options, ...tlsOptions(tls) });
  if ('sentinel' in settings) {
    const { sentinel, db = 0 } = settings;
    return new Redis({
      ...options,
      db,
      ...tlsOptions(tls),
      enableTLSForSentinelMode: tls !== undefined,
      name: sentinel.name,
      sentinels: sentinel.nodes.map(addressOf),
      ...(sentinel.username === undefined ? {} : { sentinelUsername: sentinel.username }),
      ...(sentinel.password === undefined ? {} : { sentinelPassword: sentinel.password }),
      ...(sentinel.nodes.some(isTls) ? { sentinelTLS: { ...sentinel.tls } } : {}),
    });
  }
  const { nodes } = settings.cluster;
  const { retryStrategy: _each, enableOfflineQueue: _whole, ...node } = options;
  return new Cluster(nodes.map(addressOf), {
    ...profile.cluster,
    clusterRetryStrategy: retryStrategy,
    // Otherwise a node that answers MOVED to a node that is not there yet would be asked without a pause.
    retryDelayOnMoved: 20,
    redisOptions: { ...node, ...(nodes.some(isTls) ? { tls: { ...tls } } : {}) },
    // Names stay names, or the certificate of a node would be compared with its address (ioredis README, "Special Note: AWS").
    ...(nodes.some(isTls) ? { dnsLookup: (host, done) => done(null, host) } : {}),
  });
}

function tlsOptions(tls: RedisTls | undefined): Pick<NodeOptions, 'tls'> {
  return tls === undefined ? {} : { tls: { ...tls } };
}

function isTls(url: string): boolean {
  return url.startsWith('rediss:');
}

function addressOf(url: string): { host: string; port: number } {
  const { hostname, port } = new URL(url);
  return { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || 6379) };
}

/** Whether keys may be on different servers. */
export function isCluster(redis: RedisClient): redis is Cluster {
  return redis instanceof Cluster;
}

/** Every server that takes writes: one, or a Cluster's masters. */
export function mastersOf(redis: RedisClient): Redis[] {
  return isCluster(redis) ? redis.nodes('master') : [redis];
}

/** A connection to subscribe on. A Cluster has one for that within itself; else it is a new one, and the caller's to close. */
export function subscriberOf(redis: RedisClient, name: string): RedisClient {
  return isCluster(redis) ? redis : redis.duplicate({ connectionName: name });
}

/** A new connection on which commands may block; the caller's to close. Its errors are those of the first one. */
export function blockingOf(redis: RedisClient, name: string): RedisClient {
  const made = isCluster(redis) ? redis.duplicate() : redis.duplicate({ connectionName: name });
  made.on('error', () => undefined);
  return made;
}

/** Resolves once the connection can take commands; rejects with `redis-unavailable` after `timeoutMs`. */
export async function whenReady(redis: RedisClient, timeoutMs: number): Promise<void> {
  if (redis.status === 'ready') return;
  if (redis.status === 'end') throw unavailable('the connection is closed');
  await new Promise<void>((resolve, reject) => {
    let last: Error | undefined;
    const done = (error?: PostlaneError): void => {
      clearTimeout(timer);
      redis.off('ready', ready).off('error', failed).off('end', ended);
      if (error === undefined) resolve();
      else reject(error);
    };
    const ready = (): void => done();
    const failed = (error: Error): void => {
      last = error;
    };
    const ended = (): void => done(unavailable('the connection is closed', last));
    const timer = setTimeout(() => done(unavailable(`no connection within ${timeoutMs} ms`, last)), timeoutMs);
    redis.on('ready', ready).on('error', failed).on('end', ended);
  });
}

function unavailable(why: string, cause?: Error): PostlaneError {
  const detail = cause === undefined ? '' : ` (${reasonOf(cause)})`;
  return new PostlaneError('redis-unavailable', `Redis cannot be reached: ${why}${detail}`, { cause });
}

/** Why a connection failed: a Cluster only says that all nodes did, and keeps the reason of the last one to itself. */
export function reasonOf(error: Error): string {
  const inner = 'lastNodeError' in error ? error.lastNodeError : null;
  return inner instanceof Error ? `${error.message} ${inner.message}` : error.message;
}

/** An error of a Redis command as ours: an answer from Redis is a refusal, everything else means that it was not reached. */
export function redisError(error: unknown, id?: string): PostlaneError {
  const about = id === undefined ? {} : { id };
  if (error instanceof PostlaneError) {
    if (id === undefined || error.id === id) return error;
    return new PostlaneError(error.code, error.message, { ...about, issues: error.issues, cause: error.cause });
  }
  const text = error instanceof Error ? error.message : String(error);
  const options = { cause: error, ...about };
  const full = /(?:^|-)(OOM|MISCONF) /.exec(text)?.[1];
  if (full !== undefined) {
    const what = full === 'OOM' ? 'its memory is full' : 'it cannot write to its disk';
    const next = 'Call again later with the same id';
    return new PostlaneError('redis-full', `Redis has no room for new messages: ${what}. ${next} (${text})`, options);
  }
  // Redis prefixes its own errors with an upper-case word (READONLY, NOPERM, ERR …).
  // UNBLOCKED, LOADING and CLUSTERDOWN pass by themselves, so they count as not reached.
  return /^(?!LOADING|CLUSTERDOWN|MASTERDOWN|UNBLOCKED|TRYAGAIN)[A-Z]{3,} /.test(text)
    ? new PostlaneError('redis-refused', `Redis refused to store: ${text}`, options)
    : new PostlaneError('redis-unavailable', `Redis cannot be reached: ${text}`, options);
}
