/** Webhooks of a process, with a real Redis and real receivers: what is delivered, what waits, and what is given up. */
import { expect, onTestFinished, test } from 'vitest';
import type { WebhookEndpoint } from '../../src/config/webhooks.ts';
import { openQueues } from '../../src/queue/open.ts';
import { createSender } from '../../src/webhooks/sender.ts';
import { startWebhooks, type WebhookOptions } from '../../src/webhooks/webhooks.ts';
import type { WebhookEvent } from '../../src/webhooks/deliver.ts';
import { until } from '../../testkit/until.ts';
import { configOf, startWorker, testProducer } from '../support/postlane.ts';
import { startReceiver, type Receiver } from '../support/receiver.ts';
import { redisUrl, shardCount, testConnection, testPrefix } from '../support/redis.ts';

function parts() {
  const prefix = testPrefix();
  const redis = testConnection();
  const open = openQueues(redis, { prefix, shards: shardCount() });
  const run = (endpoints: readonly WebhookEndpoint[], more: Partial<WebhookOptions> = {}) => {
    const told: WebhookEvent[] = [];
    const webhooks = startWebhooks({
      redis: { url: redisUrl(), prefix, shards: shardCount() },
      endpoints,
      tell: (event) => told.push(event),
      random: () => 0,
      leaseMs: 1_000,
      lockMs: 2_000,
      sender: createSender({ timeoutMs: 500 }),
      ...more,
    });
    onTestFinished(() => webhooks.close());
    return { webhooks, told };
  };
  /** Registered: from now on events are for it. */
  const ready = (id: string) =>
    until(async () => Object.keys(await redis.hgetall(`${prefix}:events:consumers`)).includes(`webhook:${id}`), {
      what: `${id} to be registered`,
    });
  const append = async (...numbers: number[]): Promise<void> => {
    for (const n of numbers) await open.events.append('connector.paused', 'relay', { n: String(n) });
  };
  return { prefix, redis, ...open, run, ready, append };
}

const numbersOf = ({ received }: Receiver): number[] => received.map(({ body }) => Number(body.data['n']));
const bySize = (numbers: readonly number[]): number[] => numbers.toSorted((a, b) => a - b);
const allOf = (count: number): number[] => Array.from({ length: count }, (_, n) => n);

test('what happens to messages is delivered once, signed, with an id of its own, and nothing is left behind', async () => {
  const { prefix, deliveries, run, ready } = parts();
  const receiver = await startReceiver();
  run([receiver.endpoint()]);
  await ready('crm');
  const producer = testProducer(prefix);
  await startWorker({ prefix, config: configOf({ relay: {} }), scripts: { relay: ['deferred'] } });
  await producer.send({ id: 'm', from: 'x@example.com', to: 'a@example.net', text: 'x', metadata: { orderId: '7' } });
  await until(() => receiver.received.length === 2, { what: 'both events' });
  const bodies = receiver.received
    .map(({ body }) => body)
    .toSorted((a, b) => Number(a.data['sequence']) - Number(b.data['sequence']));
  expect(bodies.map(({ type }) => type)).toEqual(['message.deferred', 'message.sent']);
  expect(bodies[1]!.data).toMatchObject({ id: 'm', state: 'sent', metadata: { orderId: '7' } });
  expect(new Set(receiver.received.map(({ id }) => id)).size).toBe(2);
  await until(async () => (await deliveries.view('crm')).open === 0, { what: 'nothing to be open' });
  expect(await deliveries.view('crm')).toMatchObject({ delivered: 2, failed: 0, dead: 0, failures: 0, oldestAt: null });
  expect(receiver.refused).toEqual([]);
});

test('two processes with the same endpoint deliver each event once', async () => {
  const { run, ready, append } = parts();
  const receiver = await startReceiver();
  for (let i = 0; i < 2; i += 1) run([receiver.endpoint()]);
  await ready('crm');
  await append(...allOf(200));
  await until(() => receiver.received.length >= 200, { what: 'all events' });
  expect(bySize(numbersOf(receiver))).toEqual(allOf(200));
});

test('a failure is retried with the same id and body, and told once; so is the first success after it', async () => {
  const { run, ready, append, deliveries, redis, prefix } = parts();
  const receiver = await startReceiver();
  receiver.react = () => (receiver.received.length < 3 ? 500 : 204);
  const { told } = run([receiver.endpoint()]);
  await ready('crm');
  await append(1);
  for (const attempt of [1, 2]) {
    await until(() => receiver.received.length === attempt, { what: `attempt ${attempt}` });
    await until(async () => (await redis.zcard(`${prefix}:hook-crm:delayed`)) === 1, { what: 'it to wait' });
    await hurry(redis, prefix);
  }
  // It is told after it is noted.
  await until(() => told.length === 2, { what: 'the success to be told' });
  expect((await deliveries.view('crm')).delivered).toBe(1);
  expect(new Set(receiver.received.map(({ id, text }) => id + text)).size).toBe(1);
  expect(told).toMatchObject([
    { event: 'webhook-failed', webhook: 'crm', reason: 'HTTP 500' },
    { event: 'webhook-recovered', failures: 2 },
  ]);
});

