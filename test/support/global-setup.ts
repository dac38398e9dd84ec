/** Owns the Redis of a test run: the one of REDIS_URL, or one private server for all test files, stopped at the end. */
import type { TestProject } from 'vitest/node';
import { startPrivateRedis } from '../../testkit/redis.ts';
import { countBodies, testKeyName } from './sealed-bodies.ts';

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
  // All that was ever written is in the file until it is rewritten.
  const redis = await startPrivateRedis({ settings: ['--auto-aof-rewrite-percentage', '0'] });
  project.provide('redisUrl', redis.url);
  return async () => {
    try {
      const files = project.vitest.state.getFiles();
      const allSealed = process.env.TEST_ENCRYPTION === '1';
      if (allSealed || files.some(({ projectName }) => projectName === 'sealed')) await expectSealed(redis.dir);
    } finally {
      await redis.stop();
    }
  };
}

/** Tests that pass with TEST_ENCRYPTION=1 say something only if what they wrote was sealed, but for what is plain on purpose. */
async function expectSealed(dir: string): Promise<void> {
  const { sealed, plain } = await countBodies(dir, testKeyName);
  console.log(`Bodies in the append-only file of this run: ${sealed} sealed with the key of tests, ${plain} plain.`);
  if (sealed === 0 && plain > 0) {
    throw new Error('TEST_ENCRYPTION=1, but bodies were not sealed: the switch does not reach what writes them');
  }
}
