/** Two projects: rooms (mirrors the source, with real Redis and real sockets), fault (one file per fault). */
import { defineConfig } from 'vitest/config';

// Only a test that hangs meets these: a busy machine may be ten times slower than an idle one. Waits for a condition end
// earlier, and say what did not happen (testkit/until.ts).
const shared = { setupFiles: ['test/support/leaks.ts'], testTimeout: 180_000, hookTimeout: 120_000 };

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
    ],
  },
});
