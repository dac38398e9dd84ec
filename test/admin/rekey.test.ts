/** Everything that is stored is sealed anew with the active key, in every state that a message can be in. */
import { describe, expect, test } from 'vitest';
import type { Operator } from '../../src/admin/operator.ts';
import { until } from '../../testkit/until.ts';
import { adminConfig, opsDesk } from '../support/operators.ts';
import { startWorker, testOperator, testProducer } from '../support/postlane.ts';
import { addRaw, soundFields } from '../support/raw-jobs.ts';
import { testConnection, testPrefix } from '../support/redis.ts';
import {
  both,
  everywhere,
  filled,
  first,
  large,
  mailOf,
  rekeyAs,
  rekeyConfig,
  sealedWith,
  second,
} from '../support/rekeying.ts';

const ids = [...Object.keys(everywhere), 'scheduled', 'new'];
const none = { waiting: 0, deadLetters: 0, kept: 0, contents: 0, idempotencyKeys: 0 };
const done = { ...none, waiting: 4, deadLetters: 2, kept: 1, contents: 1 };
const deferredOutcome = {
  kind: 'settled',
  recipients: [
    {
      address: 'deferred@example.net',
      outcome: 'deferred',
      scope: 'recipient',
      reply: { code: '450', enhancedCode: null, text: 'later' },
    },
  ],
} as const;

/** What is shown of each message. */
function subjects(operator: Operator): Promise<unknown[]> {
  return Promise.all(ids.map(async (id) => (await operator.content(id))?.subject));
}

/** Where in Redis a text of the messages can be read. */
async function bodiesIn(prefix: string): Promise<string[]> {
  const redis = testConnection();
  const found: string[] = [];
  for await (const page of redis.scanStream({ match: `${prefix.slice(0, -1)}*`, count: 500 })) {
    for (const key of page as string[]) {
      if ((await redis.type(key)) !== 'hash') continue;
      if (/Subject of|Text of/.test(JSON.stringify(await redis.hgetall(key)))) found.push(key);
    }
  }
  return found;
}

const how = { via: null, now: Date.now(), lifetimeMs: 3_600_000 };

describe('what another key has sealed', () => {
  test('is sealed with the active one; then the other key is removed, and every message is shown and sent once, whole', async () => {
    const prefix = testPrefix();
    const before = await filled(prefix, first);
    expect(await rekeyAs(prefix, both)).toEqual({ active: 'k2', sealed: done, left: [] });
    expect(await sealedWith(prefix, first)).toEqual([]);
    const operator = await testOperator(prefix, undefined, undefined, { encryption: second });
    expect(await subjects(operator)).toEqual(ids.map((id) => `Subject of ${id}`));
    const { recorded, of } = await startWorker({ prefix, config: rekeyConfig(second), name: 'w2' });
    await operator.lanes.resume('paused');
    for (const id of ['scheduled', 'deferred'])
      expect(await operator.as(opsDesk, adminConfig({ relay: {}, deferring: {} })).sendNow(id)).toBe('ok');
    expect(await operator.replay('refused', how)).toBe('replayed');
    expect(await operator.resolve('held', 'retry', { ...how, retentionMs: 3_600_000 })).toBe(true);
    const producer = testProducer(prefix, { encryption: second });
    for (const id of ids)
      await until(async () => (await producer.status(id))?.state === 'sent', { what: `${id} to be sent` });
    const connectors = ['relay', 'paused', 'refusing', 'deferring', 'holding'];
    const mails = connectors.flatMap((connector) => recorded(connector).mails);
    expect(mails.map(({ id }) => id).toSorted()).toEqual(ids.filter((id) => id !== 'sent').toSorted());
    expect(before.recorded('relay').mails.map(({ id }) => id)).toEqual(['sent']);
    const body = large.toString('base64').slice(0, 10_000);
    const hasBody = mails.filter(({ bytes }) => bytes.toString().replaceAll('\r\n', '').includes(body));
    expect(hasBody).toHaveLength(mails.length);
    expect(of('key-missing')).toEqual([]);
  });
});

