/**
 * Enqueues one message from TypeScript and waits until a worker has sent it.
 *
 *   REDIS_URL=redis://127.0.0.1:6379 node examples/enqueue.ts you@example.net
 *
 * In your own application: import { createProducer, PostlaneError } from 'postlane';
 */
import { createProducer, PostlaneError } from '../src/index.ts';

const [to = 'you@example.net'] = process.argv.slice(2);
const prefix = process.env.POSTLANE_PREFIX ?? '{postlane}';
const producer = createProducer({ redis: { url: process.env.REDIS_URL ?? 'redis://127.0.0.1:6379', prefix } });

try {
  const { id, duplicate } = await producer.send({
    // Your own id is an idempotency key: calling again with it never sends the message twice.
    id: `welcome-${Date.now()}`,
    from: 'Sales <sales@example.com>',
    to,
    subject: 'Welcome',
    text: 'Good to have you here.',
    html: '<p>Good to have you <b>here</b>.</p>',
    attachments: [{ filename: 'terms.txt', content: 'Be kind.' }],
  });
  console.log(`enqueued ${id}${duplicate ? ' (it was enqueued before)' : ''}`);

  // An application would continue here: a worker sends the message. This example waits for it.
  const { state } = await producer.waitFor(id, { timeoutMs: 30_000 });
  console.log(`${id} is ${state}`);
  process.exitCode = state === 'sent' ? 0 : 1;
} catch (error) {
  if (!(error instanceof PostlaneError)) throw error;
  // `message-invalid` names each field. After `redis-unavailable`, call again with the error's id.
  console.error(error.code, error.message, error.id ?? '');
  process.exitCode = 1;
} finally {
  await producer.close();
}
