/** Owns what a test needs of the run's shared Redis: a key prefix of its own, and connections that end with the test. */
import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import type { RedisOptions } from 'ioredis';
import { inject, onTestFinished } from 'vitest';
import { testKeyName } from './sealed-bodies.ts';

/** The Redis of this run. Shared by all test files: never flush it, never count its keys. */
export function redisUrl(): string {
  return inject('redisUrl');
}

/** TEST_SHARDS runs the tests over so many shards; those that look into keys themselves are only for one. */
export function shardCount(): number {
  return Number(process.env.TEST_SHARDS ?? 1);
}

/** TEST_ENCRYPTION=1 runs the tests with bodies that are sealed; those that are about the plain form are skipped. */
export function testEncryption(): { readonly active: string; readonly keys: Readonly<Record<string, string>> } | null {
  if (process.env.TEST_ENCRYPTION !== '1') return null;
  return { active: testKeyName, keys: { [testKeyName]: Buffer.alloc(32, 'test-encryption').toString('base64') } };
}

/** For tests that are about the plain form, or about what a row has of metadata: test/worker/encryption.test.ts has the other side. */
export function isSealed(): boolean {
  return testEncryption() !== null;
}

/** The same as a section of a configuration file. */
export function encryptionLines(): readonly string[] {
  const encryption = testEncryption();
  return encryption === null ? [] : [`encryption: ${JSON.stringify(encryption)}`];
}

/**
 * A key prefix that no other test uses, as a hash tag, so that all keys share a slot. Its keys are deleted when the test
 * has passed and kept when it has failed. To be called in a test or in `beforeEach`.
 */
export function testPrefix(): string {
  const prefix = `{t-${randomBytes(6).toString('hex')}}`;
  onTestFinished(async ({ task }) => {
    if (task.result?.state === 'fail') return;
    await withConnection((redis) => deleteKeys(redis, prefix));
  });
  return prefix;
}

/** A connection that is closed when the test ends, passed or not. To be called in a test or in `beforeEach`. */
export function testConnection(options: Omit<RedisOptions, 'replyMapping'> = {}): Redis {
  // BullMQ's workers refuse a connection without `maxRetriesPerRequest: null`.
  const redis = new Redis(redisUrl(), { connectionName: 'postlane-test', maxRetriesPerRequest: null, ...options });
  // A test that stops its Redis makes this connection fail; what it asks of it then fails the test, not this event.
  redis.on('error', () => {});
  onTestFinished(() => redis.disconnect());
  return redis;
}

async function withConnection<Result>(use: (redis: Redis) => Promise<Result>): Promise<Result> {
  const redis = new Redis(redisUrl(), { connectionName: 'postlane-test-cleanup' });
  try {
    return await use(redis);
  } finally {
    redis.disconnect();
  }
}

/** By SCAN, a thousand at a time: REDIS_URL may be a server with other people's keys in it. */
async function deleteKeys(redis: Redis, prefix: string): Promise<void> {
  for await (const keys of redis.scanStream({ match: `${prefix.slice(0, -1)}*`, count: 1_000 })) {
    const found = keys as string[];
    if (found.length > 0) await redis.unlink(...found);
  }
}
