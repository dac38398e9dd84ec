/** Joins the rooms: the configuration of a command, and the producer or operator that it works with. */
import { printable } from '../errors.ts';
import type { Config, ConnectorConfig } from '../config/config.ts';
import type { LoadResult } from '../config/load.ts';
import type { DatabaseSettings } from '../config/outbox.ts';
import { nearest } from '../config/suggest.ts';
import type { Submitter } from '../producer/producer.ts';
import type { Operator } from '../admin/operator.ts';
import type { Environment } from './command.ts';
import { UsageError } from './failure.ts';

/** How long a command waits for Redis before it says that it is away, in ms. */
export const redisTimeoutMs = 5_000;

// Each command loads what it needs: `--help` no configuration, `explain` no client of Redis, nothing but a worker a protocol.
export async function load({ env, cwd }: Environment, file: string | undefined): Promise<LoadResult> {
  const { loadConfig } = await import('../config/load.ts');
  return loadConfig({ env, cwd, ...(file === undefined ? {} : { file }) });
}

/** The configuration, or a UsageError with all its mistakes. */
export async function requireConfig(
  environment: Environment,
  file: string | undefined,
): Promise<Extract<LoadResult, { ok: true }>> {
  const loaded = await load(environment, file);
  if (loaded.ok) return loaded;
  throw new UsageError(countMistakes(loaded.file, loaded.issues.length), loaded.issues);
}

export function countMistakes(file: string, count: number): string {
  return `${file}: ${count === 1 ? '1 mistake' : `${count} mistakes`} in the configuration`;
}

interface OpenProducerOptions {
  readonly timeoutMs?: number;
  readonly replicas?: number;
  /** In force now. Default: those of the configuration. */
  readonly limits?: () => Config['message'];
}

export async function openProducer(
  { redis, message, retention, tracing, encryption }: Config,
  { timeoutMs = redisTimeoutMs, replicas = 0, limits = () => message }: OpenProducerOptions = {},
): Promise<Submitter> {
  const { createSubmitter } = await import('../producer/producer.ts');
  const acknowledge = replicas === 0 ? {} : { acknowledge: { replicas } };
  const retentionMs = retention.ledgerMs;
  return createSubmitter({ redis, limits, timeoutMs, retentionMs, tracing, encryption, ...acknowledge });
}

export async function openOperator({ redis, message, index, encryption }: Config): Promise<Operator> {
  const admin = await import('../admin/operator.ts');
  return admin.openOperator({ redis, timeoutMs: redisTimeoutMs, limits: message, index, encryption });
}

/** The connector of that id, or a UsageError that names the one that was probably meant. */
export function requireConnector({ connectors }: Config, id: string): ConnectorConfig {
  const found = connectors.find((connector) => connector.id === id);
  if (found !== undefined) return found;
  const ids = connectors.map((connector) => connector.id);
  const near = nearest(id, ids);
  const hint = near === null ? `The configured ones: ${ids.join(', ') || 'none'}.` : `Did you mean ${near}?`;
  throw new UsageError(`there is no connector "${printable(id, 130)}". ${hint}`);
}

/** The database of the configuration, or a UsageError. */
export function requireDatabase(database: DatabaseSettings | null): DatabaseSettings {
  if (database !== null) return database;
  throw new UsageError('there is no database: set POSTLANE_DATABASE_URL, or `outbox.url` in the configuration');
}
