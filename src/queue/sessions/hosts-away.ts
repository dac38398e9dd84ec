/**
 * Hosts of a connector that could not be used: all workers leave them out for a minute, so that not each of them waits for a server that
 * is away. Then one worker of all tries, and the others go on leaving it out until that one has told how it went, or for another minute.
 */
import { settlesWithin } from '../../async/timeout.ts';
import { luaNow, run, script } from '../lua/script.ts';
import type { RedisClient } from '../redis/connection.ts';
import type { Shards } from '../redis/shards.ts';

/** `probe`: the caller is the one that tries it. */
type Standing = 'free' | 'probe' | 'away';

export interface HostsAway {
  /** Asked right before a host is tried. Never rejects: while Redis is away, each host is free. */
  ask(name: string): Promise<Standing>;
  /** It could not be used. Never rejects. */
  failed(name: string): Promise<void>;
  /** It can be used again. Never rejects. */
  works(name: string): Promise<void>;
}

/** A worker that dies while it tries a host, or waits long for its greeting, is followed by another one after this time as well. */
const awayDefaultMs = 60_000;
/** A mark outlives its minute: without it, all workers would try at once. A host that is no longer configured is forgotten after a day. */
const keepMs = 24 * 3_600_000;
/** Opening a session does not wait longer for Redis. */
const askMs = 2_000;

/**
 * → `free`, `probe` or `away`. The one that is told to probe has renewed the mark by it.
 * @lua
 */
export const askHostScript = script(
  { keys: ['hosts'], args: ['name', 'awayMs'], allowOom: true },
  /* lua */ `local till = redis.call('ZSCORE', hosts, name)
if not till then return 'free' end
${luaNow}
if tonumber(till) >= now then return 'away' end
redis.call('ZADD', hosts, string.format('%.0f', now + awayMs), name)
redis.call('PEXPIRE', hosts, ${keepMs})
return 'probe'
`,
);

/**
 * A host could not be used.
 * @lua
 */
export const hostFailedScript = script(
  { keys: ['hosts'], args: ['name', 'awayMs'], allowOom: true },
  /* lua */ `${luaNow}
redis.call('ZREMRANGEBYSCORE', hosts, '-inf', string.format('%.0f', now - ${keepMs}))
redis.call('ZADD', hosts, string.format('%.0f', now + awayMs), name)
redis.call('PEXPIRE', hosts, ${keepMs})
return 0
`,
);

/** `awayMs`: how long a host is left out. */
export function createHostsAway(
  redis: RedisClient,
  shards: Shards,
  connectorId: string,
  awayMs = awayDefaultMs,
): HostsAway {
  const keys = { hosts: shards.keysOf(connectorId).hostsAway(connectorId) };
  return {
    async ask(name) {
      let standing: Standing = 'free';
      const asked = run(redis, askHostScript, { keys, args: { name, awayMs } });
      const kept = asked.then((answer) => (standing = answer as Standing));
      await settlesWithin(kept, askMs);
      return standing;
    },
    async failed(name) {
      await settlesWithin(run(redis, hostFailedScript, { keys, args: { name, awayMs } }), askMs);
    },
    async works(name) {
      await settlesWithin(redis.zrem(keys.hosts, name), askMs);
    },
  };
}
