/** Webhooks over servers that are not a plain Redis with room: a Cluster with shards, and a Redis that is full to the last byte. */
import { Redis } from 'ioredis';
import { expect, onTestFinished, test } from 'vitest';
import { openQueues } from '../../src/queue/open.ts';
import { connectPatient } from '../../src/queue/redis/connection.ts';
import type { RedisSettings } from '../../src/queue/redis/settings.ts';
import { startWebhooks, type WebhookOptions } from '../../src/webhooks/webhooks.ts';
import type { WebhookEvent } from '../../src/webhooks/deliver.ts';
import { until } from '../../testkit/until.ts';
import { countable, settled } from '../support/accounting.ts';
import { ownCluster, ownRedis } from '../support/own-redis.ts';
import { configOf, startWorker, testProducer } from '../support/postlane.ts';
import { startReceiver, type Receiver } from '../support/receiver.ts';

const prefix = '{postlane}';

function serve(redis: RedisSettings & { readonly shards: number }, endpoints: WebhookOptions['endpoints']) {
  const told: WebhookEvent[] = [];
  const tell = (event: WebhookEvent): void => void told.push(event);
  const webhooks = startWebhooks({ redis: { ...redis, prefix }, endpoints, tell, random: () => 0, leaseMs: 1_000 });
  onTestFinished(() => webhooks.close());
  return { webhooks, told };
}

function look(redis: RedisSettings & { readonly shards: number }) {
  const client = connectPatient(redis, 'test');
  client.on('error', () => undefined);
  onTestFinished(() => client.disconnect());
  return { client, ...openQueues(client, { prefix, shards: redis.shards }) };
}

const sentOf = ({ received }: Receiver): string[] =>
  received.flatMap(({ body: { type, data } }) => (type === 'message.sent' ? [String(data['id'])] : []));
const sorted = (texts: readonly string[]): string[] => texts.toSorted((a, b) => a.localeCompare(b));

test('over five shards of a Cluster the events of every shard are delivered once, also by the process that comes next', async () => {
  const { urls } = await ownCluster();
  const redis = { cluster: { nodes: urls }, shards: 5 };
  const receiver = await startReceiver();
  const first = serve(redis, [receiver.endpoint({ ordered: true })]);
  const { client, deliveries, shards } = look(redis);
  await until(
    async () => (await Promise.all(shards.all.map((keys) => client.hlen(keys.eventConsumers)))).every((n) => n === 1),
    { what: 'it to be registered in every shard' },
  );
  const names = Array.from({ length: 12 }, (_, i) => `c${i}`);
  const config = configOf(Object.fromEntries(names.map((name) => [name, { addresses: [`*@${name}.example`] }])));
  expect(new Set(names.map((name) => shards.of(name))).size).toBe(5);
  await startWorker({ prefix, config, redis });
  const producer = testProducer(prefix, { redis });
  const mailsOf = (round: string) => names.map((name) => countable(`${round}-${name}`, { from: `a@${name}.example` }));
  await producer.sendMany(mailsOf('one'));
  await until(() => sentOf(receiver).length >= 12, { what: 'the events' });
  await first.webhooks.close();
  await producer.sendMany(mailsOf('two'));
  await settled(producer, mailsOf('two'));
  const second = serve(redis, [receiver.endpoint({ ordered: true })]);
  await until(() => sentOf(receiver).length >= 24, { what: 'the events meanwhile' });
  await until(async () => (await deliveries.view('crm')).open === 0, { what: 'nothing to be open' });
  expect(sorted(sentOf(receiver))).toEqual(sorted([...mailsOf('one'), ...mailsOf('two')].map(({ id }) => id!)));
  expect([receiver.refused, first.told, second.told]).toEqual([[], [], []]);
});

test('with a Redis that is full, events are delivered, refused and tried again all the same', async () => {
  const { url } = await ownRedis({ appendfsync: 'everysec' });
  const admin = new Redis(url);
  onTestFinished(() => admin.disconnect());
  const redis = { url, shards: 1 };
  const receiver = await startReceiver();
  receiver.react = ({ body }) =>
    body.data['id'] === 'm0' && receiver.received.filter(({ body: { data } }) => data['id'] === 'm0').length === 1
      ? 500
      : 204;
  const { told } = serve(redis, [receiver.endpoint()]);
  const { deliveries } = look(redis);
  await until(async () => (await admin.hlen(`${prefix}:events:consumers`)) === 1, { what: 'it to be registered' });
  const producer = testProducer(prefix, { redis });
  const mails = Array.from({ length: 20 }, (_, i) => countable(`m${i}`));
  await producer.sendMany(mails);
  await admin.config('SET', 'maxmemory', '1000');
  await expect(admin.set('more', 'x')).rejects.toThrow(/^OOM/);
  await startWorker({ prefix, config: configOf({ relay: {} }), redis });
  await until(() => sentOf(receiver).length >= 21, { what: 'every event, and the retry of one' });
  await until(async () => (await deliveries.view('crm')).open === 0, { what: 'nothing to be open' });
  expect(sorted([...new Set(sentOf(receiver))])).toEqual(sorted(mails.map(({ id }) => id!)));
  expect(await deliveries.view('crm')).toMatchObject({ delivered: 20, failed: 1, dead: 0 });
  expect(told.map(({ event }) => event)).toEqual(['webhook-failed', 'webhook-recovered']);
  expect(receiver.refused).toEqual([]);
});
