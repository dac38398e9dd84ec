/** The trace of a message from `send` to the server's reply: one tree for a first attempt, links for what comes later. */
import { Queue } from 'bullmq';
import { expect, onTestFinished, test } from 'vitest';
import type { Transport } from '../../src/transport/transport.ts';
import { createSmtpTransport } from '../../src/transport/smtp/smtp.ts';
import { intakeName, keysOf, laneName } from '../../src/queue/redis/keys.ts';
import { smtpSettings, type SmtpSettingsChange } from '../../testkit/smtp/settings.ts';
import { until } from '../../testkit/until.ts';
import { countable, settled, sink } from '../support/accounting.ts';
import { graphPair } from '../support/graph-client.ts';
import { adminConfig, opsDesk } from '../support/operators.ts';
import { configOf, startWorker, testOperator, testProducer } from '../support/postlane.ts';
import { redisUrl, shardCount, testConnection, testPrefix } from '../support/redis.ts';
import { messageFor, startStraight } from '../support/straight.ts';
import { linksOf, traces, type Traces } from '../support/traces.ts';

/** Sends within a span of the application. */
function within<T>({ tracer }: Traces, work: () => Promise<T>): Promise<T> {
  return tracer.startActiveSpan('request', async (span) => {
    try {
      return await work();
    } finally {
      span.end();
    }
  });
}

const paced = { concurrency: 5, messagesPerMinute: 60_000 };

test('one trace has the request, send, route, deliver and the SMTP transaction of a first attempt', async () => {
  const seen = traces();
  const { producer, warm, servers } = await startStraight({ x: {} });
  await warm('x');
  await within(seen, () => producer.send(messageFor('x', 'm', { to: 'secret-recipient@example.net' })));
  await settled(producer, ['m']);
  const [request] = await seen.ended('request');
  await seen.ended('deliver lane', 2);
  expect(seen.tree(request!)).toEqual([
    'request',
    '  send outbound',
    '    route outbound',
    '    deliver lane',
    '      smtp send',
  ]);
  const of = (name: string) =>
    seen.named(name).find((span) => span.spanContext().traceId === request!.spanContext().traceId)!;
  expect(of('send outbound').attributes).toEqual({
    'messaging.system': 'postlane',
    'messaging.operation.type': 'send',
    'messaging.operation.name': 'send',
    'messaging.destination.name': 'outbound',
    'messaging.message.id': 'm',
    'postlane.duplicate': false,
  });
  expect(of('route outbound').attributes).toMatchObject({ 'postlane.connector.id': 'x', 'postlane.rule': 'domain' });
  expect(of('deliver lane').attributes).toMatchObject({
    'messaging.message.id': 'm',
    'postlane.connector.id': 'x',
    'postlane.attempt': 1,
    'postlane.outcome': 'accepted',
    'postlane.recipients.accepted': 1,
    'postlane.recipients.rejected': 0,
  });
  expect(of('deliver lane').events.map(({ name }) => name)).toEqual(['fence']);
  expect(of('smtp send').attributes).toEqual({
    'server.address': '127.0.0.1',
    'server.port': servers['x']!.port,
    'network.transport': 'tcp',
  });
  expect(of('smtp send').events.map(({ name }) => name)).toEqual(['end-of-data']);
  // Neither addresses nor replies.
  const told = JSON.stringify(
    seen.spans().map(({ name, attributes, events, status }) => [name, attributes, events, status]),
  );
  expect(told).not.toMatch(/@|secret|queued as/);
});

test('the same trace where the message waits in its lane, with the session that is opened for it', async () => {
  const seen = traces();
  const { producer } = await startStraight({ x: { limits: paced } });
  await within(seen, () => producer.send(messageFor('x', 'm')));
  await settled(producer, ['m']);
  const [request] = await seen.ended('request');
  await seen.ended('deliver lane');
  const tree = seen.tree(request!);
  expect(tree.filter((line) => !line.includes('smtp connect'))).toEqual([
    'request',
    '  send outbound',
    '    route outbound',
    '    deliver lane',
    '      smtp send',
  ]);
});

