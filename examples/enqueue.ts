/**
 * Enqueues one message from TypeScript and waits until a worker has sent it.
 *
 *   REDIS_URL=redis://127.0.0.1:6379 node examples/enqueue.ts you@example.net
 *
 * In an application of your own: import { createProducer, PostlaneError } from 'postlane';
 */
import { setTimeout as pause } from 'node:timers/promises';
import { createProducer, PostlaneError } from '../src/index.ts';

const [to = 'you@example.net'] = process.argv.slice(2);
const prefix = process.env.POSTLANE_PREFIX ?? '{postlane}';
const producer = createProducer({ redis: { url: process.env.REDIS_URL ?? 'redis://127.0.0.1:6379', prefix } });

try {
  const { id, duplicate } = await producer.send({
    // Your own id is an idempotency key: calling again after a doubtful answer never sends twice.
    id: `welcome-${Date.now()}`,
    from: 'Sales <sales@example.com>',
    to,
    subject: 'Welcome',
    text: 'Good to have you here.',
    html: '<p>Good to have you <b>here</b>.</p>',
    attachments: [{ filename: 'terms.txt', content: 'Be kind.' }],
  });
  console.log(`enqueued ${id}${duplicate ? ' (it had been already)' : ''}`);

  // An application would go on here; sending is a worker's work.
  const end = Date.now() + 30_000;
  let status = await producer.status(id);
  while (!['sent', 'partial', 'dead', 'cancelled'].includes(status?.state ?? '') && Date.now() < end) {
    await pause(100);
    status = await producer.status(id);
  }
  console.log(`${id} is ${status?.state ?? 'unknown'}`);
  process.exitCode = status?.state === 'sent' ? 0 : 1;
} catch (error) {
  if (!(error instanceof PostlaneError)) throw error;
  // `message-invalid` names each field; after `redis-unavailable` call again with the id that the error carries.
  console.error(error.code, error.message, error.id ?? '');
  process.exitCode = 1;
} finally {
  await producer.close();
}
