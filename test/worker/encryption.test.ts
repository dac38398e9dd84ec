/** Bodies at rest, from a producer to a server: what is sealed, what waits for its key, and what a dead letter keeps. */
import { randomBytes } from 'node:crypto';
import { Queue } from 'bullmq';
import { describe, expect, onTestFinished, test } from 'vitest';
import { intakeName, jobName } from '../../src/queue/redis/keys.ts';
import { until } from '../../testkit/until.ts';
import { configOf, startWorker, testOperator, testProducer } from '../support/postlane.ts';
import { addRaw, soundFields } from '../support/raw-jobs.ts';
import { redisUrl, testConnection, testPrefix } from '../support/redis.ts';

const [k1, k2] = [randomBytes(32).toString('base64'), randomBytes(32).toString('hex')];
const first = { active: 'k1', keys: { k1 } };
const both = { active: 'k2', keys: { k1, k2 } };
const second = { active: 'k2', keys: { k2 } };

const words = ['Quittungsbeleg', 'Zwetschgenmus', 'Blutbildwerte', 'Anhangname'];
const secret = {
  subject: `Ihr ${words[0]}`,
  text: `Etwas ${words[1]}, in Ruhe.`,
  html: `<p>${words[2]}</p>`,
  attachments: [{ filename: `${words[3]}.txt`, content: words[1]! }],
  metadata: { patient: words[2]!, tenant: 'acme' },
  headers: { 'X-Note': [words[0]!] },
};
const message = (id: string) => ({ id, from: 'a@example.com', to: 'b@example.net', ...secret });
const plainMessage = { from: 'a@example.com', to: ['evil@example.net'], text: 'x' };
const timing = { keyWaitMs: 300 };

interface Data {
  readonly message: { readonly envelope: object };
  readonly sealed: unknown;
}

async function enqueuePlain(prefix: string, data: unknown, jobId: string): Promise<void> {
  const intake = new Queue(intakeName, { connection: { url: redisUrl() }, prefix });
  await intake.add(jobName, data, { jobId });
  await intake.close();
}

/** Every value under the prefix, as text. */
async function dumpOf(prefix: string): Promise<string> {
  const redis = testConnection();
  const parts: string[] = [];
  for await (const keys of redis.scanStream({ match: `${prefix.slice(0, -1)}*`, count: 1_000 })) {
    for (const key of keys as string[]) {
      const type = await redis.type(key);
      parts.push(key);
      if (type === 'hash') parts.push(JSON.stringify(await redis.hgetall(key)));
      else if (type === 'string') parts.push((await redis.getBuffer(key))?.toString('latin1') ?? '');
      else if (type === 'list') parts.push(...(await redis.lrange(key, 0, -1)));
      else if (type === 'zset') parts.push(...(await redis.zrange(key, '0', '-1')));
      else if (type === 'set') parts.push(...(await redis.smembers(key)));
      else if (type === 'stream') parts.push(JSON.stringify(await redis.xrange(key, '-', '+')));
    }
  }
  redis.disconnect();
  return parts.join('\n');
}

async function expectNothingReadable(prefix: string): Promise<void> {
  const dump = await dumpOf(prefix);
  for (const word of words) expect(dump).not.toContain(word);
}

test('the attack of a plain job that names a sealed content: nobody gets it, from the intake or from a lane', async () => {
  const prefix = testPrefix();
  const config = { ...configOf({ relay: {} }), encryption: first };
  const producer = testProducer(prefix, { encryption: first });
  const operator = await testOperator(prefix, undefined, undefined, { encryption: first });
  await operator.lanes.pause('relay');
  const { recorded } = await startWorker({ prefix, config });
  await producer.send({ ...message('whole'), attachments: [{ filename: 'a.txt', content: 'x'.repeat(100_000) }] });
  await until(async () => (await operator.lanes.status('relay')).waiting === 1, { what: 'the message in its lane' });
  const [key] = await testConnection().keys(`${prefix.slice(0, -1)}*:content:s*`);
  const ref = /s[0-9a-f]{64}/.exec(key ?? '')?.[0];
  expect(ref).toBeDefined();
  const stolen = { ...plainMessage, attachments: [{ filename: 'a.txt', ref, size: 100_000 }] };
  await enqueuePlain(prefix, { v: 1, message: stolen }, 'stolen');
  await until(async () => (await producer.status('stolen'))?.state === 'dead', { what: 'the job to be refused' });
  expect((await operator.deadLetters.summary('stolen'))?.reason).toBe('invalid-message');
  const routed = { messageId: '<a@b.example>', acceptedAt: Date.now(), connector: 'relay', rule: 'exact' };
  const fields = soundFields({ v: 1, message: stolen, ...routed });
  await addRaw(testConnection(), prefix, 'in-lane', fields, 'relay');
  await operator.lanes.resume('relay');
  await until(async () => (await producer.status('in-lane'))?.state === 'dead', { what: 'the job to be refused' });
  await producer.waitFor('whole');
  expect(recorded('relay').mails.map(({ id }) => id)).toEqual(['whole']);
});

