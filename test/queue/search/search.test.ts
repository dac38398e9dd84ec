/** Search: what is found by which filter, in which order, page by page, and what is refused. */
import { describe, expect, test } from 'vitest';
import type { OutboundMessage } from '../../../src/message/outbound.ts';
import { defaultIndex } from '../../../src/queue/journal/index-entries.ts';
import type { OutgoingMail, Outcome } from '../../../src/transport/transport.ts';
import { configOf, startWorker, testOperator, testProducer } from '../../support/postlane.ts';
import { openQueues } from '../../../src/queue/open.ts';
import { isSealed, redisUrl, shardCount, testConnection, testPrefix } from '../../support/redis.ts';
import { until } from '../../../testkit/until.ts';

const index = { ...defaultIndex, from: true, metadata: ['orderId', 'team'], subject: true };
const config = configOf({ relay: {}, sales: { addresses: ['sales@example.com'] } }, { index });

const mail = (id: string, to: string, change: Partial<OutboundMessage> = {}): OutboundMessage => ({
  id,
  from: 'x@example.com',
  to,
  text: 'x',
  ...change,
});

async function fleet(shards?: number) {
  const prefix = testPrefix();
  const redis = { url: redisUrl(), ...(shards === undefined ? {} : { shards }) };
  const producer = testProducer(prefix, { redis });
  const operator = await testOperator(prefix, undefined, redis, { index });
  const worker = await startWorker({ prefix, config, redis });
  const send = async (...messages: readonly OutboundMessage[]): Promise<void> => {
    for (const message of messages) await producer.send(message);
    for (const { id = '' } of messages) {
      await until(async () => ['sent', 'dead'].includes((await producer.status(id))?.state ?? ''), {
        what: `${id} to end`,
      });
    }
  };
  const ids = async (query: Partial<Parameters<typeof operator.messages>[0]>): Promise<string[]> =>
    (await operator.messages({ limit: 50, ...query })).items.map(({ id }) => id);
  return { prefix, producer, operator, worker, send, ids };
}

describe.each([1, 3])('over %i shards', (shards) => {
  test('a message is found by its recipient, whatever the letter case, the newest first', async () => {
    const { send, ids, operator } = await fleet(shards);
    await send(mail('m1', 'Anna@Example.net'), mail('m2', 'b@example.net'));
    await send(mail('m3', 'anna@example.NET', { from: 'sales@example.com' }));
    expect(await ids({ recipient: 'ANNA@example.net' })).toEqual(['m3', 'm1']);
    const { items, complete } = await operator.messages({ recipient: 'anna@example.net', limit: 1 });
    expect(complete).toBe(true);
    expect(items[0]).toMatchObject({
      id: 'm3',
      state: 'sent',
      connector: 'sales',
      from: 'sales@example.com',
      recipientCount: 1,
    });
    expect(items[0]!.recipients[0]).toMatchObject({ address: 'anna@example.net', outcome: 'accepted' });
    expect(await ids({ recipient: 'nobody@example.net' })).toEqual([]);
  });

  test('filters narrow each other, and each finds by itself what is indexed', async () => {
    const { send, ids } = await fleet(shards);
    await send(
      mail('m1', 'a@example.net', { metadata: { orderId: 'A-1', team: 'x' }, subject: 'One' }),
      mail('m2', 'a@example.net', { from: 'sales@example.com', metadata: { orderId: 'a-1' } }),
      mail('m3', 'b@example.net', { from: 'sales@example.com' }),
    );
    expect(await ids({ metadata: { orderId: 'A-1' } })).toEqual(['m2', 'm1']);
    expect(await ids({ metadata: { orderId: 'A-1', team: 'x' } })).toEqual(['m1']);
    expect(await ids({ from: 'Sales@example.com' })).toEqual(['m3', 'm2']);
    expect(await ids({ recipient: 'a@example.net', connector: 'sales' })).toEqual(['m2']);
    expect(await ids({ connector: 'sales' })).toEqual(['m3', 'm2']);
    expect(await ids({ state: 'sent' })).toEqual(['m3', 'm2', 'm1']);
    expect(await ids({ state: 'dead' })).toEqual([]);
    expect(await ids({})).toEqual(['m3', 'm2', 'm1']);
  });

  test('pages give each message once, in order, however they are cut', async () => {
    const { send, operator } = await fleet(shards);
    const names = Array.from({ length: 23 }, (_, i) => `m${String(i).padStart(2, '0')}`);
    await send(
      ...names.map((id, i) => mail(id, 'a@example.net', { from: i % 2 === 0 ? 'sales@example.com' : 'x@example.com' })),
    );
    for (const query of [{ recipient: 'a@example.net' }, { connector: undefined }]) {
      const found: string[] = [];
      let cursor: string | null = null;
      do {
        const page = await operator.messages({ ...query, limit: 5, cursor });
        expect(page.items.length).toBeLessThanOrEqual(5);
        found.push(...page.items.map(({ id }) => id));
        cursor = page.next;
      } while (cursor !== null);
      expect(found).toEqual(names.toReversed());
    }
  });
});

