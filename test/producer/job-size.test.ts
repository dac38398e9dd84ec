/** What a producer accepts, a worker takes: the bound on jobs is checked before a message is enqueued. */
import { expect, test } from 'vitest';
import { maxDataBytesOf } from '../../src/queue/jobs.ts';
import { defaultMessageLimits } from '../../src/message/message.ts';
import { configOf, startWorker, testProducer } from '../support/postlane.ts';
import { testPrefix } from '../support/redis.ts';

const message = { from: 'x@example.com', to: 'a@example.net' };

test('a text that JSON makes larger than a job may be is refused by `send`, and one that fits is sent', async () => {
  const limits = { ...defaultMessageLimits, maxBytes: 8_000_000 };
  const prefix = testPrefix();
  const producer = testProducer(prefix, { message: limits });
  // Within `maxSize` as mail. A control character is six bytes in JSON, and a quotation mark two.
  const length = 5_700_000;
  expect(length * 6).toBeGreaterThan(maxDataBytesOf(limits, false));
  await expect(producer.send({ ...message, text: '\u0001'.repeat(length) })).rejects.toMatchObject({
    code: 'message-invalid',
    message: expect.stringContaining('in the queue') as string,
    issues: [{ field: '', rule: 'too-large' }],
  });
  const { id } = await producer.send({ ...message, text: '"'.repeat(length) });
  await startWorker({ prefix, config: configOf({ relay: {} }, { message: limits }) });
  expect(await producer.waitFor(id)).toMatchObject({ state: 'sent' });
});