test('a session that is opened for a message is told of, with its login; one that fails, with its class', async () => {
  const seen = traces();
  const auth = { user: 'u', password: 'p' };
  const [good, closed] = [await sink({ auth }), await sink()];
  await closed.stop();
  const at = (port: number, change: SmtpSettingsChange = {}): Transport =>
    createSmtpTransport({ settings: smtpSettings(port, change), hostname: 'test.example', maxConnections: 2 });
  const transports = { good: at(good.port, { auth, allowInsecureAuth: true }), closed: at(closed.port) };
  onTestFinished(async () => {
    await Promise.all(Object.values(transports).map((each) => each.close()));
  });
  const prefix = testPrefix();
  const config = configOf({ good: { addresses: ['*@good.example'] }, closed: { addresses: ['*@closed.example'] } });
  await startWorker({ prefix, config, transports });
  const producer = testProducer(prefix);
  await producer.sendMany([messageFor('good', 'g'), messageFor('closed', 'c')]);
  const connects = await seen.ended('smtp connect', 2);
  const [ok, failed] = [
    connects.find((span) => span.attributes['server.port'] === good.port)!,
    connects.find((span) => span.attributes['server.port'] === closed.port)!,
  ];
  expect(ok.attributes['error.type']).toBeUndefined();
  expect(seen.named('smtp auth').map((span) => span.attributes['server.port'])).toEqual([good.port]);
  expect(failed.attributes['error.type']).toBe('ECONNREFUSED');
  const fault = (await seen.ended('deliver lane', 2)).find(
    (span) => span.attributes['postlane.connector.id'] === 'closed',
  )!;
  expect(fault.attributes).toMatchObject({ 'postlane.outcome': 'fault', 'error.type': 'unreachable' });
  await producer.cancel('c');
});

test('a retry has a trace of its own, with links to where the message was sent and to the attempt before', async () => {
  const seen = traces();
  let asked = 0;
  const server = { script: { RCPT: () => ((asked += 1) <= 2 ? '450 4.2.0 later' : undefined) } };
  const { producer } = await startStraight({ x: { server } });
  await within(seen, () => producer.send(messageFor('x', 'm')));
  const [row] = await settled(producer, ['m']);
  expect(row).toMatchObject({ state: 'sent', attempts: 3 });
  const attempts = await seen.ended('deliver lane', 3);
  const [sent] = seen.named('send outbound');
  const ids = attempts.map((span) => span.spanContext());
  expect(attempts.map((span) => span.attributes['postlane.attempt'])).toEqual([1, 2, 3]);
  expect(attempts.map((span) => span.attributes['error.type'])).toEqual(['smtp.450', 'smtp.450', undefined]);
  expect(new Set(ids.map(({ traceId }) => traceId)).size).toBe(3);
  expect(attempts[0]!.parentSpanContext?.spanId).toBe(sent!.spanContext().spanId);
  expect(attempts.slice(1).map(({ parentSpanContext }) => parentSpanContext)).toEqual([undefined, undefined]);
  expect(attempts.map(linksOf)).toEqual([
    [],
    [sent!.spanContext().spanId, ids[0]!.spanId],
    [sent!.spanContext().spanId, ids[1]!.spanId],
  ]);
  // The history shows no more than it did.
  expect(JSON.stringify(row)).not.toContain(ids[0]!.spanId);
});

test('a replay has a trace of its own, with links to where the message was sent and to the attempt that was refused', async () => {
  const seen = traces();
  let refuse = true;
  const server = { script: { RCPT: () => (refuse ? '550 5.1.1 <m@example.net>: nobody' : undefined) } };
  const { producer, prefix } = await startStraight({ x: { server } });
  await within(seen, () => producer.send(messageFor('x', 'm')));
  expect(await settled(producer, ['m'])).toMatchObject([{ state: 'dead' }]);
  const [first] = await seen.ended('deliver lane');
  expect(first!.attributes).toMatchObject({ 'postlane.outcome': 'rejected', 'error.type': 'smtp.550' });
  refuse = false;
  const operator = await testOperator(prefix);
  await operator
    .as(opsDesk, adminConfig({ x: { addresses: ['*@x.example'] } }))
    .replay('m', { via: null, reason: null });
  await until(async () => (await producer.status('m'))?.state === 'sent', { what: 'the replay' });
  const [, second] = await seen.ended('deliver lane', 2);
  const [sent] = seen.named('send outbound');
  expect(second!.parentSpanContext).toBeUndefined();
  expect(linksOf(second!)).toEqual([sent!.spanContext().spanId, first!.spanContext().spanId]);
  const [, routed] = await seen.ended('route outbound', 2);
  expect(linksOf(routed!)).toEqual([sent!.spanContext().spanId]);
});

