/** A refusal whose cause is open, in a whole worker: what a crash, a lost note, a reload, a cancellation and a deadline leave of it. */
import { describe, expect, test } from 'vitest';
import { jobIdOf } from '../../../src/queue/jobs.ts';
import type { OpenRefusal, Outcome, OutgoingMail } from '../../../src/transport/transport.ts';
import { createRecordingTransport } from '../../../src/transport/recording.ts';
import { countable, settled } from '../../support/accounting.ts';
import { configOf, startWorker, testOperator, testProducer, testRetry } from '../../support/postlane.ts';
import { shardCount, testConnection, testPrefix } from '../../support/redis.ts';
import { openQueues } from '../../../src/queue/open.ts';
import { until } from '../../../testkit/until.ts';

const plain: OpenRefusal = { suspect: null, atSender: false };
const hour = 3_600_000;

function outcomeOf(mail: OutgoingMail, refused: boolean, open: OpenRefusal): Outcome {
  const reply = refused
    ? { code: '550', enhancedCode: null, text: 'Verboten' }
    : { code: '250', enhancedCode: null, text: 'ok' };
  const own = refused ? ({ outcome: 'rejected', open } as const) : ({ outcome: 'accepted' } as const);
  return {
    kind: 'settled',
    recipients: mail.envelope.to.map((address) => ({ address, scope: 'message', reply, ...own })),
  };
}

/** Workers whose server refuses the messages that `refuses` names. */
async function setUp({ open = plain, refuses = (id: string) => id.startsWith('bad') } = {}) {
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  const operator = await testOperator(prefix);
  const redis = testConnection();
  const opened = openQueues(redis, { prefix, shards: shardCount() });
  const tried: string[] = [];
  const step = (mail: OutgoingMail): Outcome => {
    tried.push(mail.id);
    return outcomeOf(mail, refuses(mail.id), open);
  };
  const relay = createRecordingTransport({ script: Array.from({ length: 100 }, () => step) });
  const retry = { ...testRetry, firstDelayMs: hour, maxDelayMs: hour, lifetimeMs: 10 * hour, attributeWithinMs: hour };
  const config = configOf({ relay: { retry } });
  const start = (name: string, random?: () => number) =>
    startWorker({ prefix, config, transports: { relay }, name, ...(random === undefined ? {} : { random }) });
  const key = opened.shards.keysOf('relay').attribution('relay');
  return {
    producer,
    operator,
    redis,
    tried,
    config,
    start,
    key,
    ledgerKey: (id: string) => opened.shards.keysOf('relay').ledger(id),
    rowOf: (id: string) => opened.ledger.read(id),
    jobOf: (id: string) => operator.lanes.queue('relay').getJob(jobIdOf(id)),
    isDelayed: async (id: string) =>
      (await (await operator.lanes.queue('relay').getJob(jobIdOf(id)))?.getState()) === 'delayed',
  };
}

/** Accepted mail answers the refusal, which ends the message with the reply that it had. */
async function expectRejectedOnce(
  { producer, tried }: Awaited<ReturnType<typeof setUp>>,
  tries: number,
): Promise<void> {
  await producer.send(countable('good'));
  const [row] = await settled(producer, ['bad', 'good']);
  expect(row).toMatchObject({ state: 'dead', reason: 'rejected', attempts: tries });
  expect(row?.recipients).toMatchObject([{ outcome: 'rejected', code: '550', reply: 'Verboten' }]);
  expect(tried.filter((id) => id === 'bad')).toHaveLength(tries);
}

