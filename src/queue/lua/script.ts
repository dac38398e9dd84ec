/** Lua scripts in Redis: defined once as text, called by hash, loaded on demand. */
import { createHash } from 'node:crypto';
import type { RedisClient } from '../redis/connection.ts';

export interface Script {
  readonly lua: string;
  readonly sha: string;
}

/** Redis time in ms as the local `now`: the clocks of workers may differ, that of Redis is one. */
export const luaNow = `local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
`;

export function script(lua: string): Script {
  return { lua, sha: createHash('sha1').update(lua).digest('hex') };
}

/** Runs a script. A restarted Redis has forgotten it (NOSCRIPT): then its text is sent, which loads it again. */
export async function run(
  redis: RedisClient,
  { lua, sha }: Script,
  keys: readonly string[],
  args: readonly (string | number | Buffer)[],
): Promise<unknown> {
  try {
    return await redis.evalsha(sha, keys.length, ...keys, ...args);
  } catch (error) {
    if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
    return redis.eval(lua, keys.length, ...keys, ...args);
  }
}
