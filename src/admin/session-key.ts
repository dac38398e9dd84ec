/** The key with which sessions of the dashboard are signed: one for all processes, made by the first that needs it. */
import { randomBytes } from 'node:crypto';
import { PostlaneError } from '../errors.ts';
import { write } from '../queue/lua/script.ts';
import type { RedisClient } from '../queue/redis/connection.ts';
import type { HomeKeys } from '../queue/redis/keys.ts';

const keyBytes = 32;

/** It is kept in Redis, so that a session holds over restarts and over all processes that serve. */
export async function readSessionKey(
  redis: RedisClient,
  { sessionKey }: Pick<HomeKeys, 'sessionKey'>,
): Promise<Buffer> {
  const known = await redis.get(sessionKey);
  if (known === null) await write(redis, 'SET', sessionKey, randomBytes(keyBytes).toString('base64url'), 'NX');
  const text = known ?? (await redis.get(sessionKey)) ?? '';
  // A key of another program is known to it, and would let it in.
  if (!/^[\w-]{43}$/.test(text))
    throw new PostlaneError('redis-refused', 'the key of sessions in Redis is none of ours');
  return Buffer.from(text, 'base64url');
}
