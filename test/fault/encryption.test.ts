/**
 * Bodies at rest under faults: what can be read in the files of Redis and of its replica, keys that are rotated under load, keys that are
 * wrong, and workers that die while they seal or read.
 */
import { randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Queue } from 'bullmq';
import { describe, expect, onTestFinished, test } from 'vitest';
import { intakeName, jobName } from '../../src/queue/redis/keys.ts';
import type { EncryptionOptions } from '../../src/sealing/sealing.ts';
import { startStepProxy } from '../../testkit/step-proxy.ts';
import { until } from '../../testkit/until.ts';
import {
  account,
  allSent,
  copiesOf,
  countable,
  countableMany,
  isUncertain,
  settled,
  sink,
} from '../support/accounting.ts';
import { examine } from '../support/doctor.ts';
import { endLocks } from '../support/locks.ts';
import { ownRedis, type OwnRedis } from '../support/own-redis.ts';
import { testOperator, testProducer } from '../support/postlane.ts';
import { redisUrl, shardCount, testConnection, testPrefix } from '../support/redis.ts';
import { startWorkerProcess } from '../support/worker-process.ts';

const [k1, k2, k3] = [1, 2, 3].map(() => randomBytes(32).toString('base64')) as [string, string, string];
const first: EncryptionOptions = { active: 'k1', keys: { k1 } };
const bothButFirst: EncryptionOptions = { active: 'k1', keys: { k1, k2 } };
const bothButSecond: EncryptionOptions = { active: 'k2', keys: { k1, k2 } };
const second: EncryptionOptions = { active: 'k2', keys: { k2 } };
const hourMs = 3_600_000;

/** A thousand words, each in one place of a mail. */
const stem = 'Wortlaut';
const words = Array.from({ length: 1_000 }, (_, i) => `${stem}${randomBytes(5).toString('hex')}x${i}`);

/** A mail that has ten of them. */
function wordy(i: number, more: object = {}) {
  const some = words.slice(i * 10, i * 10 + 10);
  return {
    id: `w${i}`,
    from: `${some[0]} <a@example.com>`,
    to: `${some[1]} <r${i}@example.net>`,
    subject: `S ${some[2]}`,
    text: `Text ${some[3]} und ${some[4]}`,
    html: `<p>${some[5]}</p>`,
    headers: { 'X-Note': [some[6]!] },
    metadata: { note: some[7]! },
    attachments: [
      { filename: `${some[8]}.txt`, content: some[9]! },
      // Every tenth has one that is stored by itself.
      ...(i % 10 === 0 ? [{ filename: 'large.txt', content: `${some[9]} `.repeat(8_000) }] : []),
    ],
    ...more,
  };
}

/** All files of a server, in its folder and below. */
async function filesOf(dir: string): Promise<Buffer[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  return Promise.all(entries.filter((each) => each.isFile()).map((each) => readFile(join(each.parentPath, each.name))));
}

/** Of the parts of the append-only file. */
async function namesIn(dir: string): Promise<string[]> {
  const names = await readdir(dir, { recursive: true });
  return names.filter((name) => name.includes('.aof'));
}

async function wordsIn(servers: readonly OwnRedis[]): Promise<string[]> {
  const found: string[] = [];
  for (const { dir, admin } of servers) {
    await admin.save();
    const files = await filesOf(dir);
    expect(files.some((file) => file.includes('REDIS') || file.includes('VALKEY'))).toBe(true);
    for (const file of files) if (file.includes(stem)) found.push(...words.filter((word) => file.includes(word)));
  }
  return found;
}

async function enqueuePlain(url: string, prefix: string, messages: readonly { readonly id: string }[]): Promise<void> {
  const intake = new Queue(intakeName, { connection: { url }, prefix });
  for (const message of messages) await intake.add(jobName, { v: 1, message }, { jobId: message.id });
  await intake.close();
}