describe('a worker that ends', () => {
  test('after the refusal was noted and before its result was written leaves an attempt without a result, which is made again', async () => {
    // Of a refusal that names a fault: chance is asked for the canary message, then for the delay.
    const on = await setUp({ open: { suspect: 'throttled', atSender: false } });
    let asked = 0;
    const first = await on.start('one', () => {
      asked += 1;
      if (asked === 2) throw new Error('killed here');
      return 0;
    });
    await on.producer.send(countable('bad'));
    await until(() => on.isDelayed('bad'), { what: 'the end of the first try' });
    await first.worker.stop();
    expect(await on.rowOf('bad')).toMatchObject({ state: 'sending', setAside: true });
    expect(await on.redis.hkeys(on.key)).toContain('m:bad');
    await (await on.jobOf('bad'))!.promote();
    await on.start('two');
    await until(() => on.tried.length === 2, { what: 'the second try' });
    await until(async () => (await on.rowOf('bad'))?.state === 'deferred', { what: 'the message to be set aside' });
    // The second hearing is the third try; the one without a result counts as an attempt.
    await on.producer.send(countable('good'));
    const [row] = await settled(on.producer, ['bad']);
    expect(row).toMatchObject({ state: 'dead', reason: 'rejected' });
    expect(on.tried.filter((id) => id === 'bad')).toHaveLength(3);
    expect(await on.redis.exists(on.key)).toBe(0);
  });

  test('after the result and before the delay leaves a message that waits for its time, and is returned by an answer', async () => {
    const on = await setUp();
    const first = await on.start('one');
    await on.producer.send(countable('bad'));
    await until(() => on.isDelayed('bad'), { what: 'the message to be set aside' });
    await first.worker.stop();
    // As it is when its lock has ended: found abandoned, and back in the lane.
    await (await on.jobOf('bad'))!.promote();
    await on.start('two');
    await until(() => on.isDelayed('bad'), { what: 'the message to wait again' });
    expect(on.tried).toEqual(['bad']);
    await expectRejectedOnce(on, 1);
    expect(await on.redis.exists(on.key)).toBe(0);
  });
});

test('an answer that comes while a message is on its way aside returns it at once', async () => {
  const on = await setUp({ open: { suspect: 'throttled', atSender: false } });
  let asked = 0;
  await on.start('one', () => {
    asked += 1;
    // The refusal is noted, and its result is not written yet: an attempt that began later was accepted.
    if (asked === 2) void on.redis.hset(on.key, 'ok', 2 ** 41);
    return 0;
  });
  await on.producer.send(countable('bad'));
  expect((await settled(on.producer, ['bad']))[0]).toMatchObject({ state: 'dead', reason: 'rejected', attempts: 1 });
  expect(on.tried).toEqual(['bad', 'bad']);
});

/** The refusal was noted so much earlier. */
async function age(on: Awaited<ReturnType<typeof setUp>>, id: string, ms: number): Promise<void> {
  const note = JSON.parse((await on.redis.hget(on.key, `m:${id}`))!) as { at: number; first: number };
  await on.redis.hset(on.key, `m:${id}`, JSON.stringify({ ...note, at: note.at - ms, first: note.first - ms }));
}

describe('a permanent refusal in a slow lane', () => {
  test('whose answer comes late is sent if the server has changed its mind', async () => {
    let refuses = true;
    const on = await setUp({ refuses: () => refuses });
    await on.start('one');
    const ids = ['bad1', 'bad2', 'bad3', 'bad4'];
    for (const id of ids) {
      await on.producer.send(countable(id));
      await until(() => on.isDelayed(id), { what: 'the message to be set aside' });
      await age(on, id, 10_000);
    }
    refuses = false;
    await on.producer.send(countable('good'));
    const rows = await settled(on.producer, [...ids, 'good']);
    expect(rows.map(({ state, attempts }) => [state, attempts])).toEqual(rows.map(() => ['sent', 1]));
    expect(on.tried.slice(5)).toEqual(ids);
  });

  test('whose answer comes late is believed if a second transaction has the same', async () => {
    const on = await setUp();
    await on.start('one');
    await on.producer.send(countable('bad'));
    await until(() => on.isDelayed('bad'), { what: 'the message to be set aside' });
    await age(on, 'bad', 10_000);
    await on.producer.send(countable('good'));
    const [row] = await settled(on.producer, ['bad', 'good']);
    expect(row).toMatchObject({ state: 'dead', reason: 'rejected', attempts: 1 });
    expect(on.tried).toEqual(['bad', 'good', 'bad']);
  });
});

