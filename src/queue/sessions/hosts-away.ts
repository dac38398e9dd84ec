/** Hosts of a connector that could not be used: all workers leave them out for a minute, so that not each of them waits for a server that is away. */
import { settlesWithin } from '../../async/timeout.ts';
import { luaNow, run, script } from '../lua/script.ts';
import type { RedisClient } from '../redis/connection.ts';
import type { Shards } from '../redis/shards.ts';

export interface HostsAway {
  /** Names of those that could not be used a short time ago. Never rejects: while Redis is away, none is known. */
  away(): Promise<ReadonlySet<string>>;
  /** Never rejects. */
  failed(name: string): Promise<void>;
}

const awayMs = 60_000;
/** Opening a session does not wait longer for Redis. */
const askMs = 2_000;

/**
 * → names of the hosts that are left out.
 * @lua
 */
export const hostsAwayScript = script(
  { keys: ['hosts'], allowOom: true },
  /* lua */ `${luaNow}
return redis.call('ZRANGEBYSCORE', hosts, '(' .. string.format('%.0f', now), '+inf')
`,
);

/**
 * A host could not be used.
 * @lua
 */
export const hostFailedScript = script(
  { keys: ['hosts'], args: ['name'], allowOom: true },
  /* lua */ `${luaNow}
redis.call('ZREMRANGEBYSCORE', hosts, '-inf', string.format('%.0f', now))
redis.call('ZADD', hosts, string.format('%.0f', now + ${awayMs}), name)
redis.call('PEXPIRE', hosts, ${awayMs})
return 0
`,
);

export function createHostsAway(redis: RedisClient, shards: Shards, connectorId: string): HostsAway {
  const keys = { hosts: shards.keysOf(connectorId).hostsAway(connectorId) };
  return {
    async away() {
      let names: ReadonlySet<string> = new Set();
      const asked = run(redis, hostsAwayScript, { keys }).then((found) => (names = new Set(found as string[])));
      await settlesWithin(asked, askMs);
      return names;
    },
    async failed(name) {
      await settlesWithin(run(redis, hostFailedScript, { keys, args: { name } }), askMs);
    },
  };
}