/** A Redis whose dumps are not compressed, with a replica, and mails that were sent, refused, deferred, scheduled and held up. */
async function filled(encryption: EncryptionOptions | null) {
  const settings = ['--rdbcompression', 'no', '--save', ''];
  const redis = await ownRedis({ settings });
  const replica = await ownRedis({ settings: [...settings, '--replicaof', `127.0.0.1 ${redis.port}`] });
  const prefix = '{words}';
  const server = await sink();
  const refusing = await sink({ script: { RCPT: Array.from({ length: 400 }, () => '550 5.1.1 no such user') } });
  const deferring = await sink({ script: { RCPT: Array.from({ length: 400 }, () => '451 4.3.0 later') } });
  const worker = await startWorkerProcess({
    prefix,
    url: redis.url,
    encryption,
    connectors: {
      relay: { port: server.port },
      refusing: { port: refusing.port, addresses: ['refusing@example.com'] },
      deferring: { port: deferring.port, addresses: ['deferring@example.com'] },
      paused: { port: server.port, addresses: ['paused@example.com'] },
    },
    retry: { firstDelayMs: hourMs, maxDelayMs: hourMs, lifetimeMs: 24 * hourMs, attributeWithinMs: 1 },
  });
  const operator = await testOperator(prefix, redis.url, { url: redis.url, shards: shardCount() });
  await operator.lanes.pause('paused');
  const producer = testProducer(prefix, { url: redis.url, encryption });
  const froms = ['a', 'refusing', 'deferring', 'paused'];
  const messages = words.slice(0, 90).map((_, i) => {
    const from = froms[i % 4]!;
    const sender = from === 'a' ? {} : { from: `${words[i * 10]} <${from}@example.com>` };
    return wordy(i, { ...sender, ...(i % 9 === 8 ? { sendAt: new Date(Date.now() + hourMs) } : {}) });
  });
  expect((await producer.sendMany(messages)).filter(({ ok }) => !ok)).toEqual([]);
  const isDone = async (): Promise<boolean> => {
    const states = await Promise.all(messages.map(async ({ id }) => (await producer.status(id))?.state));
    const lane = await operator.lanes.status('paused');
    const most = { sent: 15, dead: 15, deferred: 5, scheduled: 10 };
    const reached = Object.entries(most).every(
      ([state, least]) => states.filter((each) => each === state).length >= least,
    );
    return reached && lane.waiting >= 15;
  };
  await until(isDone, { what: 'all mails to be where they stay', timeoutMs: 60_000 });
  return { redis, replica, prefix, producer, operator, worker };
}

describe.skipIf(shardCount() > 1)('in dump, append-only file and replica', () => {
  test(
    'none of a thousand words of bodies is found, in whatever state their mails are',
    { timeout: 180_000 },
    async () => {
      const { redis, replica, prefix, operator } = await filled(first);
      expect(await wordsIn([redis, replica])).toEqual([]);
      // A client without a key writes plain jobs; what it wrote is gone from the file once that is rewritten.
      await enqueuePlain(
        redis.url,
        prefix,
        Array.from({ length: 10 }, (_, i) => wordy(90 + i, { from: 'paused@example.com' })),
      );
      await until(async () => (await operator.lanes.status('paused')).waiting >= 30, {
        what: 'the plain ones in their lane',
      });
      for (const { admin, dir } of [redis, replica]) {
        const before = await namesIn(dir);
        await admin.bgrewriteaof();
        // The old files go once the new one is there.
        await until(
          async () => (await namesIn(dir)).every((name) => name.endsWith('.manifest') || !before.includes(name)),
          {
            what: 'new files in the place of the old ones',
          },
        );
      }
      expect(await wordsIn([redis, replica])).toEqual([]);
    },
  );

  test('they are all found without keys, so that this test finds what there is', { timeout: 180_000 }, async () => {
    const { redis } = await filled(null);
    expect(new Set(await wordsIn([redis])).size).toBeGreaterThan(800);
  });
});

test('keys that are rotated under load, while workers are killed, lose nothing', { timeout: 240_000 }, async () => {
  const prefix = testPrefix();
  const server = await sink();
  const options = { prefix, connectors: { relay: { port: server.port } }, timing: { keyWaitMs: 300 } };
  const [old, fresh] = [testProducer(prefix, { encryption: first }), testProducer(prefix, { encryption: second })];
  const ids: string[] = [];
  const send = async (producer: typeof old, name: string): Promise<void> => {
    const messages = countableMany(60, name);
    ids.push(...messages.map(({ id }) => id!));
    expect((await producer.sendMany(messages)).filter(({ ok }) => !ok)).toEqual([]);
  };
  // As docs/encryption.md says: the new key is added everywhere, then it is made active, then the old one goes.
  const rounds: [EncryptionOptions, (typeof old)[]][] = [
    [first, [old]],
    [bothButFirst, [old]],
    [bothButFirst, [old, fresh]],
    [bothButSecond, [old, fresh]],
    [bothButSecond, [fresh]],
  ];
  for (const [i, [encryption, producers]] of rounds.entries()) {
    const worker = await startWorkerProcess({ ...options, encryption });
    const sending = Promise.all(producers.map((producer, j) => send(producer, `r${i}-${j}-`)));
    await until(() => worker.of('sent').length >= 20, { what: 'mails to be sent', timeoutMs: 60_000 });
    await worker.kill();
    await sending;
    await endLocks(testConnection(), prefix);
  }
  await startWorkerProcess({ ...options, encryption: bothButSecond });
  expect(account(await settled(fresh, ids), [server])).toMatchObject(allSent(ids.length));
  expect(await examine(prefix)).toEqual([]);
});