test('a Redis that has lost the notes costs a message one more try at its time, and no more', async () => {
  const on = await setUp();
  await on.start('one');
  await on.producer.send(countable('bad'));
  await until(() => on.isDelayed('bad'), { what: 'the message to be set aside' });
  await on.redis.del(on.key);
  await on.producer.send(countable('good0'));
  await settled(on.producer, ['good0']);
  expect(await on.rowOf('bad')).toMatchObject({ state: 'deferred', setAside: true });
  // Its time comes.
  await on.redis.hset(on.ledgerKey('bad'), 'retryAt', '');
  await (await on.jobOf('bad'))!.promote();
  await until(() => on.tried.length === 3, { what: 'another try' });
  await until(() => on.isDelayed('bad'), { what: 'the message to be set aside again' });
  await on.producer.send(countable('good1'));
  expect((await settled(on.producer, ['bad']))[0]).toMatchObject({ state: 'dead', reason: 'rejected', attempts: 1 });
  expect(on.tried).toEqual(['bad', 'good0', 'bad', 'good1']);
});

test('resume returns what is set aside at once, as it was', async () => {
  let refuses = true;
  const on = await setUp({ refuses: () => refuses });
  await on.start('one');
  await on.producer.send(countable('bad'));
  await until(() => on.isDelayed('bad'), { what: 'the message to be set aside' });
  refuses = false;
  await on.operator.lanes.resume('relay');
  expect((await settled(on.producer, ['bad']))[0]).toMatchObject({ state: 'sent', attempts: 1 });
  expect((await on.operator.lanes.status('relay')).suspect).toBeNull();
});

test('settings of the connector that change return what is set aside at once', async () => {
  let refuses = true;
  const on = await setUp({ refuses: () => refuses });
  const { worker } = await on.start('one');
  await on.producer.send(countable('bad'));
  await until(() => on.isDelayed('bad'), { what: 'the message to be set aside' });
  refuses = false;
  const [relay] = on.config.connectors;
  await worker.apply({ ...on.config, connectors: [{ ...relay!, transport: { changed: true } }] });
  expect((await settled(on.producer, ['bad']))[0]).toMatchObject({ state: 'sent', attempts: 1 });
});

test('a message that is set aside can be cancelled, and the next acceptance forgets its refusal', async () => {
  const on = await setUp();
  await on.start('one');
  await on.producer.send(countable('bad'));
  await until(() => on.isDelayed('bad'), { what: 'the message to be set aside' });
  expect(await on.producer.cancel('bad')).toBe(true);
  await on.producer.send(countable('good'));
  await settled(on.producer, ['good']);
  await until(async () => (await on.redis.exists(on.key)) === 0, { what: 'its refusal to be forgotten' });
  expect(on.tried).toEqual(['bad', 'good']);
  expect(await on.producer.status('bad')).toMatchObject({ state: 'cancelled', attempts: 0 });
});

test('a message whose deadline comes before the end of the hold is tried once more half a minute before it', async () => {
  const on = await setUp();
  await on.start('one');
  await on.producer.send(countable('bad', { expiresAt: new Date(Date.now() + 10 * 60_000).toISOString() }));
  await until(() => on.isDelayed('bad'), { what: 'the message to be set aside' });
  const { retryAt, deadline } = (await on.rowOf('bad'))!;
  expect(deadline - retryAt!).toBe(30_000);
});

test('a message without time for another try waits for others until its deadline, and then expires with the reply that it had', async () => {
  const on = await setUp();
  await on.start('one');
  await on.producer.send(countable('bad', { expiresAt: new Date(Date.now() + 50_000).toISOString() }));
  await until(() => on.isDelayed('bad'), { what: 'the message to be set aside' });
  const row = (await on.rowOf('bad'))!;
  expect(row.retryAt).toBe(row.deadline);
  await expectRejectedOnce(on, 1);
  await on.producer.send(countable('bad1', { expiresAt: new Date(Date.now() + 1_500).toISOString() }));
  expect((await settled(on.producer, ['bad1']))[0]).toMatchObject({
    state: 'dead',
    reason: 'expired',
    recipients: [{ code: '550', reply: 'Verboten' }],
  });
});
