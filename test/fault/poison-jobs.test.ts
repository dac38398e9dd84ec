/** Jobs of foreign clients that nobody can parse, or that kill who parses them: each ends as one dead letter, and mail goes on. */
import { Queue } from 'bullmq';
import { describe, expect, onTestFinished, test } from 'vitest';
import { defaultMessageLimits } from '../../src/message/message.ts';
import { maxPrefixBytes } from '../../src/queue/bullmq/job-reader.ts';
import { maxDataBytesOf, maxStalls } from '../../src/queue/jobs.ts';
import type { DeadLetterSummary } from '../../src/queue/ledger/dead-letters.ts';
import { readData } from '../../src/queue/ledger/letter-data.ts';
import { intakeName, keysOf } from '../../src/queue/redis/keys.ts';
import { createSealing } from '../../src/sealing/sealing.ts';
import type { Operator } from '../../src/admin/operator.ts';
import { account, allOnce, countable, countableMany, settled, sink } from '../support/accounting.ts';
import { endLocks } from '../support/locks.ts';
import { configOf, startWorker, testOperator, testProducer } from '../support/postlane.ts';
import { addRaw, soundFields, wire, type RawFields } from '../support/raw-jobs.ts';
import { redisUrl, shardCount, testConnection, testEncryption, testPrefix } from '../support/redis.ts';
import { startWorkerProcess } from '../support/worker-process.ts';
import { until } from '../../testkit/until.ts';

const config = configOf({ relay: {} });

/** The content of a letter as it is stored, opened if bodies are sealed. */
async function storedText(prefix: string, id: string): Promise<unknown> {
  const [data = '', form] = await testConnection().hmget(keysOf(prefix).deadLetter(id), 'data', 'form');
  if (form?.startsWith('sealed-') !== true) return data;
  // Whatever it was: the text itself.
  return readData(id, 'sealed-text', data ?? '', createSealing(testEncryption())).data;
}

async function lettersOf(operator: Operator): Promise<DeadLetterSummary[]> {
  const found: DeadLetterSummary[] = [];
  for await (const letter of operator.deadLetters.list({})) found.push(letter);
  return found;
}

async function findingsOf(operator: Operator): Promise<unknown[]> {
  const found: unknown[] = [];
  const about = {
    fix: false,
    now: Date.now,
    senders: ['relay'],
    lifetimeMs: 60_000,
    retentionMs: 60_000,
    lookAgainMs: 1,
  };
  for await (const finding of operator.diagnose(about)) found.push(finding);
  return found;
}

function foreignQueue(prefix: string): Queue {
  const queue = new Queue(intakeName, { prefix, connection: { url: redisUrl() } });
  queue.on('error', () => undefined);
  onTestFinished(() => queue.close());
  return queue;
}

/** Everything of BullMQ's that is left of jobs: ids on lists, hashes, locks. */
async function leftOf(prefix: string): Promise<string[]> {
  const redis = testConnection();
  const own = /:(?:meta|events|id|marker|stalled-check|pc|limiter)$/;
  const keys = (await redis.keys(`${prefix}:*`)).filter(
    (key) => /:(?:outbound|lane-relay):/.test(key) && !own.test(key),
  );
  return keys;
}

const deep = `${'['.repeat(5_000)}${']'.repeat(5_000)}`;
const good = JSON.stringify(wire());

