/** Enqueues as fast as possible, through Postlane's producer or through BullMQ with the same payload. */
import { Queue } from 'bullmq';
import { createProducer, type EncryptionKeys } from '../../src/index.ts';
import { mailsOf } from './mail.ts';
import { answer, settingsOf } from './program.ts';

export type EnqueueWay = 'send' | 'sendMany' | 'add' | 'addBulk';

/** Callers at once, and messages in one call of the bulk kinds. */
const callers = 50;
const bulk = 500;

const { way, redisUrl, encryption } = await settingsOf<{
  way: EnqueueWay;
  redisUrl: string;
  encryption: EncryptionKeys | null;
}>();
const enqueue = enqueuerOf(way);

answer({
  async run(count) {
    const calls = enqueue(count).values();
    const startedAt = performance.now();
    const caller = async (): Promise<void> => {
      for (const call of calls) await call();
    };
    await Promise.all(Array.from({ length: way === 'send' || way === 'add' ? callers : 1 }, caller));
    return { messages: count, ms: performance.now() - startedAt };
  },
});

/** → the calls that enqueue so many; their arguments are made before the clock runs. */
function enqueuerOf(way: EnqueueWay): (count: number) => (() => Promise<unknown>)[] {
  if (way === 'send' || way === 'sendMany') {
    const producer = createProducer({ redis: { url: redisUrl }, encryption });
    if (way === 'send') return (count) => mailsOf(count).map((mail) => () => producer.send(mail));
    return (count) =>
      chunks(mailsOf(count)).map((mails) => async () => {
        const failed = (await producer.sendMany(mails)).find(({ ok }) => !ok);
        if (failed !== undefined) throw new Error('sendMany refused a message');
      });
  }
  const queue = new Queue('outbound', { connection: { url: redisUrl }, prefix: '{plain}' });
  queue.on('error', () => undefined);
  const jobs = (count: number): { name: string; data: object }[] =>
    mailsOf(count).map((message) => ({ name: 'message', data: { v: 1, message } }));
  if (way === 'add')
    return (count) =>
      jobs(count).map(
        ({ name, data }) =>
          () =>
            queue.add(name, data),
      );
  return (count) => chunks(jobs(count)).map((some) => () => queue.addBulk(some));
}

function chunks<Item>(items: readonly Item[]): Item[][] {
  const found: Item[][] = [];
  for (let start = 0; start < items.length; start += bulk) found.push(items.slice(start, start + bulk));
  return found;
}
