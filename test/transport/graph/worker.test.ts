/** Whole workers with Graph connectors: they settle uncertain attempts, obey throttling, survive an expired secret, and send nothing twice. */
import { describe, expect, test } from 'vitest';
import { faults } from '../../../testkit/graph/faults.ts';
import { createGraphTransport } from '../../../src/transport/graph/graph.ts';
import type { GraphSettings } from '../../../src/transport/graph/settings.ts';
import type { Transport } from '../../../src/transport/transport.ts';
import { graphPair, settingsFor, type GraphPairOptions } from '../../support/graph-client.ts';
import { configOf, startWorker, testProducer } from '../../support/postlane.ts';
import { testPrefix } from '../../support/redis.ts';
import { until } from '../../../testkit/until.ts';

const policy = { firstDelayMs: 40, maxDelayMs: 200, lifetimeMs: 3_600_000, onUncertain: 'verify' } as const;
const message = { id: 'm', from: 'sales@example.com', to: 'a@example.net', text: 'x' };
/** A copy shows at once in these scenes. */
const atOnce: Partial<GraphSettings> = {
  timeouts: { tokenMs: 60_000, requestMs: 60_000, uploadMs: 60_000, sentItemsMs: 1 },
};

async function scene(options: GraphPairOptions = {}, retry = policy) {
  const prefix = testPrefix();
  const { graph, transport } = await graphPair({ settings: atOnce, ...options });
  const producer = testProducer(prefix);
  const config = configOf({ graph: { retry, limits: { concurrency: 4, messagesPerMinute: null } } });
  const worker = await startWorker({ prefix, config, transports: { graph: transport }, timing: { pauseScale: 0.01 } });
  const stateOf = async (id: string): Promise<string | undefined> => (await producer.status(id))?.state;
  return { graph, producer, stateOf, prefix, config, ...worker };
}

describe('accepted, then 504', () => {
  test('four times in a row ends with one copy and the state sent', async () => {
    const { graph, producer, stateOf } = await scene();
    graph.script('sendMail', faults.acceptThen(), faults.acceptThen(), faults.acceptThen(), faults.acceptThen());
    await producer.send(message);
    await until(async () => (await stateOf('m')) === 'sent', { what: 'it to be sent' });
    expect(graph.deliveries).toHaveLength(1);
    expect(graph.mailbox('sales@example.com').in('sentitems')).toHaveLength(1);
  });

  test('with a late copy is verified until the copy appears', async () => {
    const { graph, producer, stateOf, of } = await scene({
      sentItems: 'hidden',
      settings: { timeouts: { tokenMs: 60_000, requestMs: 60_000, uploadMs: 60_000, sentItemsMs: 60_000 } },
    });
    graph.script('sendMail', faults.acceptThen());
    await producer.send(message);
    await until(() => of('verified').length > 1, { what: 'two looks' });
    graph.releaseSentItems();
    await until(async () => (await stateOf('m')) === 'sent', { what: 'it to be sent' });
    expect(graph.count('sendMail')).toBe(1);
  });

  test('without the permission to verify ends held, with one copy', async () => {
    const { graph, producer, stateOf } = await scene();
    graph.mailbox('sales@example.com').permissions.read = false;
    graph.script('sendMail', faults.acceptThen());
    await producer.send(message);
    await until(async () => (await stateOf('m')) === 'held', { what: 'it to be held' });
    expect(graph.deliveries).toHaveLength(1);
  });
});

test('a message whose 504 sent nothing is sent again', async () => {
  const { graph, producer, stateOf } = await scene();
  graph.script('sendMail', faults.gatewayTimeout(), faults.reset('after-body'), faults.badGateway());
  await producer.send(message);
  await until(async () => (await stateOf('m')) === 'sent', { what: 'it to be sent' });
  expect([graph.deliveries.length, graph.count('sendMail')]).toEqual([1, 4]);
});