/** What is wrong, in the fields of a hash that is otherwise sound. A string: the key is no hash. */
const poison: Readonly<Record<string, RawFields | string>> = {
  'data that is no JSON': { data: 'not json' },
  'data that was cut': { data: good.slice(0, -5) },
  'data with a byte order mark': { data: `\uFEFF${good}` },
  'data of MessagePack': { data: Buffer.from('82a17601a76d65737361676581a4746578 74c3ff'.replaceAll(' ', ''), 'hex') },
  'data of null': { data: 'null' },
  'no data': { data: '' },
  'data nested 5,000 deep': { data: deep },
  'a v nested 5,000 deep': { data: `{"v":${deep},"message":{}}` },
  'a message nested 5,000 deep': { data: `{"v":1,"message":${deep}}` },
  'a field nested 5,000 deep': { data: `{"v":1,"message":{"to":["a@example.net"],"text":${deep}}}` },
  'a v that becomes no text': { data: '{"v":{"toString":1},"message":{}}' },
  'a v in an array that becomes no text': { data: '{"v":[{"toString":null}],"message":{}}' },
  'opts that are no JSON': { opts: 'zzz' },
  'opts of null': { opts: 'null' },
  'opts of an array': { opts: '[]' },
  'opts nested 5,000 deep': { opts: `{"a":${deep}}` },
  'a parent that is no JSON': { parent: 'zzz' },
  'a parent of a flow': { parent: '{"id":"p","queueKey":"bull:other"}', parentKey: 'bull:other:p' },
  'a key of a scheduler': { rjk: 'nightly', opts: '{"repeat":{"every":1,"pattern":"* * * * *"}}' },
  'starts that are no number': { ats: 'abc' },
  'attempts that are no number': { atm: '1e3' },
  'stalls that are no number': { stc: 'many' },
  'starts at the largest number': { ats: '9223372036854775807' },
  'no timestamp': { timestamp: '' },
  'a timestamp of letters': { timestamp: 'abc' },
  'a timestamp without end': { timestamp: 'Infinity' },
  'a timestamp before 1970': { timestamp: '-1' },
  'a timestamp after 9999': { timestamp: '253402300800000' },
  'another job name': { name: 'mail' },
  'an empty job name': { name: '' },
  'a key that is a string': 'zzz',
};

/** What BullMQ reads and nobody needs: the message is sent all the same. */
const harmless: Readonly<Record<string, RawFields>> = {
  'a return value that is no JSON': { returnvalue: '{' },
  'a stack trace that is no JSON': { stacktrace: '{' },
  'progress that is no JSON': { progress: '{' },
  'a priority of letters': { priority: 'abc' },
  'options that would keep the job': { opts: '{"removeOnComplete":false,"attempts":7,"delay":5}' },
  'no options': { opts: '{}' },
};

