/**
 * Enqueues a message with BullMQ alone: everything that a producer in any language needs to know about Postlane.
 *
 *   prefix {postlane} · queue `outbound` · job name `message` · data {"v":1,"message":{…}} · job id = message id
 *
 *   REDIS_URL=redis://127.0.0.1:6379 node examples/foreign-producer.mjs you@example.net
 *
 * The form of the message is schema/message.schema.json. Nothing is validated here, so a mistake shows later, as a dead letter
 * `invalid-message` (`postlane dead list`).
 */
import { randomUUID } from 'node:crypto';
import { Queue } from 'bullmq';

const [to = 'you@example.net'] = process.argv.slice(2);
const outbound = new Queue('outbound', {
  connection: { url: process.env.REDIS_URL ?? 'redis://127.0.0.1:6379' },
  prefix: process.env.POSTLANE_PREFIX ?? '{postlane}',
});

// The id is an idempotency key: letters, digits, _ and -, but not a number.
const id = process.env.MESSAGE_ID ?? randomUUID();
const message = { from: 'sales@example.com', to: [to], subject: 'Hello', text: 'Sent by a foreign producer.' };

try {
  // A finished job must not stay: the ledger keeps the result.
  await outbound.add('message', { v: 1, message }, { jobId: id, removeOnComplete: true });
  console.log(id);
} finally {
  await outbound.close();
}
