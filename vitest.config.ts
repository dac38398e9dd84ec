/** Three projects: unit (no network), integration (real Redis, real sockets), fault (one file per fault). */
import { defineConfig } from 'vitest/config';

const shared = { setupFiles: ['test/support/leaks.ts'], testTimeout: 30_000, hookTimeout: 30_000 };

export default defineConfig({
  test: {
    maxWorkers: 2,
    // Of the run, not of a project: one private Redis for all three.
    globalSetup: ['test/support/global-setup.ts'],
    projects: [
      {
        test: {
          ...shared,
          name: 'unit',
          include: ['test/{message,routing,transport,queue,producer,worker,config,cli,bench,project}/**/*.test.ts'],
          testTimeout: 20_000,
        },
      },
      { test: { ...shared, name: 'integration', include: ['test/{integration,contract}/**/*.test.ts'] } },
      { test: { ...shared, name: 'fault', include: ['test/fault/**/*.test.ts'], testTimeout: 60_000 } },
    ],
  },
});