test('a first attempt that begins too late is not in the trace, and has a link', async () => {
  const seen = traces();
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  await producer.send(countable('m'));
  await startWorker({ prefix, config: configOf({ x: {} }, { tracing: { parentWithinMs: 0 } }) });
  await settled(producer, ['m']);
  const [sent] = seen.named('send outbound');
  for (const name of ['route outbound', 'deliver lane']) {
    const [span] = await seen.ended(name);
    expect(span!.parentSpanContext).toBeUndefined();
    expect(linksOf(span!)).toEqual([sent!.spanContext().spanId]);
  }
});

test('what is refused says so by its class', async () => {
  const seen = traces();
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  await expect(producer.send({ from: 'a@example.com', to: 'nobody', text: 'x' })).rejects.toThrow('not valid');
  expect(seen.named('send outbound')[0]!.attributes['error.type']).toBe('message-invalid');
  await startWorker({
    prefix,
    config: configOf({ x: { addresses: ['a@x.example'] } }, { systemDefaultGateway: null }),
  });
  await producer.send(countable('m'));
  expect(await settled(producer, ['m'])).toMatchObject([{ reason: 'no-route' }]);
  const [routed] = await seen.ended('route outbound');
  expect(routed!.attributes['error.type']).toBe('no-route');
  expect(await producer.send(countable('m'))).toMatchObject({ duplicate: true });
  expect(seen.named('send outbound').at(-1)!.attributes['postlane.duplicate']).toBe(true);
});

test('without propagation a message carries no trace, and its routing begins one that its attempt belongs to', async () => {
  const seen = traces();
  const prefix = testPrefix();
  const producer = testProducer(prefix, { tracing: { propagate: false } });
  await producer.send(countable('m'));
  const opts = await testConnection().hget(keysOf(prefix).intakeJob('m'), 'opts');
  expect(opts).not.toContain('tm');
  await startWorker({ prefix, config: configOf({ x: {} }) });
  await settled(producer, ['m']);
  const [routed] = await seen.ended('route outbound');
  await seen.ended('deliver lane');
  expect(seen.tree(routed!)).toEqual(['route outbound', '  deliver lane']);
});

test('a message that waits for its time carries its trace, and is linked', async () => {
  const seen = traces();
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  await startWorker({ prefix, config: configOf({ x: {} }, { tracing: { parentWithinMs: 100 } }) });
  await producer.send(countable('m', { sendAt: new Date(Date.now() + 500) }));
  await settled(producer, ['m']);
  const [attempt] = await seen.ended('deliver lane');
  expect(linksOf(attempt!)).toEqual([seen.named('send outbound')[0]!.spanContext().spanId]);
});

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
const traceparent = `00-${traceId}-00f067aa0ba902b7-01`;

/** As any BullMQ client adds a message. */
async function addForeign(prefix: string, id: string, metadata: string): Promise<void> {
  const queue = new Queue(intakeName, { connection: { url: redisUrl() }, prefix });
  onTestFinished(() => queue.close());
  const data = { v: 1, message: { from: 'a@example.com', to: `${id}@example.net`, text: 'x' } };
  await queue.add('message', data, { jobId: id, telemetry: { metadata } });
}

test('a foreign client of BullMQ that sets `tm`, as bullmq-otel does, has its message in its own trace', async () => {
  const seen = traces();
  const prefix = testPrefix();
  await startWorker({ prefix, config: configOf({ x: {} }) });
  await addForeign(prefix, 'm', JSON.stringify({ traceparent, tracestate: 'rojo=1', baggage: 'user=me' }));
  await settled(testProducer(prefix), ['m']);
  const spans = [...(await seen.ended('route outbound')), ...(await seen.ended('deliver lane'))];
  expect(spans.map((span) => [span.spanContext().traceId, span.parentSpanContext?.spanId])).toEqual([
    [traceId, '00f067aa0ba902b7'],
    [traceId, '00f067aa0ba902b7'],
  ]);
  expect(spans[1]!.spanContext().traceState?.get('rojo')).toBe('1');
});

