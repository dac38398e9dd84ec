/** Contents by reference whose sizes lie, finished messages by reference that no inline one may be, and mails that grow beyond the limit. */
import { createHash } from 'node:crypto';
import { Queue } from 'bullmq';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { PostlaneError } from '../../src/errors.ts';
import { createContentStore } from '../../src/queue/ledger/content.ts';
import { intakeName, keysOf } from '../../src/queue/redis/keys.ts';
import { until } from '../../testkit/until.ts';
import { configOf, startWorker, testOperator, testProducer } from '../support/postlane.ts';
import { redisUrl, testConnection, testPrefix } from '../support/redis.ts';

const message = { from: 'shop@example.com', to: 'a@example.net' };
const relay = configOf({ relay: {} });

/** A store with one content, a client that writes what it likes, and a worker. */
async function hostile(content: Buffer, config = relay) {
  const prefix = testPrefix();
  const redis = testConnection();
  const keys = keysOf(prefix);
  const contents = createContentStore(redis, keys);
  const { ref, size } = await contents.put('of-another-message', content);
  const queue = new Queue(intakeName, { prefix, connection: { url: redisUrl() } });
  onTestFinished(() => queue.close());
  const producer = testProducer(prefix);
  const { recorded } = await startWorker({ prefix, config });
  const operator = await testOperator(prefix);
  return {
    redis,
    keys,
    contents,
    producer,
    ref,
    size,
    mails: () => recorded('relay').mails,
    /** The dead letter of a job that a foreign client enqueues. */
    letterOf: async (job: object) => {
      await queue.add(
        'message',
        { v: 1, message: { id: 'hostile', ...job } },
        { jobId: 'hostile', removeOnComplete: true },
      );
      return until(() => operator.deadLetters.get('hostile'), { what: 'the dead letter' });
    },
    sent: async (job: object) => {
      await queue.add(
        'message',
        { v: 1, message: { id: 'sound', ...job } },
        { jobId: 'sound', removeOnComplete: true },
      );
      await until(() => recorded('relay').mails.length === 1, { what: 'the mail' });
      return recorded('relay').mails[0]!.bytes;
    },
  };
}

const many = <T>(count: number, value: T): T[] => Array.from({ length: count }, () => value);

describe('the attack of a size that is too small', () => {
  test('twelve attachments of size 0 that are all one content: send() refuses them field by field', async () => {
    const { producer, ref } = await hostile(Buffer.alloc(70_000));
    const attachments = many(12, { ref, size: 0 });
    const error = (await producer
      .send({ ...message, attachments })
      .catch((thrown: unknown) => thrown)) as PostlaneError;
    expect(error.code).toBe('message-invalid');
    expect(error.issues).toHaveLength(12);
    expect(error.issues[11]).toMatchObject({
      field: 'attachments[11].size',
      rule: 'content-ref',
      message: expect.stringContaining('70000 bytes are stored'),
    });
  });

  test.each([0, 69_999, 70_001])(
    'a foreign job that says %s is a dead letter invalid-message, and nothing is sent',
    async (size) => {
      const { letterOf, mails, ref } = await hostile(Buffer.alloc(70_000));
      expect(await letterOf({ ...message, attachments: [{ ref, size }] })).toMatchObject({
        reason: 'invalid-message',
        reply: expect.stringContaining('70000 bytes are stored'),
      });
      expect(mails()).toEqual([]);
    },
  );

  test.each([0, 5, 10_000_000])('so is a raw message by reference of size %s', async (size) => {
    const { letterOf, mails, ref } = await hostile(
      Buffer.from('From: shop@example.com\r\nTo: a@example.net\r\n\r\nhi\r\n'),
    );
    const letter = await letterOf({ ...message, raw: { ref, size } });
    expect(letter).toMatchObject({ reason: 'invalid-message', reply: expect.stringContaining('raw.size') });
    expect(mails()).toEqual([]);
  });

  test('one content twelve times counts twelve times against the limit', async () => {
    const config = configOf({ relay: {} }, { message: { maxRecipients: 9, maxBytes: 800_000 } });
    const { letterOf, mails, ref, size } = await hostile(Buffer.alloc(70_000), config);
    const letter = await letterOf({ ...message, attachments: many(12, { ref, size }) });
    expect(letter).toMatchObject({ reason: 'invalid-message', reply: expect.stringContaining('the limit is 800000') });
    expect(mails()).toEqual([]);
  });

  test('a job in a lane is not believed either: no more is read than it says, and it is not what the hash says', async () => {
    const { contents, ref } = await hostile(Buffer.alloc(70_000, 'x'));
    for (const size of [0, 10, 69_999]) {
      await expect(contents.read({ ref, size })).rejects.toThrow('not the ones that were stored');
    }
    await expect(contents.read({ ref, size: 70_001 })).rejects.toThrow('shorter than the message says');
    expect(await contents.range({ ref, size: 0 }, 0, 0)).toEqual(Buffer.alloc(0));
    expect((await contents.read({ ref, size: 70_000 })).length).toBe(70_000);
  });

  test('a key that holds no text counts as no content, and the bytes replace it', async () => {
    const { contents, redis, keys } = await hostile(Buffer.from('x'));
    const bytes = Buffer.alloc(70_000, 'y');
    const ref = createHash('sha256').update(bytes).digest('hex');
    await redis.hset(keys.content(ref), 'a', 'b');
    expect(await contents.link('m', [{ ref, size: 70_000 }])).toEqual([{ ref, size: 70_000, storedBytes: null }]);
    await contents.put('m', bytes);
    expect(await contents.link('m', [{ ref, size: 70_000 }])).toEqual([]);
    await redis.set(keys.content(ref), 'cut');
    await contents.put('m', bytes);
    expect((await contents.read({ ref, size: 70_000 })).equals(bytes)).toBe(true);
  });
});