test('a time is that of acceptance, and both ends are included', async () => {
  const { send, operator, ids } = await fleet();
  await send(mail('m1', 'a@example.net'), mail('m2', 'a@example.net'), mail('m3', 'a@example.net'));
  const at = new Map((await operator.messages({ limit: 9 })).items.map((item) => [item.id, item.at]));
  const recipient = 'a@example.net';
  expect(await ids({ recipient, since: at.get('m2')! })).toContain('m2');
  expect(await ids({ recipient, since: at.get('m3')! + 1 })).toEqual([]);
  expect(await ids({ recipient, until: at.get('m1')! })).toContain('m1');
  expect(await ids({ recipient, until: at.get('m1')! - 1 })).toEqual([]);
  expect(await ids({ until: at.get('m1')! - 1 })).toEqual([]);
  expect(await ids({ recipient, since: Date.now() - 30 * 86_400_000 })).toEqual(['m3', 'm2', 'm1']);
});

test('a message is found by its Message-ID, by its own one of raw, and by the id of the server that took it', async () => {
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  const operator = await testOperator(prefix);
  const took = ({ envelope }: OutgoingMail): Outcome => ({
    kind: 'settled',
    recipients: envelope.to.map((address) => ({
      address,
      outcome: 'accepted',
      scope: 'message',
      reply: { code: '250', enhancedCode: '2.0.0', text: 'Ok: queued as 4XyZ12abcD' },
    })),
  });
  await startWorker({ prefix, config, scripts: { relay: [took] } });
  const ids = async (query: object): Promise<string[]> =>
    (await operator.messages({ limit: 5, ...query })).items.map(({ id }) => id);
  await producer.send(mail('m1', 'a@example.net'));
  const raw = 'From: x@example.com\r\nTo: b@example.net\r\nMessage-ID: <Own.One@app.example>\r\n\r\nhi\r\n';
  await producer.send({ id: 'm2', raw: Buffer.from(raw), envelope: { from: 'x@example.com', to: ['b@example.net'] } });
  for (const id of ['m1', 'm2']) {
    await until(async () => (await producer.status(id))?.state === 'sent', { what: `${id} to be sent` });
  }
  const messageId = (await producer.status('m1'))!.messageId!;
  expect(await ids({ messageId })).toEqual(['m1']);
  expect(await ids({ messageId: messageId.slice(1, -1) })).toEqual(['m1']);
  expect(await ids({ messageId, recipient: 'other@example.net' })).toEqual([]);
  expect(await ids({ messageId: 'own.one@APP.example' })).toEqual(['m2']);
  expect(await ids({ messageId: '4xyz12ABCD' })).toEqual(['m1']);
  expect(await ids({ messageId: '4xyz12ABCE' })).toEqual([]);
});

test('a dead message without a route is found, too', async () => {
  const prefix = testPrefix();
  const none = configOf({ sales: { addresses: ['sales@example.com'] } }, { systemDefaultGateway: null, index });
  await startWorker({ prefix, config: none });
  const producer = testProducer(prefix);
  const operator = await testOperator(prefix);
  await producer.send(mail('m', 'a@example.net'));
  await until(async () => (await producer.status('m'))?.state === 'dead', { what: 'it to be dead' });
  const { items } = await operator.messages({ recipient: 'a@example.net', limit: 5 });
  expect(items).toMatchObject([{ id: 'm', state: 'dead', reason: 'no-route', from: 'x@example.com' }]);
  expect((await operator.messages({ state: 'dead', limit: 5 })).items).toHaveLength(1);
});

