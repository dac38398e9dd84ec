/** What Redis is set to that can lose mail, in words for whoever starts a worker. */
import type { Redis } from 'ioredis';

export interface DurabilityWarning {
  readonly setting: string;
  readonly detail: string;
}

/** Reads the settings. Managed services forbid CONFIG: then the one warning says that nothing could be read. */
export async function durabilityWarnings(redis: Redis): Promise<DurabilityWarning[]> {
  const get = async (name: string): Promise<string> => {
    const [, value] = await redis.config('GET', name);
    return value ?? '';
  };
  try {
    const [appendonly, appendfsync, policy] = await Promise.all([
      get('appendonly'),
      get('appendfsync'),
      get('maxmemory-policy'),
    ]);
    const warnings: DurabilityWarning[] = [];
    if (appendonly !== 'yes') {
      const detail = 'appendonly is off: a restart of Redis loses messages that were accepted. Set appendonly yes.';
      warnings.push({ setting: 'appendonly', detail });
    } else if (appendfsync === 'no') {
      const detail = 'appendfsync is no: a crash of the host loses up to half a minute. Set everysec or always.';
      warnings.push({ setting: 'appendfsync', detail });
    }
    if (policy !== 'noeviction') {
      const detail = `maxmemory-policy is ${policy}: under memory pressure Redis throws messages or locks away. Set noeviction.`;
      warnings.push({ setting: 'maxmemory-policy', detail });
    }
    return warnings;
  } catch {
    const detail = 'CONFIG GET is not allowed: see to it that appendonly is yes and maxmemory-policy is noeviction.';
    return [{ setting: 'config', detail }];
  }
}