test('what was stored before encryption is sealed, too, and sent once', async () => {
  const prefix = testPrefix();
  await filled(prefix, null);
  expect(await rekeyAs(prefix, first)).toMatchObject({ sealed: { waiting: 4, deadLetters: 2, kept: 1 } });
  const operator = await testOperator(prefix, undefined, undefined, { encryption: first });
  expect(await bodiesIn(prefix)).toEqual([]);
  expect(await subjects(operator)).toEqual(ids.map((id) => `Subject of ${id}`));
  const { recorded } = await startWorker({ prefix, config: rekeyConfig(first), name: 'w2' });
  await operator.lanes.resume('paused');
  expect(await operator.replay('refused', how)).toBe('replayed');
  const producer = testProducer(prefix, { encryption: first });
  for (const id of ['new', 'paused', 'refused']) await producer.waitFor(id);
  const mails = ['relay', 'paused', 'refusing'].flatMap((connector) => recorded(connector).mails);
  expect(mails.map(({ id }) => id).toSorted()).toEqual(['new', 'paused', 'refused']);
});

test('with encryption.require a plain job of the intake is not sealed, so that nobody enters by it', async () => {
  const prefix = testPrefix();
  const later = mailOf('later', 'a', { sendAt: new Date(Date.now() + 3_600_000), attachments: [] });
  await testProducer(prefix, { encryption: null }).send(later);
  const left = [{ key: null, why: 'refused', ...none, waiting: 1, ids: expect.anything() }];
  expect(await rekeyAs(prefix, { ...first, require: true })).toMatchObject({ left });
});

test('the attack of a plain job that names a sealed content: it is not sealed into a message that gets it', async () => {
  const prefix = testPrefix();
  await testProducer(prefix, { encryption: first }).send(mailOf('whole'));
  const redis = testConnection();
  const [ref] = await redis.zrange(`${prefix}:contents`, '0', '-1');
  const attachments = [{ filename: 'a.bin', ref, size: large.length }];
  const stolen = { v: 1, message: { from: 'a@example.com', to: ['evil@example.net'], text: 'x', attachments } };
  await addRaw(redis, prefix, 'stolen', soundFields(stolen));
  expect((await rekeyAs(prefix, first)).sealed.waiting).toBe(0);
  expect(await redis.hget(`${prefix}:outbound:stolen`, 'data')).toBe(JSON.stringify(stolen));
});

describe('what cannot be sealed anew is left as it is, and told:', () => {
  test('with a key that is not here', async () => {
    const prefix = testPrefix();
    await filled(prefix, first);
    const { sealed, left } = await rekeyAs(prefix, second);
    expect(sealed).toEqual(none);
    const waiting = ['deferred', 'new', 'paused', 'scheduled'];
    expect(left).toEqual([{ key: 'k1', why: 'key-missing', ...done, ids: expect.anything() }]);
    expect(left[0]!.ids.waiting.toSorted()).toEqual(waiting);
    expect(left[0]!.ids.deadLetters.toSorted()).toEqual(['held', 'refused']);
    expect((await rekeyAs(prefix, both)).left).toEqual([]);
  });

  test('a message that a worker has, until it is over', async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix, { encryption: first });
    await producer.send(mailOf('deferred', 'deferring', { attachments: [] }));
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const scripts = { deferring: [async () => held.then(() => deferredOutcome)] };
    const config = rekeyConfig(both);
    const { recorded } = await startWorker({ prefix, config, scripts });
    await until(() => recorded('deferring').mails.length === 1, { what: 'the attempt' });
    const busy = { key: 'k1', why: 'busy', ...none, waiting: 1, ids: expect.anything() };
    expect(await rekeyAs(prefix, both, { patienceMs: 0 })).toMatchObject({ left: [busy] });
    const rekeying = rekeyAs(prefix, both);
    release();
    expect(await rekeying).toMatchObject({ sealed: { waiting: 1 }, left: [] });
    expect((await producer.status('deferred'))?.attempts).toBe(1);
  });

  test('a message that was changed in Redis', async () => {
    const prefix = testPrefix();
    const later = { sendAt: new Date(Date.now() + 3_600_000), attachments: [] };
    await testProducer(prefix, { encryption: first }).send(mailOf('later', 'a', later));
    const [redis, key] = [testConnection(), `${prefix}:outbound:later`];
    await redis.hset(key, 'data', (await redis.hget(key, 'data'))!.replace('later@example.net', 'thief@example.net'));
    const left = [{ key: 'k1', why: 'damaged', ...none, waiting: 1, ids: expect.anything() }];
    expect(await rekeyAs(prefix, both)).toMatchObject({ left });
  });
});