test('what cannot be found is refused, with the setting that is missing', async () => {
  const prefix = testPrefix();
  const operator = await testOperator(prefix);
  const refusal = async (query: object): Promise<unknown> =>
    operator.messages({ limit: 5, ...query }).catch((error: unknown) => error);
  expect(await refusal({ from: 'a@example.com' })).toMatchObject({
    code: 'not-indexed',
    issues: [{ field: 'from', rule: 'not-indexed', message: 'needs `index.from: true` in the configuration' }],
  });
  expect(await refusal({ metadata: { orderId: '1' }, recipient: 'a@example.com' })).toMatchObject({
    code: 'not-indexed',
    issues: [{ field: 'metadata.orderId' }],
  });
  expect(await refusal({ limit: 0 })).toMatchObject({ code: 'query-invalid', issues: [{ field: 'limit' }] });
  expect(await refusal({ cursor: 'x' })).toMatchObject({ code: 'query-invalid', issues: [{ field: 'cursor' }] });
  expect(await refusal({ recipient: ' ' })).toMatchObject({ code: 'query-invalid', issues: [{ field: 'recipient' }] });
  expect(await refusal({ recipient: 'a'.repeat(5_000) })).toMatchObject({ code: 'query-invalid' });
  expect(await operator.messages({ recipient: 'a@example.com', limit: 5 })).toEqual({
    items: [],
    next: null,
    complete: true,
  });
});

test('says where it may have missed something: more recipients than are indexed, or an index that came later', async () => {
  const prefix = testPrefix();
  const off = { ...defaultIndex, recipients: false };
  const producer = testProducer(prefix);
  const first = await startWorker({ prefix, config: configOf({ relay: {} }, { index: off }) });
  await producer.send(mail('m1', 'a@example.net'));
  await until(async () => (await producer.status('m1'))?.state === 'sent', { what: 'm1 to be sent' });
  await first.worker.apply(configOf({ relay: {} }, { index: { ...defaultIndex, recipientsPerMessage: 2 } }));
  const operator = await testOperator(prefix);
  const asked = (since?: number) => operator.messages({ recipient: 'a@example.net', limit: 5, since });
  await until(async () => !(await asked()).complete, { what: 'the index to be noted' });
  await producer.send(mail('m2', 'a@example.net'));
  await until(async () => (await producer.status('m2'))?.state === 'sent', { what: 'm2 to be sent' });
  expect(await asked()).toMatchObject({ items: [{ id: 'm2' }], complete: false });
  const since = (await asked()).items[0]!.at;
  expect((await asked(since)).complete).toBe(true);
  await producer.send({ ...mail('m3', 'c@example.net'), to: ['c@example.net', 'd@example.net', 'a@example.net'] });
  await until(async () => (await producer.status('m3'))?.state === 'sent', { what: 'm3 to be sent' });
  expect(await asked(since)).toMatchObject({ items: [{ id: 'm2' }], complete: false });
});

test('a message that died and is replayed is found once, with its new state', async () => {
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  const operator = await testOperator(prefix);
  await startWorker({ prefix, config, scripts: { relay: ['rejected'] } });
  await producer.send(mail('m', 'a@example.net'));
  await until(async () => (await producer.status('m'))?.state === 'dead', { what: 'it to be dead' });
  await operator.replay('m', { via: null, now: Date.now(), lifetimeMs: 60_000 });
  await until(async () => (await producer.status('m'))?.state === 'sent', { what: 'it to be sent' });
  const { items } = await operator.messages({ recipient: 'a@example.net', limit: 5 });
  expect(items.map(({ id, state }) => [id, state])).toEqual([['m', 'sent']]);
  expect((await operator.messages({ limit: 5 })).items).toHaveLength(1);
});