test('a worker with a wrong key sends nothing and kills nothing, and another one sends all, also beside it', async () => {
  const prefix = testPrefix();
  const server = await sink();
  const options = { prefix, connectors: { relay: { port: server.port } }, timing: { keyWaitMs: 300 } };
  const producer = testProducer(prefix, { encryption: first });
  const messages = countableMany(30);
  await producer.sendMany(messages);
  const wrong = await startWorkerProcess({ ...options, encryption: { active: 'k1', keys: { k1: k3 } } });
  await until(() => wrong.of('key-missing').length > 0, { what: 'the alarm' });
  const operator = await testOperator(prefix);
  await until(async () => (await operator.intakeCounts()).delayed === 30, { what: 'all to be put off' });
  expect(server.received.transactions).toHaveLength(0);
  expect(wrong.of('error')).toEqual([]);
  await startWorkerProcess({ ...options, encryption: first });
  const rows = await settled(producer, messages);
  expect(account(rows, [server])).toMatchObject(allSent(30));
  expect(rows.map(({ attempts }) => attempts)).toEqual(messages.map(() => 1));
  expect(wrong.of('sent')).toEqual([]);
  expect(await operator.deadLetters.count()).toBe(0);
});

describe.skipIf(shardCount() > 1)('a worker that is killed', () => {
  test.for(['before', 'after'] as const)(
    'while it seals what a client without a key has enqueued, %s Redis has it: the message is sent once, and sealed by then',
    async (where) => {
      const prefix = testPrefix();
      const server = await sink();
      const options = { prefix, connectors: { relay: { port: server.port } }, encryption: first };
      const proxy = await startStepProxy(Number(new URL(redisUrl()).port), '"known":false', where);
      onTestFinished(() => proxy.stop());
      const worker = await startWorkerProcess({ ...options, url: `redis://127.0.0.1:${proxy.port}` });
      proxy.arm();
      await enqueuePlain(redisUrl(), prefix, [{ ...countable('m'), text: stem } as never]);
      await until(proxy.reached, { what: 'the step' });
      await worker.kill();
      const redis = testConnection();
      const [inIntake, inLane] = await Promise.all([
        redis.hget(`${prefix}:outbound:m`, 'data'),
        redis.hget(`${prefix}:lane-relay:m`, 'data'),
      ]);
      expect([inIntake === null, inLane === null]).toEqual(where === 'before' ? [false, true] : [true, false]);
      expect((inLane ?? '').includes(stem)).toBe(false);
      await endLocks(redis, prefix);
      await startWorkerProcess(options);
      const rows = await settled(testProducer(prefix, { encryption: first }), ['m']);
      expect(copiesOf('m', [server])).toBe(1);
      expect(isUncertain(rows[0]!)).toBe(false);
    },
  );

  test('while it reads the chunks of a stored content: the message is sent once, whole', async () => {
    const prefix = testPrefix();
    const server = await sink();
    const options = { prefix, connectors: { relay: { port: server.port } }, encryption: first };
    const producer = testProducer(prefix, { encryption: first });
    const content = randomBytes(3 * 1024 * 1024);
    const proxy = await startStepProxy(Number(new URL(redisUrl()).port), 'getrange', 'before');
    onTestFinished(() => proxy.stop());
    const worker = await startWorkerProcess({ ...options, url: `redis://127.0.0.1:${proxy.port}` });
    proxy.arm();
    await producer.send({ ...countable('m'), attachments: [{ filename: 'f.bin', content }] });
    await until(proxy.reached, { what: 'the read' });
    await worker.kill();
    await endLocks(testConnection(), prefix);
    await startWorkerProcess(options);
    const rows = await settled(producer, ['m']);
    expect(account(rows, [server])).toMatchObject(allSent(1));
    expect(isUncertain(rows[0]!)).toBe(false);
  });
});
