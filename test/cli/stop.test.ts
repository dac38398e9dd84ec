/** A stop that comes at a bad moment. */
import { expect, test } from 'vitest';
import { createRecordingTransport } from '../../src/transport/recording.ts';
import { createWorker } from '../../src/worker/worker.ts';
import { configOf } from '../support/postlane.ts';
import { redisUrl, testPrefix } from '../support/redis.ts';

function workerOf(): ReturnType<typeof createWorker> {
  return createWorker({
    redis: { url: redisUrl(), prefix: testPrefix() },
    config: configOf({ relay: {} }, { worker: { slots: 5, drainMs: 600_000 } }),
    createTransport: () => createRecordingTransport(),
    listeners: [],
    name: 'w1',
    timing: { maintenanceMs: 600_000 },
  });
}

// What it would wait for, the next sweep or the end of the drain time, is ten minutes away.
test('a stop during the first round of maintenance does not wait for the next one', async () => {
  const worker = workerOf();
  await worker.start();
  expect(await worker.stop()).toBe(true);
});

test('a stop during the start ends both, and leaves no connection open', async () => {
  const worker = workerOf();
  const started = worker.start().catch(() => 'rejected');
  expect(await worker.stop()).toBe(true);
  expect([undefined, 'rejected']).toContain(await started);
});