describe('a sealed message', () => {
  test('is unreadable in the intake, and is sent whole', async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix, { encryption: first });
    await producer.send(message('m1'));
    await expectNothingReadable(prefix);
    const { recorded } = await startWorker({ prefix, config: { ...configOf({ relay: {} }), encryption: first } });
    await producer.waitFor('m1');
    const text = recorded('relay').mails[0]!.bytes.toString();
    expect(text).toContain(words[1]);
    expect(text).toContain(words[0]);
    await expectNothingReadable(prefix);
  });

  test('that a client without a key has enqueued is sealed when it enters its lane', async () => {
    const prefix = testPrefix();
    const config = { ...configOf({ relay: {} }), encryption: first };
    const operator = await testOperator(prefix, undefined, undefined, { encryption: first });
    await operator.lanes.pause('relay');
    const { recorded } = await startWorker({ prefix, config });
    await enqueuePlain(prefix, { v: 1, message: { ...message('plain'), envelope: undefined } }, 'plain');
    await until(async () => (await operator.lanes.status('relay')).waiting === 1, { what: 'the message in its lane' });
    await expectNothingReadable(prefix);
    await operator.lanes.resume('relay');
    await until(() => recorded('relay').mails.length === 1, { what: 'the mail' });
    expect(recorded('relay').mails[0]!.bytes.toString()).toContain(words[1]);
  });

  test('waits where its key is missing, is told once, and holds up no other message', async () => {
    const prefix = testPrefix();
    const sealed = testProducer(prefix, { encryption: first });
    await sealed.send(message('locked'));
    const config = configOf({ relay: {} });
    const { of, recorded, worker } = await startWorker({ prefix, timing, config: { ...config, encryption: second } });
    const producer = testProducer(prefix, { encryption: second });
    await producer.send(message('open'));
    await until(() => recorded('relay').mails.length === 1 && of('key-missing').length > 0, { what: 'the other mail' });
    const operator = await testOperator(prefix, undefined, undefined, { encryption: second });
    expect(of('key-missing')).toEqual([
      { event: 'key-missing', id: 'locked', key: 'k1', connector: 'relay', messages: 1 },
    ]);
    expect((await operator.lanes.status('relay')).waitingFor).toBe('key');
    expect(await operator.deadLetters.count()).toBe(0);
    await expect(operator.content('locked')).rejects.toMatchObject({ code: 'key-missing', id: 'locked' });
    await worker.apply({ ...config, encryption: both });
    await sealed.waitFor('locked');
    expect(recorded('relay').mails).toHaveLength(2);
    expect((await sealed.status('locked'))?.attempts).toBe(1);
  });

  test('under a key of the same name that is another one waits, too', async () => {
    const prefix = testPrefix();
    await testProducer(prefix, { encryption: first }).send(message('locked'));
    const wrong = { active: 'k1', keys: { k1: k2 } };
    const { of, recorded } = await startWorker({
      prefix,
      timing,
      config: { ...configOf({ relay: {} }), encryption: wrong },
    });
    await until(() => of('key-missing').length > 0, { what: 'the alarm' });
    expect(recorded('relay').mails).toHaveLength(0);
    expect(await (await testOperator(prefix)).deadLetters.count()).toBe(0);
  });

  test('whose key goes while it waits in its lane waits there beyond its deadline', async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix, { encryption: first });
    const operator = await testOperator(prefix, undefined, undefined, { encryption: first });
    await operator.lanes.pause('relay');
    const config = configOf({ relay: {} });
    const { of, worker, recorded } = await startWorker({ prefix, timing, config: { ...config, encryption: first } });
    const expiresAt = Date.now() + 1_500;
    await producer.send({ ...message('lane'), expiresAt: new Date(expiresAt).toISOString() });
    await until(async () => (await operator.lanes.status('relay')).waiting === 1, { what: 'the message in its lane' });
    await worker.apply({ ...config, encryption: second });
    await operator.lanes.resume('relay');
    await until(() => of('key-missing').length > 0, { what: 'the alarm' });
    // Three rounds of maintenance later.
    await until(() => Date.now() > expiresAt + 1_000, { what: 'the deadline to pass' });
    expect(of('dead')).toEqual([]);
    expect((await operator.lanes.status('relay')).waitingFor).toBe('key');
    expect(recorded('relay').mails).toHaveLength(0);
    expect((await producer.status('lane'))?.state).toBe('queued');
  });

  test('that was changed in Redis becomes a dead letter, and nobody else gets it', async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix, { encryption: first });
    const redis = testConnection();
    for (const id of ['recipient', 'swapped', 'other']) await producer.send(message(id));
    const change = async (id: string, edit: (data: Data) => object): Promise<void> => {
      const key = `${prefix}:${intakeName}:${id}`;
      await redis.hset(key, 'data', JSON.stringify(edit(JSON.parse((await redis.hget(key, 'data'))!))));
    };
    const other = JSON.parse((await redis.hget(`${prefix}:${intakeName}:other`, 'data'))!);
    await change('recipient', (data) => ({
      ...data,
      message: { ...data.message, envelope: { ...data.message.envelope, to: ['thief@example.org'] } },
    }));
    await change('swapped', (data) => ({ ...data, sealed: other.sealed }));
    const { recorded } = await startWorker({ prefix, config: { ...configOf({ relay: {} }), encryption: first } });
    for (const id of ['recipient', 'swapped', 'other']) await producer.waitFor(id);
    expect(recorded('relay').mails).toHaveLength(1);
    expect((await producer.status('recipient'))?.reason).toBe('invalid-message');
    expect((await producer.status('swapped'))?.reason).toBe('invalid-message');
  });
});