describe('the attack of a finished message by reference', () => {
  test.each([
    ['two From fields', 'From: shop@example.com\r\nFrom: evil@example.org\r\nTo: a@example.net\r\n\r\nhi\r\n'],
    ['a line that is no field', 'From: shop@example.com\r\nno field\r\nTo: a@example.net\r\n\r\nhi\r\n'],
    ['a NUL in its header', 'From: shop@example.com\r\nX: \0\r\nTo: a@example.net\r\n\r\nhi\r\n'],
    ['a bare CR in its header', 'From: shop@example.com\r\nX: a\rBcc: b@x.y\r\n\r\nhi\r\n'],
    ['no header', '\r\nhi\r\n'],
  ])('with %s: it is refused as it would be inline, and nothing is sent', async (_, raw) => {
    const { letterOf, mails, ref, size } = await hostile(Buffer.from(raw));
    const letter = await letterOf({ ...message, raw: { ref, size } });
    expect(letter).toMatchObject({ reason: 'invalid-message', reply: expect.stringMatching(/^raw: has /) });
    expect(mails()).toEqual([]);
  });

  test('that is sound is sent, without its mbox line and its Bcc', async () => {
    const raw =
      'From shop@example.com Mon Jan  1 00:00:00 2024\nFrom: shop@example.com\nTo: a@example.net\nBcc: b@x.y\n\n>From here\n';
    const { sent, ref, size } = await hostile(Buffer.from(raw));
    const text = (await sent({ ...message, raw: { ref, size } })).toString();
    expect(text).toMatch(/From: shop@example\.com\r\nTo: a@example\.net\r\n\r\n>From here\r\n$/);
    expect(text).not.toMatch(/^From /m);
  });
});

describe('a mail that is larger composed than estimated', () => {
  const png = Buffer.alloc(90_000, 0x89);
  const header =
    'From: shop@example.com\r\nTo: a@example.net\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n\r\n';
  const raw = Buffer.concat([Buffer.from(header), png]);

  test.each([['inline'], ['by reference']])(
    '%s: it is a dead letter too-large, without an attempt and without a byte sent',
    async (how) => {
      const config = configOf({ relay: {} }, { message: { maxRecipients: 9, maxBytes: 100_000 } });
      const { letterOf, mails, ref, size } = await hostile(raw, config);
      const inline = { content: raw.toString('base64'), encoding: 'base64' };
      const letter = await letterOf({ ...message, raw: how === 'inline' ? inline : { ref, size } });
      expect(letter).toMatchObject({
        reason: 'too-large',
        attempts: 0,
        reply: expect.stringContaining('message.maxSize'),
      });
      expect(mails()).toEqual([]);
    },
  );

  test('within the limit it is sent', async () => {
    const config = configOf({ relay: {} }, { message: { maxRecipients: 9, maxBytes: 130_000 } });
    const { sent, ref, size } = await hostile(raw, config);
    expect((await sent({ ...message, raw: { ref, size } })).length).toBeGreaterThan(120_000);
  });
});