test('a message with a hostile `tm` is sent, in a trace of its own', async () => {
  const seen = traces();
  const prefix = testPrefix();
  await startWorker({ prefix, config: configOf({ x: {} }) });
  const hostile = [
    '',
    'x'.repeat(60_000),
    '{"message":{"to":["victim@example.net"]},"connector":"other"}',
    '{"traceparent":"00-00000000000000000000000000000000-0000000000000000-01"}',
    `{"traceparent":"${traceparent}\\r\\nX: y"}`,
    '['.repeat(5_000),
    `{"traceparent":["${traceparent}"]}`,
  ];
  for (const [i, metadata] of hostile.entries()) await addForeign(prefix, `m${i}`, metadata);
  const producer = testProducer(prefix);
  const rows = await settled(
    producer,
    hostile.map((_, i) => `m${i}`),
  );
  expect(rows.map(({ state, recipients }) => [state, recipients[0]!.address])).toEqual(
    hostile.map((_, i) => ['sent', `m${i}@example.net`]),
  );
  const routed = await seen.ended('route outbound', hostile.length);
  expect(routed.map(({ parentSpanContext }) => parentSpanContext)).toEqual(hostile.map(() => undefined));
  expect(routed.every((span) => span.spanContext().traceId !== traceId)).toBe(true);
});

test('hostile contexts in a row and in a lane job harm no message', async () => {
  const seen = traces();
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  let asked = 0;
  const server = { script: { RCPT: () => ((asked += 1) === 1 ? '450 4.2.0 later' : undefined) } };
  const retry = { ...configOf({ x: {} }).connectors[0]!.retry, firstDelayMs: 1_500, maxDelayMs: 2_000 };
  const worker = await startStraight({ x: { server, retry } }, { prefix });
  await worker.producer.send(messageFor('x', 'm'));
  await until(async () => (await producer.status('m'))?.state === 'deferred', { what: 'the first attempt' });
  const redis = testConnection();
  const [row] = await redis.keys(`*:ledger:m`).then((keys) => keys.filter((key) => key.includes(prefix.slice(1, -1))));
  await redis.hset(row!, 'trace', '{"traceparent":1}', 'h2', JSON.stringify({ at: 1, event: 'x', trace: { a: 1 } }));
  const [job] = await redis
    .keys(`*:${laneName('x')}:m`)
    .then((keys) => keys.filter((key) => key.includes(prefix.slice(1, -1))));
  const routing = JSON.parse((await redis.hget(job!, 'routing')) ?? 'null') as object | null;
  if (routing !== null) await redis.hset(job!, 'routing', JSON.stringify({ ...routing, trace: ['x'] }));
  expect(await settled(producer, ['m'])).toMatchObject([{ state: 'sent' }]);
  expect(await seen.ended('deliver lane', 2)).toHaveLength(2);
});

test('Graph: a token that is requested, and the request that sends', async () => {
  const seen = traces();
  const { graph, transport } = await graphPair();
  const prefix = testPrefix();
  await startWorker({
    prefix,
    config: configOf({ sales: { addresses: ['sales@example.com'] } }),
    transports: { sales: transport },
  });
  const producer = testProducer(prefix);
  await within(seen, () => producer.send(countable('m', { from: 'sales@example.com' })));
  await settled(producer, ['m']);
  const [request] = await seen.ended('request');
  await seen.ended('deliver lane');
  expect(seen.tree(request!)).toEqual([
    'request',
    '  send outbound',
    '    route outbound',
    '    deliver lane',
    '      token',
    '      graph send',
  ]);
  const port = Number(new URL(graph.graphBaseUrl).port);
  expect(seen.named('graph send')[0]!.attributes).toMatchObject({ 'server.port': port, 'network.transport': 'tcp' });
  expect(seen.named('deliver lane')[0]!.events.map(({ name }) => name)).toEqual(['fence']);
});

test.skipIf(shardCount() > 1)(
  'what is sent by a span that is not sampled is not sampled, and carries its context',
  async () => {
    const prefix = testPrefix();
    const seen = traces();
    const producer = testProducer(prefix);
    const { context, trace } = await import('@opentelemetry/api');
    const unsampled = { traceId, spanId: '00f067aa0ba902b7', traceFlags: 0, isRemote: true };
    const active = trace.setSpanContext(context.active(), unsampled);
    await context.with(active, () => producer.send(countable('m')));
    await startWorker({ prefix, config: configOf({ x: {} }) });
    await settled(producer, ['m']);
    expect(seen.spans()).toEqual([]);
    const row = await testConnection().hget(keysOf(prefix).ledger('m'), 'trace');
    expect(row).toMatch(new RegExp(`^00-${traceId}-[0-9a-f]{16}-00$`));
  },
);
