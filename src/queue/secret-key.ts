/** Keys that sign what comes back from outside: each is made by the first process that needs it, and is the same for all. */
import { randomBytes } from 'node:crypto';
import { PostlaneError } from '../errors.ts';
import { write } from './lua/script.ts';
import type { RedisClient } from './redis/connection.ts';

const keyBytes = 32;

/** It is kept in Redis, so that what is signed holds over restarts and over all processes. `what`: for the text of an error. */
export async function readSecretKey(redis: RedisClient, key: string, what: string): Promise<Buffer> {
  const known = await redis.get(key);
  if (known === null) await write(redis, 'SET', key, randomBytes(keyBytes).toString('base64url'), 'NX');
  const text = known ?? (await redis.get(key)) ?? '';
  // A key of another program is known to it, and would let it in.
  if (!/^[\w-]{43}$/.test(text))
    throw new PostlaneError('redis-refused', `the key of ${what} in Redis is none of ours`);
  return Buffer.from(text, 'base64url');
}

/** Reads once, and again after a failure. */
export function readOnce(read: () => Promise<Buffer>): () => Promise<Buffer> {
  let known: Promise<Buffer> | null = null;
  return () => {
    known ??= read().catch((thrown: unknown) => {
      known = null;
      throw thrown;
    });
    return known;
  };
}
