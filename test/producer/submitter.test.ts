/** The producer for ways in of our own: what was submitted under an id is told from what another had submitted under it. */
import { randomUUID } from 'node:crypto';
import { expect, onTestFinished, test } from 'vitest';
import { createProducer, createSubmitter, type ProducerOptions, type Submitter } from '../../src/producer/producer.ts';
import { newMessageId } from '../../src/message/identity.ts';
import { keysOf } from '../../src/queue/redis/keys.ts';
import { configOf, startWorker } from '../support/postlane.ts';
import { rejection } from '../support/rejection.ts';
import { redisUrl, shardCount, testConnection, testPrefix } from '../support/redis.ts';

const message = { from: 'x@example.com', to: 'a@example.net', text: 'x', id: 'm' };
const key = (byte: number): string => Buffer.alloc(32, byte).toString('base64');

function submitterAt(prefix: string, options: Omit<ProducerOptions, 'redis'> = {}): Submitter {
  const redis = { url: redisUrl(), prefix, shards: shardCount() };
  const submitter = createSubmitter({ redis, timeoutMs: 30_000, ...options });
  onTestFinished(() => submitter.close());
  return submitter;
}

test('the same print is the same message, and another or none is not', async () => {
  const submitter = submitterAt(testPrefix());
  const kinds = [];
  for (const print of ['one', 'one', 'two', undefined]) kinds.push((await submitter.submit(message, { print })).kind);
  expect(kinds).toEqual(['new', 'duplicate', 'id-taken', 'duplicate']);
  expect((await submitter.submit({ ...message, id: 'n' }, {})).kind).toBe('new');
  expect((await submitter.submit({ ...message, id: 'n' }, { print: 'one' })).kind).toBe('id-taken');
});

test.each([
  ['another application', {}],
  ['a scheduled message of another application', { sendAt: Date.now() + 3_600_000 }],
])('a print that outlived its message says nothing of the message of %s that has the id now', async (_whose, more) => {
  const prefix = testPrefix();
  const submitter = submitterAt(prefix);
  const redis = testConnection();
  expect((await submitter.submit(message, { print: 'one' })).kind).toBe('new');
  expect(await submitter.cancel('m')).toBe(true);
  expect((await submitter.submit(message, { print: 'one' })).kind).toBe('duplicate');
  // As if `retention.ledger` were over.
  await redis.del(keysOf(prefix).ledger('m'), keysOf(prefix).queue('outbound', 'm'), keysOf(prefix).location('m'));
  expect(await submitter.send({ ...message, from: 'boss@example.com', ...more })).toEqual({
    id: 'm',
    duplicate: false,
  });
  expect((await submitter.submit(message, { print: 'one' })).kind).toBe('id-taken');
});

test('a message is told from others by its print in the intake, in its lane, and when it is settled', async () => {
  const prefix = testPrefix();
  const submitter = submitterAt(prefix);
  for (const id of ['m', newMessageId(Date.now(), randomUUID())]) {
    expect((await submitter.submit({ ...message, id }, { print: 'one' })).kind).toBe('new');
    expect((await submitter.submit({ ...message, id }, { print: 'one' })).kind).toBe('duplicate');
    const worker = await startWorker({ prefix, config: configOf({ relay: {} }) });
    await submitter.waitFor(id);
    expect((await submitter.submit({ ...message, id }, { print: 'one' })).kind).toBe('duplicate');
    expect((await submitter.submit({ ...message, id }, { print: 'two' })).kind).toBe('id-taken');
    await worker.worker.stop();
  }
});

test('a key under which `beforeStore` refused the message is not taken', async () => {
  const submitter = submitterAt(testPrefix());
  const keyed = (text: string, allowed: boolean) =>
    submitter.submit(
      { from: message.from, to: message.to, text },
      { idempotencyKey: 'k', beforeStore: async () => allowed },
    );
  expect((await keyed('long', false)).kind).toBe('refused');
  const { id, kind } = await keyed('short', true);
  expect(kind).toBe('new');
  expect(await keyed('short', false)).toEqual({ id, kind: 'duplicate' });
  await expect(keyed('long', true)).rejects.toMatchObject({ code: 'idempotency-mismatch' });
});

