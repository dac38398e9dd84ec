/** The worker of the tutorials: one BullMQ queue, a pooled nodemailer, `sendMail` in the processor. No routing, no ledger. */
import { Worker } from 'bullmq';
import { createTransport } from 'nodemailer';
import type { BenchMail } from '../mail.ts';
import { answer, settingsOf } from '../program.ts';

const { port, redisUrl, queue } = await settingsOf<{ port: number; redisUrl: string; queue: string }>();
let concurrency = 20;
let close: () => Promise<void> = async () => undefined;

answer({
  tune(value) {
    concurrency = value;
    return {};
  },
  start() {
    const transport = createTransport({
      pool: true,
      host: '127.0.0.1',
      port,
      ignoreTLS: true,
      maxConnections: concurrency,
      maxMessages: Number.POSITIVE_INFINITY,
    });
    const worker = new Worker<BenchMail>(queue, (job) => transport.sendMail(job.data), {
      connection: { url: redisUrl, maxRetriesPerRequest: null },
      concurrency,
    });
    worker.on('error', () => undefined);
    close = async () => {
      await worker.close();
      transport.close();
    };
    return {};
  },
  async stop() {
    await close();
    return {};
  },
});
