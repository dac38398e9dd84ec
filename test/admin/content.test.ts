/** Content that is kept of sent messages: as long as it is told, seen, sent again, and given up before new mail is refused. */
import { expect, test } from 'vitest';
import { openQueues } from '../../src/queue/open.ts';
import { examine } from '../support/doctor.ts';
import { configOf, startWorker, testOperator, testProducer } from '../support/postlane.ts';
import { shardCount, testConnection, testPrefix } from '../support/redis.ts';
import { until } from '../../testkit/until.ts';

const keeping = (contentMs: number) =>
  configOf(
    { relay: {} },
    { retention: { ledgerMs: 3_600_000, deadLetterMs: 3_600_000, deadLetterCount: 1_000, contentMs } },
  );
const large = Buffer.alloc(100_000, 7);
const message = {
  id: 'm',
  from: 'x@example.com',
  to: ['a@example.net', 'b@example.net'],
  subject: 'An offer',
  text: 'the text',
  metadata: { orderId: '7' },
  attachments: [{ filename: 'a.bin', content: large }],
};

async function sent(contentMs: number) {
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  const operator = await testOperator(prefix);
  const worker = await startWorker({ prefix, config: keeping(contentMs) });
  await producer.send(message);
  await until(async () => (await producer.status('m'))?.state === 'sent', { what: 'it to be sent' });
  return { prefix, producer, operator, worker };
}

test('nothing is kept of a sent message unless it is configured', async () => {
  const { operator } = await sent(0);
  expect(await operator.contentOf('m')).toBeNull();
  expect((await operator.actions('m'))!.find(({ action }) => action === 'resend')!.allowed).toBe(false);
});

test('what is kept of a sent message can be seen, and sent again under a new id to the same recipients', async () => {
  const { producer, operator, worker } = await sent(3_600_000);
  const content = (await operator.contentOf('m'))!;
  expect(content.where).toBe('kept');
  expect(content.message).toMatchObject({ subject: 'An offer', text: 'the text', envelope: { to: message.to } });
  expect((await operator.actions('m'))!.find(({ action }) => action === 'resend')!.allowed).toBe(true);
  const actions = operator.as({ by: 'test', through: 'cli', client: null }, { ...keeping(0), connectors: [] });
  const again = (await actions.resend('m', (another) => producer.send(another)))!;
  await until(async () => (await producer.status(again.id))?.state === 'sent', { what: 'it to be sent again' });
  const [first, second] = worker.recorded('relay').mails;
  expect(second!.envelope.to).toEqual(first!.envelope.to);
  expect(second!.id).toBe(again.id);
  expect((await operator.contentOf(again.id))!.message.metadata).toEqual({ orderId: '7', resendOf: 'm' });
  expect((await producer.status(again.id))!.messageId).not.toBe((await producer.status('m'))!.messageId);
});

test('it ends with its time, and stored contents with it', async () => {
  const { prefix, operator } = await sent(3_600_000);
  const redis = testConnection();
  const { shards } = openQueues(redis, { prefix, shards: shardCount() });
  const keys = shards.keysOf('relay');
  const ttl = await redis.pttl(keys.kept('m'));
  expect(ttl).toBeGreaterThan(3_500_000);
  expect(ttl).toBeLessThanOrEqual(3_600_000);
  const { message: kept } = (await operator.contentOf('m'))!;
  const [attachment] = kept.attachments;
  const ref = 'ref' in attachment! ? attachment.ref : '';
  // As if it was stored long ago: maintenance looks at it now, and keeps what is needed.
  await redis.zadd(shards.home.contents, 1, ref);
  await until(async () => Number(await redis.zscore(shards.home.contents, ref)) > 1, { what: 'maintenance to look' });
  expect(await redis.exists(shards.home.content(ref))).toBe(1);
  await redis.del(keys.kept('m'));
  await redis.zadd(shards.home.contents, 1, ref);
  await until(async () => (await redis.exists(shards.home.content(ref))) === 0, { what: 'the content to go' });
});

test('the doctor takes what is kept for needed', async () => {
  const { prefix, operator, worker } = await sent(3_600_000);
  await worker.worker.stop();
  const redis = testConnection();
  const { shards } = openQueues(redis, { prefix, shards: shardCount() });
  const [ref] = await redis.zrange(shards.home.contents, 0, '0');
  // As if it was stored long ago.
  await redis.zadd(shards.home.contents, 1, ref!);
  expect(await examine(prefix)).toEqual([]);
  await redis.del(...shards.all.map((keys) => keys.kept('m')));
  expect((await examine(prefix)).length).toBeGreaterThan(0);
  expect(await operator.contentOf('m')).toBeNull();
});

test('the content of a message that waits, and of one that died, can be seen too', async () => {
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  const operator = await testOperator(prefix);
  await producer.send({ ...message, sendAt: new Date(Date.now() + 3_600_000).toISOString() });
  expect(await operator.contentOf('m')).toMatchObject({ where: 'queue', message: { subject: 'An offer' } });
  await startWorker({ prefix, config: keeping(0), scripts: { relay: ['rejected'] } });
  await producer.send({ ...message, id: 'd' });
  await until(async () => (await producer.status('d'))?.state === 'dead', { what: 'it to be dead' });
  expect(await operator.contentOf('d')).toMatchObject({ where: 'dead-letter', message: { subject: 'An offer' } });
  expect(await operator.contentOf('unknown')).toBeNull();
});

test('is given up before it takes the room of new mail, what ends first at first', async () => {
  const { prefix, operator } = await sent(3_600_000);
  const { upkeep } = openQueues(testConnection(), { prefix, shards: shardCount() });
  expect(await upkeep.dropKept(10)).toBe(1);
  expect(await operator.contentOf('m')).toBeNull();
});
