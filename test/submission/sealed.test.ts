/** Mail by every way in, where bodies are sealed: nothing of it is in Redis, and no hash by which somebody could confirm a guess of it. */
import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import { beforeAll, expect, test } from 'vitest';
import { createSealing } from '../../src/sealing/sealing.ts';
import { testProducer } from '../support/postlane.ts';
import { isSealed, testConnection } from '../support/redis.ts';
import { startSubmission, submissionKit, type SubmissionKit } from '../support/submission.ts';

let kit: SubmissionKit;
beforeAll(async () => void (kit = await submissionKit()));

const word = 'Zwetschgenmus';
const key = Buffer.alloc(32, 7).toString('base64');

/** All names and values under the prefix. */
async function everything(redis: Redis, prefix: string): Promise<string> {
  const found: unknown[] = [];
  for (const name of await redis.keys(`${prefix.slice(0, -1)}*`)) {
    const type = await redis.type(name);
    if (type === 'string') found.push(name, (await redis.getBuffer(name))?.toString('latin1'));
    if (type === 'hash') found.push(name, await redis.hgetall(name));
    if (type === 'set') found.push(name, await redis.smembers(name));
    if (type === 'zset') found.push(name, await redis.zrange(name, '0', '-1'));
    if (type === 'list') found.push(name, await redis.lrange(name, 0, -1));
    if (type === 'stream') found.push(name, await redis.xrange(name, '-', '+'));
  }
  return JSON.stringify(found);
}

function hashesOf(content: string): string[] {
  return (['hex', 'base64', 'base64url'] as const).map((form) => createHash('sha256').update(content).digest(form));
}

test('by SMTP, with an id, with an idempotency key, small and large', async () => {
  const rest = isSealed() ? [] : [`encryption: { active: k1, keys: { k1: "${key}" } }`];
  const here = await startSubmission(kit, { users: ['user: erp, from: ["*@example.com"], options: true'], rest });
  const { encryption } = here.config;
  expect(createSealing(encryption).seal).not.toBeNull();
  const session = await here.open({ user: 'erp' });
  const envelope = { from: 'erp@example.com', to: ['a@example.net'] };
  const named = `From: erp@example.com\r\nMessage-ID: <1@example.com>\r\nSubject: ${word}\r\n\r\n${word}\r\n`;
  const own = `X-Postlane-Id: order-1\r\nFrom: erp@example.com\r\nSubject: ${word}\r\n\r\n${word} 2\r\n`;
  const large = `From: erp@example.com\r\nDate: Sat, 28 Nov 2026 10:00:00 +0000\r\n\r\n${`${word}\r\n`.repeat(10_000)}`;
  for (const data of [named, named, own, own, large, large]) {
    expect(await session.send({ ...envelope, data })).toMatch(/^250/);
  }
  expect(here.of('submitted').map(({ duplicate }) => duplicate)).toEqual([false, true, false, true, false, true]);
  const producer = testProducer(here.prefix, { encryption });
  const content = `${word} `.repeat(10_000);
  const text = `Ihr Befund: ${word}`;
  const attachments = [{ filename: `${word}.txt`, content }];
  const message = { from: 'erp@example.com', to: 'b@example.net', text, attachments };
  const first = await producer.send(message, { idempotencyKey: 'key-1' });
  expect(await producer.send(message, { idempotencyKey: 'key-1' })).toEqual({ ...first, duplicate: true });

  const found = await everything(testConnection(), here.prefix);
  expect(found).toContain('order-1');
  expect(found).not.toContain(word);
  expect(found).not.toContain(Buffer.from(word.repeat(3)).toString('base64').slice(4, 24));
  const hashes = [named, own, large, text, content].flatMap(hashesOf);
  expect(hashes.filter((hash) => found.includes(hash))).toEqual([]);
});