describe('each kind of job that cannot be read', () => {
  test('is one dead letter at the first look, and mail before and after it is sent', async () => {
    const prefix = testPrefix();
    const redis = testConnection();
    const producer = testProducer(prefix);
    const operator = await testOperator(prefix);
    await producer.send({ ...countable('before') });
    const kinds = Object.entries(poison);
    for (const [i, [, fields]] of kinds.entries()) {
      await addRaw(redis, prefix, `bad-${i}`, typeof fields === 'string' ? fields : soundFields(wire(), fields));
    }
    await addRaw(redis, prefix, 'bad-without-a-hash', {});
    for (const [i, [, fields]] of Object.entries(harmless).entries()) {
      await addRaw(redis, prefix, `odd-${i}`, soundFields(wire(), fields));
    }
    await producer.send({ ...countable('after') });
    // Nothing is found wrong, and nobody dies, while no worker runs.
    expect(await findingsOf(operator)).toEqual([]);
    expect(await producer.status('bad-0')).toMatchObject({ state: 'queued' });
    const { recorded, of } = await startWorker({ prefix, config });
    await producer.waitFor('after');
    await until(async () => (await operator.deadLetters.count()) === kinds.length + 1, { what: 'each to be dead' });
    const letters = await lettersOf(operator);
    const ids = [...kinds.keys()].map((i) => `bad-${i}`);
    expect(letters.map(({ id }) => id).sort()).toEqual([...ids, 'bad-without-a-hash'].sort());
    expect(letters.filter(({ reason }) => reason !== 'invalid-message')).toEqual([]);
    const sent = ['before', 'after', ...Object.keys(harmless).map((_, i) => `odd-${i}`)];
    await until(() => recorded('relay').mails.length === sent.length, { what: 'all others to be sent' });
    expect(
      recorded('relay')
        .mails.map(({ id }) => id)
        .sort(),
    ).toEqual(sent.sort());
    // As they were found.
    for (const [i, [, fields]] of kinds.entries()) {
      if (typeof fields === 'string' || fields['data'] === undefined || fields['data'] === '') continue;
      const text = await storedText(prefix, `bad-${i}`);
      const asFound = Buffer.isBuffer(fields['data']) ? fields['data'].toString('base64') : fields['data'];
      expect(text).toBe(asFound);
    }
    expect(of('error')).toEqual([]);
    expect(await findingsOf(operator)).toEqual([]);
    expect(await leftOf(prefix)).toEqual([]);
  });

  // These write into the keys of a lane in the only shard.
  test.skipIf(shardCount() > 1)('is a dead letter in a lane too, and what waits behind it is sent', async () => {
    const prefix = testPrefix();
    const redis = testConnection();
    const producer = testProducer(prefix);
    const operator = await testOperator(prefix);
    const kinds = Object.entries(poison);
    for (const [i, [, fields]] of kinds.entries()) {
      await addRaw(
        redis,
        prefix,
        `bad-${i}`,
        typeof fields === 'string' ? fields : soundFields(wire(), fields),
        'relay',
      );
    }
    expect(await findingsOf(operator)).toEqual([]);
    expect(await operator.lanes.status('relay')).toMatchObject({ waiting: kinds.length });
    await producer.send({ ...countable('after') });
    const { of } = await startWorker({ prefix, config });
    await producer.waitFor('after');
    await until(async () => (await operator.deadLetters.count()) === kinds.length, { what: 'each to be dead' });
    expect((await lettersOf(operator)).filter(({ reason }) => reason !== 'invalid-message')).toEqual([]);
    expect(of('error')).toEqual([]);
    expect(await findingsOf(operator)).toEqual([]);
    expect(await leftOf(prefix)).toEqual([]);
  });

  test.skipIf(shardCount() > 1)(
    'is a dead letter in the lane of a connector that is gone, and what is past its deadline too',
    async () => {
      const prefix = testPrefix();
      const redis = testConnection();
      const producer = testProducer(prefix);
      const operator = await testOperator(prefix);
      await addRaw(redis, prefix, 'bad', soundFields(wire(), { data: 'zzz' }), 'gone');
      await operator.lanes.pause('relay');
      let ahead = 0;
      const { of } = await startWorker({
        prefix,
        config,
        timing: { orphanGraceMs: 0 },
        now: () => Date.now() + ahead,
      });
      await until(async () => (await lettersOf(operator)).some(({ id }) => id === 'bad'), { what: 'it to be dead' });
      await producer.send(countable('paused'));
      await until(async () => (await producer.status('paused'))?.connector === 'relay', {
        what: 'it to be in its lane',
      });
      await redis.hset(keysOf(prefix).laneJob('relay', 'paused'), 'data', 'zzz', 'opts', 'zzz');
      ahead = 2 * 3_600_000;
      await until(async () => (await producer.status('paused'))?.state === 'dead', { what: 'the other to be dead' });
      expect(await operator.deadLetters.get('paused')).toMatchObject({
        data: 'zzz',
        form: 'text',
        reason: 'invalid-message',
      });
      expect(of('error')).toEqual([]);
    },
  );
});

describe('the attack of a job id that a terminal would obey', () => {
  test.each([
    ['escape sequences and forged lines', '\u001b]0;t\u0007\u001b[2J\r\nFAKE  sent'],
    ['characters that turn text around', 'a\u202etxt.exe\u0085'],
    ['a colon', 'a:b'],
    ['two hundred characters', 'x'.repeat(200)],
    ['a number without end', '9'.repeat(200)],
  ])('%s: row and dead letter have an id of ours', async (_what, jobId) => {
    const prefix = testPrefix();
    const operator = await testOperator(prefix);
    const producer = testProducer(prefix);
    await addRaw(testConnection(), prefix, jobId, soundFields(wire()));
    const { of } = await startWorker({ prefix, config });
    await until(async () => (await operator.deadLetters.count()) === 1, { what: 'it to be dead' });
    const [letter] = await lettersOf(operator);
    expect(letter?.id).toMatch(/^invalid-[0-9a-f]{32}$/);
    expect(letter?.reply).toMatch(/^id: the job was enqueued under the id "[^\p{Cc}\u202e]+"/u);
    expect((await operator.deadLetters.get(letter!.id))?.data).toEqual(wire());
    expect(await producer.status(letter!.id)).toMatchObject({ state: 'dead', reason: 'invalid-message' });
    expect(of('invalid').map(({ id }) => id)).toEqual([letter?.id]);
    expect(of('error')).toEqual([]);
  });
});

