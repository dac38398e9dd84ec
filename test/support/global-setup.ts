/** Owns the Redis of a test run: the one of REDIS_URL, or one private server for all test files, stopped at the end. */
import type { TestProject } from 'vitest/node';
import { startPrivateRedis } from '../../testkit/redis.ts';

declare module 'vitest' {
  interface ProvidedContext {
    redisUrl: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const given = process.env.REDIS_URL;
  if (given !== undefined && given !== '') {
    project.provide('redisUrl', given);
    return async () => {};
  }
  const redis = await startPrivateRedis();
  project.provide('redisUrl', redis.url);
  return () => redis.stop();
}