test('encryption.require refuses what a client without a key has enqueued, and the dead letter is sealed', async () => {
  const prefix = testPrefix();
  const config = { ...configOf({ relay: {} }), encryption: { ...first, require: true } };
  const { of, recorded } = await startWorker({ prefix, config });
  await enqueuePlain(prefix, { v: 1, message: message('plain') }, 'plain');
  await until(() => of('dead').length === 1, { what: 'the dead letter' });
  await expectNothingReadable(prefix);
  const operator = await testOperator(prefix, undefined, undefined, { encryption: first });
  expect(await operator.deadLetters.summary('plain')).toMatchObject({ reason: 'invalid-message' });
  expect(await operator.replay('plain', { via: null, now: Date.now(), lifetimeMs: 60_000 })).toBe('replayed');
  await until(() => recorded('relay').mails.length === 1, { what: 'the replayed mail' });
  await expectNothingReadable(prefix);
});

describe('a dead letter', () => {
  test('from before the rotation of its key is shown, replayed and dropped', async () => {
    const prefix = testPrefix();
    const config = configOf({ relay: {} });
    const producer = testProducer(prefix, { encryption: first });
    const before = await startWorker({
      prefix,
      config: { ...config, encryption: first },
      scripts: { relay: ['rejected', 'rejected'] },
    });
    for (const id of ['replayed', 'dropped']) {
      await producer.send(message(id));
      await producer.waitFor(id);
    }
    await before.worker.stop();
    await expectNothingReadable(prefix);
    const { recorded } = await startWorker({ prefix, config: { ...config, encryption: both }, name: 'w2' });
    const operator = await testOperator(prefix, undefined, undefined, { encryption: both });
    const letter = await operator.deadLetters.get('replayed');
    expect(JSON.stringify(letter!.data)).toContain(words[1]);
    expect((await operator.content('dropped'))?.subject).toBe(secret.subject);
    expect(await operator.drop('dropped')).toBe(true);
    const keyless = await testOperator(prefix, undefined, undefined, { encryption: null });
    expect(await keyless.deadLetters.get('replayed')).toMatchObject({ keyMissing: 'k1' });
    expect(await keyless.replay('replayed', { via: null, now: Date.now(), lifetimeMs: 60_000 })).toBe('replayed');
    await until(() => recorded('relay').mails.length === 1, { what: 'the replayed mail' });
    await expectNothingReadable(prefix);
  });
});

test('a large attachment that was changed in Redis is not sent: the message becomes a dead letter that says so', async () => {
  const prefix = testPrefix();
  const producer = testProducer(prefix, { encryption: first });
  const redis = testConnection();
  await producer.send({ ...message('m'), attachments: [{ filename: 'x.bin', content: randomBytes(200_000) }] });
  const [ref] = await redis.zrange(`${prefix}:contents`, '0', '0');
  await redis.setrange(`${prefix}:content:${ref}`, 100_000, 'X');
  const { recorded } = await startWorker({ prefix, config: { ...configOf({ relay: {} }), encryption: first } });
  const status = await producer.waitFor('m');
  expect(status).toMatchObject({ state: 'dead', reason: 'invalid-message' });
  expect(status.recipients[0]?.reply).toContain('the stored bytes are not the ones that were stored');
  expect(recorded('relay').mails).toHaveLength(0);
});

test('a large attachment is sealed, stored once, sent whole, and waits where its key is missing', async () => {
  const prefix = testPrefix();
  const content = Buffer.from(`${words[1]} `.repeat(200_000));
  const producer = testProducer(prefix, { encryption: first });
  const redis = testConnection();
  onTestFinished(() => redis.disconnect());
  for (const id of ['a', 'b']) await producer.send({ ...message(id), attachments: [{ filename: 'x.bin', content }] });
  await expectNothingReadable(prefix);
  expect(await redis.zcard(`${prefix}:contents`)).toBe(1);
  const { recorded } = await startWorker({ prefix, config: { ...configOf({ relay: {} }), encryption: first } });
  for (const id of ['a', 'b']) await producer.waitFor(id);
  for (const mail of recorded('relay').mails) {
    expect(mail.bytes.toString().replaceAll('\r\n', '')).toContain(content.toString('base64').slice(0, 5_000));
  }
  await until(async () => (await redis.zcard(`${prefix}:contents`)) === 0, { what: 'the content to be freed' });
});