describe('a job of a foreign client that would stay for ever', () => {
  test('is a dead letter where its delay has no end, and gone where it was to be kept when it is done', async () => {
    const prefix = testPrefix();
    const redis = testConnection();
    const producer = testProducer(prefix);
    const operator = await testOperator(prefix);
    const queue = foreignQueue(prefix);
    await queue.add('message', wire(), { jobId: 'endless', delay: 1e300 });
    await queue.add('message', wire(), { jobId: 'scheduled', delay: 3_600_000 });
    await queue.add('message', wire(), { jobId: 'kept', removeOnComplete: false, attempts: 3, backoff: 5 });
    const outbound = (name: string): string => keysOf(prefix).queue(intakeName, name);
    await redis.hset(outbound('before'), soundFields(wire()));
    await redis.zadd(outbound('delayed'), -4_096_000, 'before');
    // As a worker before 1.0 left it.
    await redis.hset(outbound('done'), soundFields(wire()));
    await redis.zadd(outbound('completed'), 1, 'done');
    const { recorded, of } = await startWorker({ prefix, config });
    expect(await producer.waitFor('kept')).toMatchObject({ state: 'sent' });
    for (const id of ['endless', 'before']) {
      await until(async () => (await producer.status(id))?.state === 'dead', { what: `${id} to be dead` });
      expect(await operator.deadLetters.get(id)).toMatchObject({
        reason: 'invalid-message',
        data: JSON.stringify(wire()),
      });
    }
    await until(async () => (await redis.exists(outbound('kept'), outbound('done'))) === 0, { what: 'the rest to go' });
    expect(await redis.zcard(outbound('completed'))).toBe(0);
    expect(await producer.status('scheduled')).toMatchObject({ state: 'scheduled' });
    expect(recorded('relay').mails.map(({ id }) => id)).toEqual(['kept']);
    expect(of('error')).toEqual([]);
    expect(await findingsOf(operator)).toEqual([]);
  });
});

describe('the attack of sixty jobs without JSON', () => {
  test('holds up no mail: two workers send all of it, each once, and take no breath', async () => {
    const prefix = testPrefix();
    const redis = testConnection();
    const server = await sink();
    const producer = testProducer(prefix);
    const operator = await testOperator(prefix);
    const mails = countableMany(60, 'mail');
    for (const [i, mail] of mails.entries()) {
      await addRaw(redis, prefix, `bad-${i}`, soundFields(null, { data: 'zzz' }));
      await producer.send({ ...mail, priority: 'high' });
    }
    const options = { prefix, connectors: { relay: { port: server.port } } };
    const workers = await Promise.all([startWorkerProcess(options), startWorkerProcess(options)]);
    const rows = await settled(producer, mails);
    await until(async () => (await operator.deadLetters.count()) === 60, { what: 'each to be dead' });
    expect(account(rows, [server])).toEqual(allOnce(60));
    // A breath follows an error of the intake, and there is none.
    const errors = workers.flatMap((worker) => worker.events.filter(({ event }) => event === 'error'));
    expect(errors).toEqual([]);
  });
});

