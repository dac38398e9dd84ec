/**
 * Hosts of a connector that could not be used: all workers leave them out for a minute, so that not each of them waits for a server that
 * is away. Then one worker of all tries, and the others go on leaving it out until that one has told how it went, or for another minute.
 */
import { settlesWithin } from '../../async/timeout.ts';
import { luaNow, run, script } from '../lua/script.ts';
import type { RedisClient } from '../redis/connection.ts';
import type { Shards } from '../redis/shards.ts';

/** `probe`: the caller is the one that tries it. `probed`: another one does. */
type Standing = 'free' | 'probe' | 'probed' | 'away';

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
/** Opening a session does not wait longer for Redis, and then does not ask it for a time: it may have ten hosts to ask for. */
const askMs = 2_000;
const quietMs = 10_000;

/**
 * → `free`, `probe`, `probed` or `away`. The one that is told to probe has renewed the mark by it; half a millisecond tells such a mark
 * from that of a failure.
 * @lua
 */
export const askHostScript = script(
  { keys: ['hosts'], args: ['name', 'awayMs'], allowOom: true },
  /* lua */ `local till = redis.call('ZSCORE', hosts, name)
if not till then return 'free' end
${luaNow}
if tonumber(till) >= now then return tonumber(till) % 1 > 0 and 'probed' or 'away' end
redis.call('ZADD', hosts, string.format('%.0f', now + awayMs) .. '.5', name)
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
  let quietUntil = 0;
  const bounded = async (call: () => Promise<unknown>): Promise<void> => {
    if (performance.now() < quietUntil) return;
    if (!(await settlesWithin(call(), askMs))) quietUntil = performance.now() + quietMs;
  };
  return {
    async ask(name) {
      let standing: Standing = 'free';
      await bounded(async () => {
        standing = (await run(redis, askHostScript, { keys, args: { name, awayMs } })) as Standing;
      });
      return standing;
    },
    failed: (name) => bounded(() => run(redis, hostFailedScript, { keys, args: { name, awayMs } })),
    works: (name) => bounded(() => redis.zrem(keys.hosts, name)),
  };
}