/** What waits for a retry is due now. */
async function hurry(redis: ReturnType<typeof testConnection>, prefix: string, name = 'hook-crm'): Promise<void> {
  const { Queue } = await import('bullmq');
  const queue = new Queue(name, { connection: redis, prefix });
  await queue.promoteJobs();
}

test('after ten attempts an event is a dead letter of its webhook, which an operator delivers again', async () => {
  const { run, ready, append, deliveries, redis, prefix } = parts();
  const receiver = await startReceiver();
  receiver.react = () => 503;
  const { told } = run([receiver.endpoint()]);
  await ready('crm');
  await append(1);
  await until(
    async () => {
      await hurry(redis, prefix);
      return (await deliveries.view('crm')).deadLetters === 1;
    },
    { what: 'a dead letter' },
  );
  expect(receiver.received).toHaveLength(10);
  expect(told.map(({ event }) => event)).toEqual(['webhook-failed', 'webhook-dead']);
  const [letter] = await deliveries.deadLetters('crm', 10);
  expect(letter).toMatchObject({ reason: 'HTTP 503', type: 'connector.paused' });
  expect(await deliveries.view('crm')).toMatchObject({ open: 0, dead: 1, failed: 9 });
  receiver.react = () => 200;
  expect(await deliveries.retry('crm', 'other')).toBe(0);
  expect(await deliveries.retry('crm', null)).toBe(1);
  await until(() => receiver.received.length === 11, { what: 'the replay' });
  expect(new Set(receiver.received.map(({ id }) => id)).size).toBe(1);
  await until(async () => (await deliveries.view('crm')).deadLetters === 0, { what: 'the dead letter to be gone' });
});

test('an endpoint that hangs holds up no other one', async () => {
  const { run, ready, append } = parts();
  const [slow, fast] = [await startReceiver(), await startReceiver()];
  slow.react = () => 'hang';
  run([slow.endpoint({ id: 'slow' }), fast.endpoint({ id: 'fast' })]);
  await Promise.all([ready('slow'), ready('fast')]);
  await append(...allOf(50));
  await until(() => fast.received.length === 50, { what: 'the other one to have all', timeoutMs: 20_000 });
  expect(slow.received.length).toBeLessThan(50);
});

test('410 switches an endpoint off: nothing more is sent or kept, and what was open is there when it is enabled', async () => {
  const { run, ready, append, deliveries, redis, prefix } = parts();
  const receiver = await startReceiver();
  receiver.react = () => 410;
  const { told } = run([receiver.endpoint()]);
  await ready('crm');
  await append(1);
  await until(() => told.some(({ event }) => event === 'webhook-off'), { what: 'it to be switched off' });
  await until(async () => (await redis.hlen(`${prefix}:events:consumers`)) === 0, { what: 'its place to be gone' });
  await append(2);
  const { requests } = receiver;
  const before = requests();
  receiver.react = () => 204;
  expect(await deliveries.view('crm')).toMatchObject({ off: 'gone', open: 1 });
  expect(await deliveries.switchOn('crm')).toBe(true);
  expect(await deliveries.switchOn('crm')).toBe(false);
  await ready('crm');
  await append(3);
  await until(() => numbersOf(receiver).includes(3), { what: 'the next event' });
  await until(() => requests() > before + 1, { what: 'the first event' });
  expect(bySize([...new Set(numbersOf(receiver))])).toEqual([1, 3]);
});

test('429 with Retry-After: until then nothing is sent to this endpoint', async () => {
  const { run, ready, append, deliveries } = parts();
  const receiver = await startReceiver();
  receiver.react = () => ({ status: 429, headers: { 'retry-after': '3' } });
  run([receiver.endpoint()]);
  await ready('crm');
  await append(1);
  await until(async () => (await deliveries.view('crm')).failed === 1, { what: 'the refusal' });
  receiver.react = () => 204;
  const refusedAt = performance.now();
  await append(2);
  await until(() => numbersOf(receiver).includes(2), { what: 'the next event' });
  expect(performance.now() - refusedAt).toBeGreaterThan(1_500);
});