test('a count changes nothing, and --from leaves other keys alone', async () => {
  const prefix = testPrefix();
  const later = { sendAt: new Date(Date.now() + 3_600_000), attachments: [] };
  await testProducer(prefix, { encryption: first }).send(mailOf('by-k1', 'a', later));
  await testProducer(prefix, { encryption: null }).send(mailOf('plain', 'a', later));
  const counts = { why: 'to-do', ...none, waiting: 1, ids: expect.anything() };
  const before = await rekeyAs(prefix, both, { dryRun: true });
  expect(before.left.toSorted((a, b) => (a.key ?? '').localeCompare(b.key ?? ''))).toEqual([
    { key: null, ...counts },
    { key: 'k1', ...counts },
  ]);
  expect(await sealedWith(prefix, first)).toEqual(['outbound:by-k1']);
  expect(await rekeyAs(prefix, both, { from: 'k1' })).toMatchObject({ sealed: { waiting: 1 }, left: [] });
  expect(await sealedWith(prefix, first)).toEqual([]);
  expect((await rekeyAs(prefix, both, { dryRun: true })).left).toEqual([{ key: null, ...counts }]);
});

test('two at once do each message once, and harm nothing', async () => {
  const prefix = testPrefix();
  await filled(prefix, first);
  const reports = await Promise.all([rekeyAs(prefix, both), rekeyAs(prefix, both)]);
  expect(reports.map(({ left }) => left)).toEqual([[], []]);
  const operator = await testOperator(prefix, undefined, undefined, { encryption: second });
  expect(await subjects(operator)).toEqual(ids.map((id) => `Subject of ${id}`));
});

test('order, times and attempts of waiting messages stay as they are', async () => {
  const prefix = testPrefix();
  await filled(prefix, first);
  const redis = testConnection();
  const seen = async (): Promise<unknown> => {
    const parts: unknown[] = [];
    for await (const page of redis.scanStream({ match: `${prefix.slice(0, -1)}*`, count: 500 })) {
      for (const key of (page as string[]).toSorted()) {
        const type = await redis.type(key);
        if (type === 'zset') parts.push([key, await redis.zrange(key, '0', '-1', 'WITHSCORES')]);
        else if (type === 'list') parts.push([key, await redis.lrange(key, 0, -1)]);
        else if (type === 'hash') parts.push([key, { ...(await redis.hgetall(key)), data: null }]);
      }
    }
    return parts.toSorted((a, b) => (String(a) < String(b) ? -1 : 1));
  };
  const before = await seen();
  await rekeyAs(prefix, both);
  expect(await seen()).toEqual(before);
});

test('a paced one does no more than its rate allows', async () => {
  const prefix = testPrefix();
  const later = { sendAt: new Date(Date.now() + 3_600_000), attachments: [] };
  const messages = Array.from({ length: 6 }, (_, i) => mailOf(`m${i}`, 'a', later));
  await testProducer(prefix, { encryption: first }).sendMany(messages);
  const from = performance.now();
  expect((await rekeyAs(prefix, both, { betweenMs: 50 })).sealed.waiting).toBe(6);
  expect(performance.now() - from).toBeGreaterThanOrEqual(250);
});

test('a repeated submission under an idempotency key is recognised after its key of encryption is gone', async () => {
  const prefix = testPrefix();
  const mail = { from: 'a@example.com', to: 'b@example.net', text: 'x' };
  const keyed = { idempotencyKey: 'order-1' };
  const before = await testProducer(prefix, { encryption: first }).send(mail, keyed);
  await testProducer(prefix, { encryption: null }).send(mail, { idempotencyKey: 'plain' });
  const after = testProducer(prefix, { encryption: second });
  await expect(after.send(mail, keyed)).rejects.toMatchObject({ code: 'key-missing' });
  const redis = testConnection();
  const endsBefore = await ttls(redis, prefix);
  // Of each, what stands under its key, and beside its message.
  expect((await rekeyAs(prefix, both)).sealed.idempotencyKeys).toBe(4);
  expect(await after.send(mail, keyed)).toEqual({ id: before.id, duplicate: true });
  expect((await after.send(mail, { idempotencyKey: 'plain' })).duplicate).toBe(true);
  await expect(after.send({ ...mail, text: 'y' }, keyed)).rejects.toMatchObject({ code: 'idempotency-mismatch' });
  for (const [i, end] of (await ttls(redis, prefix)).entries()) {
    expect(end).toBeGreaterThan(0);
    expect(end).toBeLessThanOrEqual(endsBefore[i]!);
  }
});

/** Of what stands under idempotency keys, and of prints, in ms. */
async function ttls(redis: ReturnType<typeof testConnection>, prefix: string): Promise<number[]> {
  const found = ['idempotency', 'print'].map((kind) => redis.keys(`${prefix}:${kind}:*`));
  const keys = (await Promise.all(found)).flat();
  return Promise.all(keys.toSorted().map((key) => redis.pttl(key)));
}