describe.each([1, 3])('over %i shards, what waits in the intake', (shards) => {
  const later = '2099-01-01T00:00:00Z';
  const waiting = async () => {
    const prefix = testPrefix();
    const redis = { url: redisUrl(), shards };
    const producer = testProducer(prefix, { redis });
    const operator = await testOperator(prefix, undefined, redis, { index });
    const ids = async (query: Partial<Parameters<typeof operator.messages>[0]>): Promise<string[]> =>
      (await operator.messages({ limit: 50, ...query })).items.map(({ id }) => id);
    return { prefix, redis, producer, operator, ids };
  };

  test.skipIf(isSealed())(
    'is found by recipient, From, metadata, state and time, before and after a worker has routed it',
    async () => {
      const { prefix, redis, producer, operator, ids } = await waiting();
      await producer.send(mail('a-later', 'Anna@Example.net', { sendAt: later, metadata: { orderId: '7' } }));
      await producer.send(mail('b-now', 'anna@example.net', { priority: 'high' }));
      await producer.send(mail('c-low', 'jörg@bücher.example', { priority: 'low', from: 'sales@example.com' }));
      expect(await ids({ recipient: 'ANNA@example.net' })).toEqual(['b-now', 'a-later']);
      expect(await ids({ recipient: 'jörg@BÜCHER.example' })).toEqual(['c-low']);
      expect(await ids({ recipient: 'na@example.net' })).toEqual([]);
      expect(await ids({ from: 'sales@example.com' })).toEqual(['c-low']);
      expect(await ids({ metadata: { orderId: '7' } })).toEqual(['a-later']);
      expect(await ids({ state: 'scheduled' })).toEqual(['a-later']);
      expect(await ids({ state: 'queued' })).toEqual(['c-low', 'b-now']);
      expect(await ids({})).toEqual(['c-low', 'b-now', 'a-later']);
      expect(await ids({ state: 'sent' })).toEqual([]);
      expect(await ids({ connector: 'relay' })).toEqual([]);
      const { items, complete } = await operator.messages({ recipient: 'anna@example.net', limit: 1 });
      expect([items[0]?.id, complete]).toEqual(['b-now', true]);
      const [shown] = (await operator.messages({ state: 'scheduled', limit: 1 })).items;
      expect(shown).toMatchObject({ connector: null, metadata: { orderId: '7' } });
      expect(Math.abs(shown!.retryAt! - Date.parse(later))).toBeLessThan(60_000);
      expect(await ids({ until: shown!.at })).toContain('a-later');
      expect(await ids({ until: shown!.at - 1 })).toEqual([]);
      await startWorker({ prefix, config, redis });
      await until(async () => (await producer.status('b-now'))?.state === 'sent', { what: 'it to be sent' });
      expect(await ids({ recipient: 'anna@example.net' })).toEqual(['b-now', 'a-later']);
    },
  );

  test.skipIf(isSealed())('is shown with its From and its recipients once it is cancelled', async () => {
    const { producer, operator } = await waiting();
    await producer.send(mail('m', 'a@example.net', { sendAt: later, metadata: { orderId: '7' } }));
    const before = (await producer.status('m'))!;
    expect(await producer.cancel('m')).toBe(true);
    const row = (await producer.status('m'))!;
    expect(row).toMatchObject({ state: 'cancelled', from: 'x@example.com', acceptedAt: before.acceptedAt });
    expect(row.recipients.map(({ address }) => address)).toEqual(['a@example.net']);
    const { items } = await operator.messages({ state: 'cancelled', limit: 10 });
    expect(items.map(({ id, metadata }) => [id, metadata])).toEqual([['m', { orderId: '7' }]]);
  });

  test('is on the pages once, in the order of acceptance, among what was sent', async () => {
    const { prefix, redis, producer, operator } = await waiting();
    await startWorker({ prefix, config, redis });
    const all: string[] = [];
    for (let i = 0; i < 9; i += 1) {
      const id = `m${i}`;
      all.unshift(id);
      const change = i % 2 === 0 ? {} : { sendAt: later };
      await producer.send(mail(id, 'b@example.net', change));
      const state = i % 2 === 0 ? 'sent' : 'scheduled';
      await until(async () => (await producer.status(id))?.state === state, { what: `${id} to be ${state}` });
    }
    for (const query of [{}, { recipient: 'b@example.net' }]) {
      for (const limit of [1, 2, 4]) {
        const seen: string[] = [];
        for (let cursor: string | null | undefined; cursor !== null;) {
          const page = await operator.messages({ ...query, limit, cursor });
          seen.push(...page.items.map(({ id }) => id));
          cursor = page.next;
        }
        expect([query, limit, seen]).toEqual([query, limit, all]);
      }
    }
  });
});

test('a job of the intake that is too large to look into is named as what may be missing, and one that is no message hides none', async () => {
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  const operator = await testOperator(prefix, undefined, { url: redisUrl() }, { index });
  const { intake } = openQueues(testConnection(), { prefix, shards: shardCount() });
  await producer.send(mail('found', 'c@example.net'));
  await intake.add('message', 'c@example.net', { jobId: 'strange' });
  await intake.add('message', { v: 1, message: { envelope: { to: 'c@example.net' } } }, { jobId: 'shapeless' });
  const small = await operator.messages({ recipient: 'c@example.net', limit: 10 });
  expect([small.items.map(({ id }) => id), small.complete]).toEqual([['found'], true]);
  await intake.add('message', { v: 1, message: { text: 'x'.repeat(1_100_000) } }, { jobId: 'large' });
  const large = await operator.messages({ recipient: 'c@example.net', limit: 10 });
  expect([large.items.map(({ id }) => id), large.complete]).toEqual([['found'], false]);
});