describe('the attack of a job that no worker survives', () => {
  test('ends after a few deaths as a dead letter that no worker has read, and mail goes on', async () => {
    const prefix = testPrefix();
    const redis = testConnection();
    const server = await sink();
    const producer = testProducer(prefix);
    const operator = await testOperator(prefix);
    // Three million objects of three bytes each: more than the heap when it is parsed, and well within the bound on a job.
    const text = `{"v":1,"message":{"attachments":[${'{},'.repeat(3_000_000)}{}]}}`;
    // As if earlier workers had died of it: these two are the last that may.
    await addRaw(redis, prefix, 'killer', soundFields(null, { data: text, stc: String(maxStalls - 1) }));
    const options = { prefix, connectors: { relay: { port: server.port } }, heapMiB: 100 };
    for (const _death of [1, 2]) {
      const victim = await startWorkerProcess(options);
      expect((await victim.exited).code).not.toBe(0);
      expect(await operator.deadLetters.count()).toBe(0);
      await endLocks(redis, prefix);
    }
    const mails = countableMany(20, 'mail');
    for (const mail of mails) await producer.send(mail);
    const survivor = await startWorkerProcess(options);
    await until(async () => (await operator.deadLetters.count()) === 1, { what: 'it to be dead' });
    const rows = await settled(producer, mails);
    expect(account(rows, [server])).toEqual(allOnce(20));
    const letter = await operator.deadLetters.get('killer');
    expect(letter).toMatchObject({ id: 'killer', reason: 'stalled', form: 'text' });
    expect(letter?.data === text).toBe(true);
    // Neither maintenance nor the doctor reads it.
    expect(await findingsOf(operator)).toEqual([]);
    expect(survivor.of('error')).toEqual([]);
    expect(survivor.child.exitCode).toBeNull();
    await survivor.stop();
  });

  test('takes no mail with it that waits beside it, however often both were abandoned before', async () => {
    const prefix = testPrefix();
    const redis = testConnection();
    const server = await sink();
    const producer = testProducer(prefix);
    const operator = await testOperator(prefix);
    const text = `{"v":1,"message":{"attachments":[${'{},'.repeat(3_000_000)}{}]}}`;
    const before = { stc: String(maxStalls - 1) };
    await addRaw(redis, prefix, 'killer', soundFields(null, { data: text, ...before }));
    const mails = countableMany(5, 'mail');
    for (const mail of mails) {
      await producer.send(mail);
      await redis.hset(keysOf(prefix).intakeJob(mail.id!), before);
    }
    const options = { prefix, connectors: { relay: { port: server.port } }, heapMiB: 100 };
    for (const _death of [1, 2]) {
      const victim = await startWorkerProcess(options);
      expect((await victim.exited).code).not.toBe(0);
      await endLocks(redis, prefix);
    }
    await startWorkerProcess(options);
    expect(account(await settled(producer, mails), [server])).toEqual(allOnce(5));
    await until(async () => (await operator.deadLetters.count()) === 1, { what: 'the other one to be dead' });
  });

  test('is a dead letter `too-large`, unread, where its data is larger than any message', async () => {
    const prefix = testPrefix();
    const redis = testConnection();
    const producer = testProducer(prefix);
    const operator = await testOperator(prefix);
    const limits = { ...defaultMessageLimits, maxBytes: 100_000 };
    const most = maxDataBytesOf(limits, false);
    await addRaw(redis, prefix, 'large', soundFields(null, { data: `"${'ü'.repeat(most / 2)}"` }));
    await addRaw(redis, prefix, 'largest', soundFields(null, { data: `"${'x'.repeat(most - 2)}"` }));
    await addRaw(redis, prefix, 'in-a-lane', soundFields(null, { data: `"${'x'.repeat(2 * most)}"` }), 'relay');
    const { of } = await startWorker({ prefix, config: configOf({ relay: {} }, { message: limits }) });
    await producer.send(countable('after'));
    await producer.waitFor('after');
    await until(async () => (await operator.deadLetters.count()) === 3, { what: 'each to be dead' });
    const letters = await lettersOf(operator);
    expect(Object.fromEntries(letters.map(({ id, reason }) => [id, reason]))).toEqual({
      large: 'too-large',
      largest: 'invalid-message',
      'in-a-lane': 'too-large',
    });
    const letter = await operator.deadLetters.get('large');
    expect(letter?.form).toBe('part');
    expect(letter?.data).toMatch(/^"ü+$/);
    expect(Buffer.byteLength(String(letter?.data))).toBeLessThanOrEqual(maxPrefixBytes);
    expect(letter?.reply).toMatch(/^the job has \d+ bytes, .* SHA-1 [0-9a-f]{40}/);
    expect(await operator.replay('large', { via: null, now: Date.now(), lifetimeMs: 60_000 })).toBe('unreadable');
    expect(of('error')).toEqual([]);
  });
});
