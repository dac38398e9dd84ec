/** Names that are taken once for a while: who comes first leaves a value, and all others read it. */
import type { RedisClient } from './redis/connection.ts';
import type { HomeKeys } from './redis/keys.ts';

/** Takes a key of a caller, by its hash, for `forMs`. → the value that stands: `value` itself if the key was free. */
export type ClaimKey = (hash: string, value: string, forMs: number) => Promise<string>;

export function createClaims(redis: RedisClient, keys: HomeKeys): ClaimKey {
  return async (hash, value, forMs) =>
    (await redis.set(keys.idempotency(hash), value, 'PX', forMs, 'NX', 'GET')) ?? value;
}
