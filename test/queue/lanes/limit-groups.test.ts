/** Limits of a group of connectors: exact over connectors, workers and shards, and without a price in attempts. */
import { describe, expect, test } from 'vitest';
import { createQuota, ownerOfGroup } from '../../../src/queue/lanes/quota.ts';
import { shardsOf } from '../../../src/queue/redis/shards.ts';
import type { GroupLimits } from '../../../src/routing/connector.ts';
import { configOf, startWorker, testOperator, testProducer } from '../../support/postlane.ts';
import { shardCount, testConnection, testPrefix } from '../../support/redis.ts';
import { until } from '../../../testkit/until.ts';

const tenant = (limits: Partial<GroupLimits>): GroupLimits => ({
  id: 'tenant',
  messagesPerMinute: null,
  recipientsPerDay: null,
  bytesPerWindow: null,
  ...limits,
});
const inGroup = (group: GroupLimits, more: object = {}) => ({
  concurrency: 5,
  messagesPerMinute: null,
  group,
  ...more,
});
const dayMs = 86_400_000;

const ids = ['sales', 'support', 'shop', 'office'];

describe('a group', () => {
  test('is never exceeded by its connectors over two workers; what is left waits in order, without an attempt', async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    const operator = await testOperator(prefix);
    const limits = inGroup(tenant({ recipientsPerDay: 21 }));
    const connectors = Object.fromEntries(ids.map((id) => [id, { limits, addresses: [`${id}@example.com`] }]));
    const config = configOf({ ...connectors, free: { addresses: ['free@example.com'] } });
    const workers = [
      await startWorker({ prefix, config, name: 'one' }),
      await startWorker({ prefix, config, name: 'two' }),
    ];
    const to = ['a@example.net', 'b@example.net'];
    await producer.sendMany(
      [...ids, 'free'].flatMap((id) =>
        Array.from({ length: 10 }, (_, i) => ({ id: `${id}${i}`, from: `${id}@example.com`, to, text: 'x' })),
      ),
    );
    const sent = (id: string) => workers.flatMap(({ recorded }) => recorded(id).mails).length;
    const statuses = () => Promise.all(ids.map((id) => operator.lanes.status(id)));
    await until(async () => (await statuses()).every(({ waitingFor }) => waitingFor === 'group'), {
      what: 'every lane of the group to wait for it',
    });
    await until(() => sent('free') === 10, { what: 'the connector beside the group to send all' });
    const total = ids.reduce((sum, id) => sum + sent(id), 0);
    expect(total).toBe(10);
    expect((await statuses()).reduce((sum, { waiting }) => sum + waiting, 0)).toBe(30);
    expect(await statuses()).toMatchObject(ids.map(() => ({ faults: null, paused: false })));
    const rows = await Promise.all(
      ids.flatMap((id) => Array.from({ length: 10 }, (_, i) => producer.status(`${id}${i}`))),
    );
    expect(rows.filter((row) => row?.state === 'sent' && row.attempts === 1)).toHaveLength(10);
    expect(rows.filter((row) => row?.state === 'queued' && row.attempts === 0)).toHaveLength(30);
    const full = workers.flatMap(({ of }) => of('quota-full'));
    expect(new Set(full.map(({ group, quota }) => `${group} ${quota}`))).toEqual(
      new Set(['tenant recipients-per-day']),
    );
    const redis = testConnection();
    const quota = createQuota(redis, shardsOf(prefix, shardCount()));
    expect(await quota.used(ownerOfGroup('tenant'), [{ kind: 'recipients-per-day', windowMs: dayMs }])).toEqual([20]);
  });

  test('that is full takes nothing from the limits of its connectors', async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    const group = tenant({ recipientsPerDay: 1 });
    const config = configOf({ relay: { limits: inGroup(group, { recipientsPerDay: 100 }) } });
    const { recorded, of } = await startWorker({ prefix, config });
    for (const id of ['first', 'second']) {
      await producer.send({ id, from: 'x@example.com', to: 'a@example.net', text: 'x' });
    }
    await until(() => of('quota-full').length > 0, { what: 'the group to be full' });
    expect(recorded('relay').mails).toHaveLength(1);
    const quota = createQuota(testConnection(), shardsOf(prefix, shardCount()));
    const own = () => quota.used('relay', [{ kind: 'recipients-per-day', windowMs: dayMs }]);
    await until(async () => (await own())[0] === 1, { what: 'what was booked for the second to be given back' });
  });

  test('gets back what an attempt did not use', async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    const config = configOf({ relay: { limits: { ...inGroup(tenant({ recipientsPerDay: 1 })), concurrency: 1 } } });
    const { recorded } = await startWorker({ prefix, config, scripts: { relay: ['rejected'] } });
    for (const id of ['refused', 'last']) {
      await producer.send({ id, from: 'x@example.com', to: 'a@example.net', text: 'x' });
    }
    await until(async () => (await producer.status('last'))?.state === 'sent', { what: 'the last to be sent' });
    expect(recorded('relay').mails).toHaveLength(2);
  });

  test('with messages per minute holds over its connectors in any window', async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    const operator = await testOperator(prefix);
    const limits = inGroup(tenant({ messagesPerMinute: 3 }));
    const connectors = {
      sales: { limits, addresses: ['sales@example.com'] },
      shop: { limits, addresses: ['shop@example.com'] },
    };
    const { recorded } = await startWorker({ prefix, config: configOf(connectors) });
    await producer.sendMany(
      Array.from({ length: 10 }, (_, i) => ({
        from: i % 2 === 0 ? 'sales@example.com' : 'shop@example.com',
        to: 'a@example.net',
        text: 'x',
      })),
    );
    await until(
      async () => {
        const found = await Promise.all(['sales', 'shop'].map((id) => operator.lanes.status(id)));
        return found.every(
          ({ waitingFor, untilMs }) => waitingFor === 'group' && untilMs !== null && untilMs <= 62_000,
        );
      },
      { what: 'both lanes to wait for the minute' },
    );
    expect(recorded('sales').mails.length + recorded('shop').mails.length).toBe(3);
  });

  test('whose limit is raised lets its connectors go on at once', async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    const operator = await testOperator(prefix);
    const configWith = (recipientsPerDay: number) =>
      configOf({ relay: { limits: inGroup(tenant({ recipientsPerDay })) } });
    const { worker, recorded } = await startWorker({ prefix, config: configWith(1) });
    await producer.sendMany(
      Array.from({ length: 3 }, () => ({ from: 'x@example.com', to: 'a@example.net', text: 'x' })),
    );
    await until(async () => (await operator.lanes.status('relay')).waitingFor === 'group', {
      what: 'the group to be full',
    });
    await worker.apply(configWith(10));
    await until(() => recorded('relay').mails.length >= 3, { what: 'the rest to be sent' });
    expect(recorded('relay').mails).toHaveLength(3);
  });
});
