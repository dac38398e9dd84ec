/**
 * Three projects: rooms (mirrors the source, with real Redis and real sockets), fault (one file per fault), and sealed, which runs some of
 * both once more with sealed bodies. `npm run test:encryption` does that with all.
 */
import { defineConfig } from 'vitest/config';

// Only a test that hangs meets these: a busy machine may be ten times slower than an idle one. Waits for a condition end
// earlier, and say what did not happen (testkit/until.ts).
const shared = { setupFiles: ['test/support/leaks.ts'], testTimeout: 180_000, hookTimeout: 120_000 };

// Promises that are proved by kills: at each step, at random moments, and where an attempt has no result.
const sealedFiles = ['each-step', 'random-kills', 'worker-killed'].map((name) => `test/fault/${name}.test.ts`);
const sealed = { test: { ...shared, name: 'sealed', env: { TEST_ENCRYPTION: '1' }, include: sealedFiles } };

export default defineConfig({
  test: {
    maxWorkers: 2,
    // Of the run, not of a project: one private Redis for both.
    globalSetup: ['test/support/global-setup.ts'],
    projects: [
      // Mirrors src/, testkit/ and tools/; system/ has what needs the whole product.
      {
        test: {
          ...shared,
          name: 'rooms',
          include: ['test/**/*.test.ts'],
          exclude: ['test/fault/**', 'test/compat/**'],
        },
      },
      { test: { ...shared, name: 'fault', include: ['test/fault/**/*.test.ts'] } },
      // With sealed bodies all are.
      ...(process.env.TEST_ENCRYPTION === '1' ? [] : [sealed]),
    ],
  },
});
