/** The sweep of deadlines by itself, at a time of the test's choice. */
import { testConnection } from './redis.ts';
import { openQueues } from '../../src/queue/open.ts';
import { enforceDeadlines } from '../../src/worker/maintenance/deadlines.ts';
import type { MaintenanceTools } from '../../src/worker/maintenance/tools.ts';

/** Of all that is unsettled, as if its deadline were over. `meanwhile`: after it has read a row, and before it looks for the job. */
export async function sweep(prefix: string, shards: number, meanwhile?: () => Promise<void>): Promise<void> {
  const redis = testConnection();
  const open = openQueues(redis, { prefix, shards });
  const { keys } = open;
  await enforceDeadlines({
    ...open,
    redis,
    keys,
    now: () => Date.now() + 100 * 86_400_000,
    retentionMs: () => 86_400_000,
    emit: () => undefined,
    jobs: {
      ...open.jobs,
      async job(...asked: Parameters<typeof open.jobs.job>) {
        await meanwhile?.();
        return open.jobs.job(...asked);
      },
    },
  } as unknown as MaintenanceTools);
}
