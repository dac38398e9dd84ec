/** Ids that are words or numbers of BullMQ's own: from callers, and from foreign clients that write them as job ids. */
import { Queue } from 'bullmq';
import { describe, expect, onTestFinished, test } from 'vitest';
import { intakeName, keysOf } from '../../src/queue/redis/keys.ts';
import { reservedWords } from '../../src/queue/redis/job-ids.ts';
import { until } from '../../testkit/until.ts';
import type { Producer } from '../../src/producer/producer.ts';
import { configOf, startWorker, testOperator, testProducer } from '../support/postlane.ts';
import { redisUrl, testConnection, testPrefix } from '../support/redis.ts';

const words = [...reservedWords].sort();
const ids = [...words, '0', '42', '-7', '99999999999999999999', '__proto__', 'constructor', 'toString'];
const message = (id: string) => ({ id, from: 'shop@example.com', to: 'a@example.net', subject: id, text: id });
const config = configOf({ relay: {} });

function foreignQueue(prefix: string): Queue {
  const queue = new Queue(intakeName, { prefix, connection: { url: redisUrl() } });
  queue.on('error', () => undefined);
  onTestFinished(() => queue.close());
  return queue;
}

describe('the attack of an id that is a key of the queue', () => {
  test('sends each such message once, and a second one under its id is a duplicate', async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    const first = await producer.sendMany(ids.map(message));
    expect(first).toEqual(ids.map((id) => ({ ok: true, id, duplicate: false })));
    const { recorded } = await startWorker({ prefix, config });
    for (const id of ids) expect(await producer.waitFor(id)).toMatchObject({ id, state: 'sent', attempts: 1 });
    expect(await producer.sendMany(ids.map(message))).toEqual(ids.map((id) => ({ ok: true, id, duplicate: true })));
    const { id: last } = await producer.send({ ...message('plain') });
    await producer.waitFor(last);
    expect(
      recorded('relay')
        .mails.map(({ id }) => id)
        .sort(),
    ).toEqual([...ids, 'plain'].sort());
  });

  test('cancels each such message before a worker has it', async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    await producer.sendMany(ids.map(message));
    for (const id of ids) expect([id, await producer.cancel(id)]).toEqual([id, true]);
    const { recorded } = await startWorker({ prefix, config });
    await producer.send(message('plain'));
    await producer.waitFor('plain');
    expect(recorded('relay').mails.map(({ id }) => id)).toEqual(['plain']);
  });

  test('dead-letters and replays each such message under its own id', async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    const operator = await testOperator(prefix);
    const rejecting = ids.map((id) => ({ ...message(id), to: 'nobody@example.net' }));
    await producer.sendMany(rejecting);
    const broken = await startWorker({
      prefix,
      config: configOf({ relay: {} }, { connectors: [], systemDefaultGateway: null }),
    });
    for (const id of ids) expect(await producer.waitFor(id)).toMatchObject({ state: 'dead', reason: 'no-route' });
    await broken.worker.stop();
    const { recorded } = await startWorker({ prefix, config, name: 'w2' });
    for (const id of ids) {
      expect(await operator.replay(id, { via: null, now: Date.now(), lifetimeMs: 60_000 })).toBe('replayed');
    }
    for (const id of ids) expect(await producer.waitFor(id)).toMatchObject({ state: 'sent' });
    expect(recorded('relay').mails).toHaveLength(ids.length);
  });
});

describe('the attack of a foreign job under a key of the queue', () => {
  const sound = { v: 1, message: { from: 'shop@example.com', to: ['a@example.net'], text: 'x' } };

  /** All words at once, each in a queue of its own: some are repaired only after a pause. → word, and what came of it. */
  const forEach = async <Result>(attack: (word: string) => Promise<Result>): Promise<[string, Result][]> =>
    Promise.all(words.map(async (word): Promise<[string, Result]> => [word, await attack(word)]));
  // A send may be refused until the queue is repaired.
  const sendOnceRepaired = (producer: Producer, id: string, word: string): Promise<boolean> =>
    until(async () => (await producer.sendMany([message(id)]))[0]?.ok === true, {
      what: `a send to succeed after the attack on ${word}`,
    });

  test('before anything else is in the queue: whichever key it is, it is set aside, and the queue works', async () => {
    const results = await forEach(async (word) => {
      const prefix = testPrefix();
      const foreign = foreignQueue(prefix);
      await foreign.add('message', sound, { jobId: word, removeOnComplete: true }).catch(() => undefined);
      const producer = testProducer(prefix);
      const { of } = await startWorker({ prefix, config });
      await sendOnceRepaired(producer, 'plain', word);
      const { state } = await producer.waitFor('plain');
      const type = await testConnection().type(keysOf(prefix).queue(intakeName, word));
      return { state, setAside: word === 'meta' || type !== 'hash', stopped: of('stopped') };
    });
    expect(results).toEqual(words.map((word) => [word, { state: 'sent', setAside: true, stopped: [] }]));
  });

  test('while mail is waiting: whichever key it is, all of it is sent', async () => {
    const results = await forEach(async (word) => {
      const prefix = testPrefix();
      const producer = testProducer(prefix);
      await producer.sendMany(['m1', 'm2', 'm3'].map(message));
      const { recorded } = await startWorker({ prefix, config });
      await producer.waitFor('m3');
      await foreignQueue(prefix)
        .add('message', sound, { jobId: word })
        .catch(() => undefined);
      await sendOnceRepaired(producer, 'm4', word);
      await producer.waitFor('m4');
      const sent = recorded('relay').mails.map(({ id }) => id);
      return sent.filter((id) => /^m\d/.test(id)).sort();
    });
    expect(results).toEqual(words.map((word) => [word, ['m1', 'm2', 'm3', 'm4']]));
  });

  test('is a dead letter with its content, under an id of its own, and the message of that name is untouched', async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    const operator = await testOperator(prefix);
    await foreignQueue(prefix)
      .add('message', sound, { jobId: 'wait' })
      .catch(() => undefined);
    const { recorded } = await startWorker({ prefix, config });
    await until(async () => (await producer.sendMany([message('wait')]))[0]?.ok === true, {
      what: 'a send to succeed',
    });
    expect(await producer.waitFor('wait')).toMatchObject({ state: 'sent' });
    const letters = [];
    for await (const letter of operator.deadLetters.list({})) letters.push(letter);
    expect(letters).toMatchObject([{ reason: 'invalid-message', reply: expect.stringContaining('BullMQ') as string }]);
    expect(letters[0]?.id).toMatch(/^foreign-wait-\d+$/);
    expect((await operator.deadLetters.get(letters[0]!.id))?.data).toBe(JSON.stringify(sound));
    expect(recorded('relay').mails.map(({ id }) => id)).toEqual(['wait']);
  });
});
