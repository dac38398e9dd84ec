/** Erasure: nothing personal of a message is left in Redis but what says how it ended, and nothing that waits is lost by it. */
import { expect, test } from 'vitest';
import { defaultIndex } from '../../src/queue/journal/index-entries.ts';
import { openQueues } from '../../src/queue/open.ts';
import type { OutgoingMail, Outcome } from '../../src/transport/transport.ts';
import { configOf, startWorker, testOperator, testProducer } from '../support/postlane.ts';
import { redisUrl, shardCount, testConnection, testPrefix } from '../support/redis.ts';
import { until } from '../../testkit/until.ts';

const index = { ...defaultIndex, from: true, metadata: ['person'], subject: true };
const retention = { ledgerMs: 3_600_000, deadLetterMs: 3_600_000, deadLetterCount: 1_000, contentMs: 3_600_000 };
const config = configOf({ relay: {} }, { index, retention });

const secret = 'zzerika';
const message = (id: string) => ({
  id,
  from: `${secret}.from@example.com`,
  to: `${secret}@example.net`,
  subject: `for ${secret}`,
  text: `dear ${secret}`,
  metadata: { person: secret },
});

const answer =
  (outcome: 'accepted' | 'rejected') =>
  ({ envelope }: OutgoingMail): Outcome => ({
    kind: 'settled',
    recipients: envelope.to.map((address) => ({
      address,
      outcome,
      scope: 'message',
      reply: {
        code: outcome === 'accepted' ? '250' : '550',
        enhancedCode: null,
        text: `<${address}> queued as 4XyZ1${secret}`,
      },
    })),
  });

/** Every key of the installation with what it holds, as text. */
async function everything(prefix: string): Promise<string[]> {
  const redis = testConnection();
  const found: string[] = [];
  for await (const keys of redis.scanStream({ match: `${prefix.slice(0, -1)}*`, count: 1_000 })) {
    for (const key of keys as string[]) {
      const dump = (await redis.dumpBuffer(key)) ?? Buffer.alloc(0);
      found.push(`${key} ${dump.toString('latin1')}`);
    }
  }
  return found;
}

test('sent and dead messages keep state, codes and times, and nothing of a person is left in any key', async () => {
  const prefix = testPrefix();
  const redis = { url: redisUrl(), shards: shardCount() };
  const producer = testProducer(prefix);
  const operator = await testOperator(prefix, undefined, redis, { index });
  const { events } = openQueues(testConnection(), { prefix, shards: shardCount() });
  await events.register('slow', { wants: 'all', leaseMs: null });
  await startWorker({ prefix, config, scripts: { relay: [answer('accepted'), answer('rejected')] } });
  await producer.send(message('s'));
  await until(async () => (await producer.status('s'))?.state === 'sent', { what: 's to be sent' });
  await producer.send(message('d'));
  await until(async () => (await producer.status('d'))?.state === 'dead', { what: 'd to be dead' });
  const before = await everything(prefix);
  expect(before.some((each) => each.includes(secret))).toBe(true);
  const { items } = await operator.messages({ recipient: `${secret}@example.net`, limit: 10 });
  expect(await operator.erase(items.map(({ id }) => id))).toEqual([
    { id: 'd', kind: 'erased' },
    { id: 's', kind: 'erased' },
  ]);
  const after = await everything(prefix);
  expect(after.filter((each) => each.includes(secret))).toEqual([]);
  const sent = (await producer.status('s'))!;
  expect(sent).toMatchObject({
    state: 'sent',
    connector: 'relay',
    attempts: 1,
    messageId: null,
    recipients: [{ address: 'erased', outcome: 'accepted', code: '250', reply: null }],
  });
  expect(sent.history.map(({ event, attempt, at }) => [event, attempt, at > 1e12])).toEqual([
    ['routed', undefined, true],
    ['sent', 1, true],
  ]);
  expect(await producer.status('d')).toMatchObject({ state: 'dead', reason: 'rejected' });
  for (const query of [
    { recipient: `${secret}@example.net` },
    { metadata: { person: secret } },
    { messageId: `4XyZ1${secret}` },
  ]) {
    expect((await operator.messages({ ...query, limit: 10 })).items).toEqual([]);
  }
  expect((await operator.messages({ limit: 10 })).items.map(({ id, erasedAt }) => [id, erasedAt! > 1e12])).toEqual([
    ['d', true],
    ['s', true],
  ]);
  expect(await operator.contentOf('s')).toBeNull();
  expect(await operator.deadLetters.get('d')).toBeNull();
  // The id stays taken, and to erase once more does nothing.
  expect(await producer.send(message('s'))).toEqual({ id: 's', duplicate: true });
  expect(await operator.erase(['s', 'unknown'])).toEqual([
    { id: 's', kind: 'erased' },
    { id: 'unknown', kind: 'not-found' },
  ]);
});

test('what waits is left as it is and still sent; once it is cancelled it is erased with its job', async () => {
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  const operator = await testOperator(prefix);
  const first = await startWorker({ prefix, config, scripts: { relay: ['deferred'] } });
  await first.worker.apply(
    configOf(
      { relay: { retry: { ...config.connectors[0]!.retry, firstDelayMs: 600_000, maxDelayMs: 600_000 } } },
      { index, retention },
    ),
  );
  await producer.send(message('w'));
  await until(async () => (await producer.status('w'))?.state === 'deferred', { what: 'it to be deferred' });
  expect(await operator.erase(['w'])).toEqual([{ id: 'w', kind: 'not-settled', state: 'deferred' }]);
  expect((await operator.contentOf('w'))!.message.text).toBe(`dear ${secret}`);
  expect(await producer.cancel('w')).toBe(true);
  expect(await operator.erase(['w'])).toEqual([{ id: 'w', kind: 'erased' }]);
  expect((await everything(prefix)).filter((each) => each.includes(secret))).toEqual([]);
  expect((await producer.status('w'))!.state).toBe('cancelled');
});

test('a message that was cancelled before a worker saw it is erased with its job of the intake', async () => {
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  const operator = await testOperator(prefix);
  await producer.send({ ...message('c'), sendAt: new Date(Date.now() + 3_600_000).toISOString() });
  expect(await operator.erase(['c'])).toEqual([{ id: 'c', kind: 'not-found' }]);
  expect(await producer.cancel('c')).toBe(true);
  expect(await operator.erase(['c'])).toEqual([{ id: 'c', kind: 'erased' }]);
  expect((await everything(prefix)).filter((each) => each.includes(secret))).toEqual([]);
});