test('a message whose 500 sent nothing is sent again once a copy would have appeared, whatever the retry schedule', async () => {
  const timeouts = { tokenMs: 60_000, requestMs: 60_000, uploadMs: 60_000, sentItemsMs: 2_500 };
  const { graph, producer, stateOf, of } = await scene({ settings: { timeouts } });
  graph.script('sendMail', faults.internal());
  await producer.send(message);
  await until(async () => (await stateOf('m')) === 'sent', { what: 'it to be sent' });
  expect([graph.deliveries.length, graph.count('sendMail')]).toEqual([1, 2]);
  expect(of('held')).toEqual([]);
});

test('a large message is sent in parts through a whole worker', async () => {
  const { graph, producer, stateOf } = await scene();
  const content = Buffer.alloc(5 * 1024 * 1024, 'attachment ');
  const filename = 'large.bin';
  await producer.send({ ...message, bcc: 'hidden@example.net', attachments: [{ filename, content }] });
  await until(async () => (await stateOf('m')) === 'sent', { what: 'it to be sent' });
  const [copy] = graph.mailbox('sales@example.com').in('sentitems');
  expect(Buffer.concat(copy?.attachments[0]?.chunks ?? []).equals(content)).toBe(true);
  expect(graph.deliveries.map(({ recipient }) => recipient)).toEqual(['a@example.net', 'hidden@example.net']);
});

test('many messages over several mailboxes and workers: never a fifth request at once, no attempt counted, each sent once', async () => {
  const prefix = testPrefix();
  const mailboxes = ['a', 'b', 'c'].map((name) => `${name}@example.com`);
  const { graph } = await graphPair({ mailboxes });
  const settings = { ...settingsFor(graph), ...atOnce };
  const limits = { concurrency: 4, messagesPerMinute: null };
  const config = configOf(
    Object.fromEntries(
      mailboxes.map((address) => [address.slice(0, 1), { addresses: [address], retry: policy, limits }]),
    ),
  );
  let turn = 0;
  graph.script('sendMail', () => (++turn % 17 === 0 ? faults.throttled(1) : null));
  const workers = [];
  for (const name of ['w1', 'w2', 'w3']) {
    const transports = Object.fromEntries(
      config.connectors.map(({ id, addresses }): [string, Transport] => [
        id,
        createGraphTransport({ settings, maxConnections: 4, addresses }),
      ]),
    );
    workers.push({ transports, ...(await startWorker({ prefix, config, transports, name })) });
  }
  const producer = testProducer(prefix);
  const ids = Array.from({ length: 150 }, (_, at) => `m${at}`);
  await producer.sendMany(ids.map((id, at) => ({ ...message, id, from: mailboxes[at % 3]! })));
  await until(() => graph.deliveries.length >= ids.length, { what: 'all of them', timeoutMs: 25_000 });
  await until(async () => (await producer.status(ids.at(-1)!))?.state === 'sent', { what: 'the last row' });
  for (const address of mailboxes) expect(graph.highWater(address)).toBeLessThanOrEqual(4);
  const rows = await Promise.all(ids.map((id) => producer.status(id)));
  expect(new Set(rows.map((row) => row?.attempts))).toEqual(new Set([1]));
  expect(graph.deliveries).toHaveLength(ids.length);
  for (const { worker, transports } of workers) {
    await worker.stop();
    await Promise.all(Object.values(transports).map((transport) => transport.close()));
  }
}, 60_000);

test('an expired secret costs a handful of requests and loses no message', async () => {
  const { graph, producer, stateOf, of } = await scene();
  graph.app.secretExpired = true;
  const ids = Array.from({ length: 50 }, (_, at) => `m${at}`);
  await producer.sendMany(ids.map((id) => ({ ...message, id })));
  await until(() => of('connector-fault').length > 0, { what: 'the fault' });
  expect(graph.count('token')).toBeLessThanOrEqual(5);
  graph.app.secretExpired = false;
  await until(() => graph.deliveries.length === ids.length, { what: 'all of them', timeoutMs: 25_000 });
  await until(async () => (await stateOf('m49')) === 'sent', { what: 'the last row' });
  expect(of('connector-fault')[0]).toMatchObject({ fault: 'auth' });
});
