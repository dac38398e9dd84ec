/** What Redis is set to that can lose mail, in words for the operator who starts a worker. Every server that takes writes is asked. */
import { Cluster, type Redis } from 'ioredis';
import { mastersOf, type RedisClient } from './connection.ts';

export interface DurabilityWarning {
  readonly setting: string;
  readonly detail: string;
}

/** One warning per setting, however many servers have it; of several servers it names those that do. */
export async function durabilityWarnings(redis: RedisClient): Promise<DurabilityWarning[]> {
  const masters = mastersOf(redis);
  const found = await Promise.all(
    masters.map(async (master) => ({ at: nameOf(master), warnings: await warningsOf(master, replicated(redis)) })),
  );
  const places = new Map<string, { warning: DurabilityWarning; at: string[] }>();
  for (const { at, warnings } of found) {
    for (const warning of warnings) {
      const known = places.get(warning.setting) ?? { warning, at: [] };
      places.set(warning.setting, { ...known, at: [...known.at, at] });
    }
  }
  return [...places.values()].map(({ warning, at }) =>
    masters.length === 1 ? warning : { ...warning, detail: `${warning.detail} (${at.join(', ')})` },
  );
}

async function warningsOf(master: Redis, failsOver: boolean): Promise<DurabilityWarning[]> {
  const info = await master.info().catch(() => null);
  if (info === null) {
    const detail = 'INFO is not allowed: see to it that appendonly is yes and maxmemory-policy is noeviction.';
    return [{ setting: 'config', detail }];
  }
  const warnings: DurabilityWarning[] = [];
  const warn = (setting: string, detail: string): void => void warnings.push({ setting, detail });
  if (fieldOf(info, 'aof_enabled') !== '1') {
    warn('appendonly', 'appendonly is off: a restart of Redis loses messages that were accepted. Set appendonly yes.');
  } else {
    const fsync = await appendFsync(master);
    if (fsync === 'no') {
      warn('appendfsync', 'appendfsync is no: a crash of the host loses up to half a minute. Set everysec or always.');
    }
    if (fsync === 'hidden') {
      warn('config', 'CONFIG GET is not allowed: see to it that appendfsync is everysec or always.');
    }
  }
  const policy = fieldOf(info, 'maxmemory_policy');
  if (policy !== null && policy !== 'noeviction') {
    const detail = `maxmemory-policy is ${policy}: under memory pressure Redis throws messages or locks away. Set noeviction.`;
    warn('maxmemory-policy', detail);
  }
  // Told only where min-replicas-to-write is above 0.
  if (failsOver && fieldOf(info, 'min_slaves_good_slaves') === null) {
    const detail =
      'min-replicas-to-write is 0: a master that is cut off accepts messages which the failover loses. Set it to 1.';
    warn('min-replicas-to-write', detail);
  }
  return warnings;
}

/** Managed services forbid CONFIG. A user of an ACL is not even asked: each refusal would stand in the ACL LOG. */
async function appendFsync(master: Redis): Promise<string> {
  const user = await master.acl('WHOAMI').catch(() => 'default');
  if (user !== 'default') return 'unknown';
  try {
    const [, value] = await master.config('GET', 'appendfsync');
    return value ?? 'unknown';
  } catch {
    return 'hidden';
  }
}

function fieldOf(info: string, name: string): string | null {
  return new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1] ?? null;
}

function replicated(redis: RedisClient): boolean {
  return redis instanceof Cluster || (redis.options.sentinels ?? null) !== null;
}

function nameOf({ options: { host, port } }: Redis): string {
  return `${host}:${port}`;
}