test('`ordered`: a later event of a message waits for the earlier one, those of other messages do not', async () => {
  const { prefix, run, ready, redis } = parts();
  const receiver = await startReceiver();
  let refuse = true;
  receiver.react = ({ body: { data, type } }) =>
    refuse && data['id'] === 'slow' && type === 'message.deferred' ? 500 : 204;
  run([receiver.endpoint({ ordered: true })]);
  await ready('crm');
  const producer = testProducer(prefix);
  await startWorker({ prefix, config: configOf({ relay: {} }), scripts: { relay: ['deferred'] } });
  await producer.send({ id: 'slow', from: 'x@example.com', to: 'a@example.net', text: 'x' });
  await until(() => receiver.received.length > 0, { what: 'the first event' });
  await producer.send({ id: 'other', from: 'x@example.com', to: 'a@example.net', text: 'x' });
  const typesOf = (id: string): string[] =>
    receiver.received.filter(({ body }) => body.data['id'] === id).map(({ body }) => body.type);
  await until(() => typesOf('other').includes('message.sent'), { what: 'the other message' });
  await until(async () => (await producer.status('slow'))?.state === 'sent', { what: 'the message to be sent' });
  await until(async () => (await redis.zcard(`${prefix}:webhook:crm:open`)) === 2, { what: 'two events to wait' });
  expect(typesOf('slow')).not.toContain('message.sent');
  refuse = false;
  await until(
    async () => {
      await hurry(redis, prefix);
      return typesOf('slow').includes('message.sent');
    },
    { what: 'the later event' },
  );
  expect(typesOf('slow').at(-2)).toBe('message.deferred');
  expect(await redis.zcard(`${prefix}:webhook:crm:order`)).toBe(0);
});

test('an endpoint that leaves the configuration loses its place in the events; the last one, and nothing is written', async () => {
  const { run, ready, redis, prefix, append } = parts();
  const receiver = await startReceiver();
  const { webhooks } = run([receiver.endpoint(), receiver.endpoint({ id: 'two' })]);
  await Promise.all([ready('crm'), ready('two')]);
  webhooks.apply([receiver.endpoint()]);
  await until(async () => (await redis.hlen(`${prefix}:events:consumers`)) === 1, { what: 'one place' });
  webhooks.apply([]);
  await until(async () => (await redis.hlen(`${prefix}:events:consumers`)) === 0, { what: 'no place' });
  await append(1);
  expect(await redis.exists(`${prefix}:events`)).toBe(0);
  // It comes back, and begins with what happens from then on.
  webhooks.apply([receiver.endpoint()]);
  await ready('crm');
  await append(2);
  await until(() => numbersOf(receiver).length > 0, { what: 'an event' });
  expect(numbersOf(receiver)).toEqual([2]);
});

test('a secret that is replaced signs from the next delivery on, without a restart', async () => {
  const { run, ready, append } = parts();
  const [old, next] = [await startReceiver(), await startReceiver()];
  const { webhooks } = run([next.endpoint({ secrets: [old.secret] })]);
  await ready('crm');
  webhooks.apply([next.endpoint({ secrets: [next.secret, old.secret] })]);
  await append(1);
  await until(() => numbersOf(next).length === 1, { what: 'the event' });
  expect(next.refused).toEqual([]);
});

test('what is about an erased message leaves the queue and the dead letters', async () => {
  const { deliveries, redis, prefix } = parts();
  const about = (message: string | null, n: number) => ({
    eventId: `0-${n}-0`,
    at: n,
    type: 'message.sent',
    message,
    sequence: n,
    body: JSON.stringify({ data: { id: message, recipients: [{ address: 'you@example.net' }] } }),
  });
  await deliveries.add('crm', [about('m1', 1), about('m2', 2), about(null, 3)], true);
  await deliveries.erase(new Set(['m1']));
  expect(await redis.zrange(`${prefix}:webhook:crm:open`, 0, '-1')).toEqual(['0-2-0', '0-3-0']);
  expect(await redis.exists(`${prefix}:hook-crm:0-1-0`)).toBe(0);
  expect(await redis.zcard(`${prefix}:webhook:crm:order`)).toBe(1);
});

test('an endpoint that cannot keep up leaves events where they are: its queue has a bound', async () => {
  const { deliveries, run, ready, append, redis, prefix } = parts();
  const receiver = await startReceiver();
  // As if so many were open already, without any jobs: the next look repairs it.
  const fill = Array.from({ length: 10_000 }, (_, n) => [String(n), `x-${n}`]).flat();
  await redis.zadd(`${prefix}:webhook:crm:open`, ...fill);
  expect(await deliveries.room('crm')).toBe(0);
  run([receiver.endpoint()]);
  await ready('crm');
  await append(1);
  await until(() => numbersOf(receiver).includes(1), { what: 'the event, once there is room' });
  expect(await deliveries.room('crm')).toBeGreaterThan(0);
});
