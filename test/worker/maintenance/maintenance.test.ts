/** Maintenance: bounds of dead letters, contents that no message needs, jobs whose workers died each time. */
import { describe, expect, test } from 'vitest';
import { createContentStore } from '../../../src/queue/ledger/content.ts';
import { shareConnection } from '../../../src/queue/bullmq/shared-queues.ts';
import { keysOf } from '../../../src/queue/redis/keys.ts';
import { configOf, startWorker, testOperator, testProducer } from '../../support/postlane.ts';
import { testConnection, testPrefix } from '../../support/redis.ts';
import { until } from '../../../testkit/until.ts';

const message = { from: 'x@example.com', to: 'a@example.net', text: 'x' };

describe('dead letters over their bounds', () => {
  test('go, oldest first, and are counted', async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    const operator = await testOperator(prefix);
    const retention = { ledgerMs: 3_600_000, deadLetterMs: 3_600_000, deadLetterCount: 2 };
    const { of } = await startWorker({
      prefix,
      config: configOf({ relay: {} }, { retention }),
      scripts: { relay: Array(5).fill('rejected') },
    });
    for (const id of ['d1', 'd2', 'd3', 'd4', 'd5']) {
      await producer.send({ ...message, id });
      await until(async () => (await producer.status(id))?.state === 'dead', { what: `${id} to be dead` });
    }
    await until(async () => (await operator.deadLetters.count()) === 2, { what: 'the oldest to go' });
    const left: string[] = [];
    for await (const { id } of operator.deadLetters.list({})) left.push(id);
    expect(left).toEqual(['d4', 'd5']);
    expect(of('dead-letters-trimmed').reduce((sum, { count }) => sum + count, 0)).toBe(3);
  });

  test('stay as long as their message is held for an operator', async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    const operator = await testOperator(prefix);
    let ahead = 0;
    const retry = { firstDelayMs: 40, maxDelayMs: 200, lifetimeMs: 10 * 86_400_000, onUncertain: 'hold' } as const;
    const { of } = await startWorker({
      prefix,
      config: configOf({ relay: { retry } }),
      now: () => Date.now() + ahead,
      scripts: { relay: ['uncertain', 'rejected'] },
    });
    await producer.send({ ...message, id: 'held' });
    await until(async () => (await producer.status('held'))?.state === 'held', { what: 'it to be held' });
    await producer.send({ ...message, id: 'dead' });
    await until(async () => (await producer.status('dead'))?.state === 'dead', { what: 'the other to be dead' });
    ahead = 2 * 3_600_000;
    await until(() => of('dead-letters-trimmed').length > 0, { what: 'the dead letter to go' });
    expect(await operator.deadLetters.get('dead')).toBeNull();
    expect(await operator.deadLetters.get('held')).not.toBeNull();
  });
});

describe('stored content', () => {
  test('that a producer left without a message goes after an hour; what is needed stays', async () => {
    const prefix = testPrefix();
    const redis = testConnection();
    const keys = keysOf(prefix);
    const producer = testProducer(prefix);
    const orphan = await createContentStore(redis, keys).put('never-enqueued', Buffer.alloc(70_000, 'o'));
    const content = Buffer.alloc(70_000, 'n');
    await producer.send({ ...message, id: 'later', sendAt: Date.now() + 40 * 3_600_000, attachments: [{ content }] });
    const [needed] = (await redis.zrange(keys.contents, 0, '-1')).filter((ref) => ref !== orphan.ref);
    let ahead = 0;
    await startWorker({ prefix, config: configOf({ relay: {} }), now: () => Date.now() + ahead });
    ahead = 2 * 3_600_000;
    await until(async () => (await redis.exists(keys.content(orphan.ref))) === 0, { what: 'the orphan to go' });
    expect(await redis.exists(keys.content(needed!), keys.contentRefs(needed!))).toBe(2);
  });
});

describe('a job that has stalled too often', () => {
  test('becomes a dead letter `stalled`, in a lane as in the intake, and can be replayed', async () => {
    const prefix = testPrefix();
    const redis = testConnection();
    const keys = keysOf(prefix);
    const producer = testProducer(prefix);
    const operator = await testOperator(prefix);
    await producer.send({ ...message, id: 'wedged' });
    // As BullMQ leaves it when its workers died: marked as failed for good, and the next worker that takes it fails it.
    await redis.hset(keys.queue('outbound', 'wedged'), 'defa', 'job stalled more than allowable limit');
    const { recorded } = await startWorker({ prefix, config: configOf({ relay: {} }) });
    await until(async () => (await producer.status('wedged'))?.state === 'dead', { what: 'it to be dead' });
    expect(await operator.deadLetters.get('wedged')).toMatchObject({ reason: 'stalled' });
    expect(await shareConnection(redis, prefix).queue('outbound').getJobCounts('failed')).toMatchObject({ failed: 0 });
    await operator.replay('wedged', { via: null, now: Date.now(), lifetimeMs: 60_000 });
    await until(() => recorded('relay').mails.length === 1, { what: 'the replay' });
    expect((await producer.status('wedged'))?.history.map(({ event }) => event)).toContain('replayed');
  });
});
