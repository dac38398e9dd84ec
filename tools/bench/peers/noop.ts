/** BullMQ alone: a worker that does nothing with its jobs. No product that keeps mail in BullMQ can be faster. */
import { Worker } from 'bullmq';
import { answer, settingsOf } from '../program.ts';

const { redisUrl, queue } = await settingsOf<{ redisUrl: string; queue: string }>();
let concurrency = 50;

answer({
  tune(value) {
    concurrency = value;
    return {};
  },
  /** Works until that many jobs are done. */
  async run(count) {
    let done = 0;
    let firstAt = 0;
    const finished = Promise.withResolvers<void>();
    const worker = new Worker(queue, async () => undefined, {
      connection: { url: redisUrl, maxRetriesPerRequest: null },
      concurrency,
    });
    worker
      .on('error', () => undefined)
      .on('completed', () => {
        done += 1;
        if (done === 1) firstAt = performance.now();
        if (done === count) finished.resolve();
      });
    await finished.promise;
    const ms = performance.now() - firstAt;
    await worker.close();
    return { messages: count - 1, ms };
  },
});