test('a key that is used for the first time does not answer for another message that has the id', async () => {
  const producer = submitterAt(testPrefix());
  await producer.send(message);
  const other = { ...message, text: 'another' };
  for (let tries = 0; tries < 2; tries += 1) {
    const error = await rejection(producer.send(other, { idempotencyKey: 'm', submittedBy: '_outbox' }));
    expect(error).toMatchObject({ code: 'idempotency-mismatch', id: 'm' });
  }
  const mine = { ...message, id: 'n' };
  const keyed = (key: string, text = 'x') => producer.send({ ...mine, text }, { idempotencyKey: key });
  expect(await keyed('k')).toEqual({ id: 'n', duplicate: false });
  // The same content under the same id is the same message, whatever the key.
  expect([await keyed('k'), await keyed('l')]).toEqual([1, 2].map(() => ({ id: 'n', duplicate: true })));
  expect((await rejection(keyed('o', 'y'))).code).toBe('idempotency-mismatch');
});

test('a key that has given an id answers for it, with the id and without', async () => {
  const producer = submitterAt(testPrefix());
  const { id: _, ...unnamed } = message;
  const keyed = (id?: string) => producer.send({ ...unnamed, id }, { idempotencyKey: 'k' });
  const { id } = await keyed();
  expect([await keyed(), await keyed(id)]).toEqual([1, 2].map(() => ({ id, duplicate: true })));
});

test('a key whose first call named the id of another message answers for that one in no later call', async () => {
  const producer = submitterAt(testPrefix());
  await producer.send(message);
  const { id: _, ...unnamed } = { ...message, text: 'another' };
  for (const mail of [{ ...unnamed, id: 'm' }, unnamed, unnamed]) {
    const error = await rejection(producer.send(mail, { idempotencyKey: 'k' }));
    expect(error).toMatchObject({ code: 'idempotency-mismatch', id: 'm' });
  }
});

test('where bodies are sealed the print is sealed, and is still known after a rotation', async () => {
  const prefix = testPrefix();
  const redis = testConnection();
  const [one, two] = [{ k1: key(1) }, { k1: key(1), k2: key(2) }];
  const before = submitterAt(prefix, { encryption: { active: 'k1', keys: one } });
  const after = submitterAt(prefix, { encryption: { active: 'k2', keys: two } });
  expect((await before.submit(message, { print: 'a known text' })).kind).toBe('new');
  const stored = await redis.get(keysOf(prefix).print('m'));
  expect(stored).toMatch(/^\{"k":"k1",\S+\} \d{13}$/);
  expect(stored).not.toContain('a known text');
  expect((await after.submit(message, { print: 'a known text' })).kind).toBe('duplicate');
  expect((await after.submit(message, { print: 'another text' })).kind).toBe('id-taken');
  await expect(submitterAt(prefix).submit(message, { print: 'a known text' })).rejects.toMatchObject({
    code: 'key-missing',
  });
});

test('what `beforeStore` refuses is not stored, and it is not asked about what is there', async () => {
  const submitter = submitterAt(testPrefix());
  const asked: unknown[] = [];
  const ask = (allowed: boolean) => ({
    beforeStore: async (about: { readonly envelope: { readonly to: readonly string[] } }) => {
      asked.push(about.envelope.to);
      return allowed;
    },
  });
  expect((await submitter.submit(message, ask(false))).kind).toBe('refused');
  expect(await submitter.status('m')).toBeNull();
  expect((await submitter.submit(message, ask(true))).kind).toBe('new');
  expect((await submitter.submit(message, ask(false))).kind).toBe('duplicate');
  expect(asked).toEqual([['a@example.net'], ['a@example.net']]);
});

test('the public producer knows nothing of it', async () => {
  const producer = createProducer({ redis: { url: redisUrl(), prefix: testPrefix() } });
  onTestFinished(() => producer.close());
  expect('submit' in producer).toBe(false);
  const options: object = { print: 'x', beforeStore: async () => false };
  expect(await producer.send(message, options)).toEqual({ id: 'm', duplicate: false });
});
