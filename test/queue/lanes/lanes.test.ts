/** Lanes: limits over all workers, fairness, pauses, live changes, connectors that go, workers that die. */
import { describe, expect, onTestFinished, test } from 'vitest';
import { createRecordingTransport, type RecordingStep } from '../../../src/transport/recording.ts';
import { openQueues } from '../../../src/queue/open.ts';
import { shardsOf } from '../../../src/queue/redis/shards.ts';
import { toleranceMs, rateLimitOf } from '../../../src/queue/lanes/rate.ts';
import type { OutgoingMail, Outcome, SendContext } from '../../../src/transport/transport.ts';
import { redisUrl, shardCount, testConnection, testPrefix } from '../../support/redis.ts';
import { configOf, startWorker, testOperator, testProducer } from '../../support/postlane.ts';
import { monitorRedis } from '../../../testkit/redis-monitor.ts';
import { until } from '../../../testkit/until.ts';
import { startProcessClock } from '../../support/process-clock.ts';

const from = (address: string, count: number, text = 'x') =>
  Array.from({ length: count }, () => ({ from: address, to: 'a@example.net', text }));

/** A step that waits until `open` is called, and counts how many wait at once. */
function gate() {
  let release: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    release = resolve;
  });
  const count = { now: 0, most: 0 };
  const step = async (mail: OutgoingMail, { signal }: SendContext): Promise<Outcome> => {
    count.now += 1;
    count.most = Math.max(count.most, count.now);
    await Promise.race([opened, new Promise((resolve) => signal.addEventListener('abort', resolve))]);
    count.now -= 1;
    const reply = { code: '250', enhancedCode: null, text: 'ok' };
    return {
      kind: 'settled',
      recipients: mail.envelope.to.map((address) => ({ address, outcome: 'accepted', scope: 'recipient', reply })),
    };
  };
  return { step, open: () => release(), count };
}

describe('limits', () => {
  test('of concurrency hold over two workers, and a reload changes them live', async () => {
    const prefix = testPrefix();
    const { step, open, count } = gate();
    const shared = createRecordingTransport({ script: Array.from({ length: 40 }, () => step) });
    const config = (concurrency: number) => configOf({ relay: { limits: { concurrency, messagesPerMinute: null } } });
    const transports = { relay: shared };
    const one = await startWorker({ prefix, config: config(3), transports, name: 'one' });
    await startWorker({ prefix, config: config(3), transports, name: 'two' });
    await testProducer(prefix).sendMany(from('x@example.com', 40));
    await until(() => count.now === 3, { what: 'three to be under way' });
    const operator = await testOperator(prefix);
    await until(async () => (await operator.lanes.status('relay')).waiting === 37, { what: 'the rest to wait' });
    expect(count.most).toBe(3);
    await one.worker.apply(config(7));
    await until(() => count.now === 7, { what: 'seven to be under way after the reload' });
    open();
    await until(() => shared.mails.length === 40, { what: 'all to be sent' });
    expect(count.most).toBe(7);
  });

  test('of rate are paced one by one, not in bursts, over two workers', async () => {
    const prefix = testPrefix();
    const shared = createRecordingTransport();
    const config = configOf({ relay: { limits: { concurrency: 5, messagesPerMinute: 600 } } });
    // When Redis gave each of them out, by its own clock: what a busy machine adds to that on the way is no pace.
    const active = shardsOf(prefix, shardCount()).keysOf('relay').queue('lane-relay', 'active');
    const isTaken = ([command, key]: readonly string[]): boolean =>
      command?.toLowerCase() === 'lpush' && key === active;
    const { commands: taken, stop } = await monitorRedis(redisUrl(), isTaken);
    onTestFinished(stop);
    await startWorker({ prefix, config, transports: { relay: shared }, name: 'one' });
    await startWorker({ prefix, config, transports: { relay: shared }, name: 'two' });
    await testProducer(prefix).sendMany(from('x@example.com', 12));
    await until(() => shared.mails.length === 12, { what: 'twelve paced mails' });
    await until(() => taken.length === 12, { what: 'the monitor to have seen them' });
    // Never ahead of the schedule by more than the lateness that may be caught up, so not all at once.
    const ahead = taken.map(({ at }, i) => i * rateLimitOf(600).intervalMs! - (at - taken[0]!.at));
    expect(Math.max(...ahead)).toBeLessThanOrEqual(toleranceMs + 2);
  });
});

describe('fairness', () => {
  test('a lane with a large backlog does not hold up one that gets a single message', async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    const config = configOf(
      {
        big: { addresses: ['big@example.com'], limits: { concurrency: 2, messagesPerMinute: null } },
        small: { addresses: ['small@example.com'] },
      },
      { worker: { slots: 2, drainMs: 5_000 } },
    );
    const order: string[] = [];
    const { recorded } = await startWorker({ prefix, config });
    await producer.sendMany(from('big@example.com', 300));
    await until(() => recorded('big').mails.length > 10, { what: 'the backlog to be under way' });
    await producer.send({ id: 'small-1', from: 'small@example.com', to: 'a@example.net', text: 'x' });
    await until(() => recorded('small').mails.length === 1, { what: 'the single message' });
    order.push(...recorded('big').mails.map(({ id }) => id));
    expect(order.length).toBeLessThan(300);
    await until(() => recorded('big').mails.length === 300, { what: 'the backlog to end' });
  });

  test('a lane whose server hangs never gets all slots of a process, and the others go on', async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    const release = Promise.withResolvers<Outcome>();
    const hang: RecordingStep = () => release.promise;
    const config = configOf(
      {
        hanging: { addresses: ['hanging@example.com'], limits: { concurrency: 50, messagesPerMinute: null } },
        healthy: { addresses: ['healthy@example.com'] },
      },
      { worker: { slots: 8, drainMs: 5_000 } },
    );
    const scripts = { hanging: Array.from({ length: 6 }, () => hang) };
    const { recorded } = await startWorker({ prefix, config, scripts });
    await producer.sendMany(from('hanging@example.com', 40));
    await until(() => recorded('hanging').mails.length === 6, { what: 'six of eight slots to hang' });
    await producer.sendMany(from('healthy@example.com', 200).map((message, i) => ({ ...message, id: `healthy-${i}` })));
    await until(() => recorded('healthy').mails.length === 200, { what: 'the healthy lane to be served' });
    expect(recorded('hanging').mails).toHaveLength(6);
    release.resolve({ kind: 'stopped', why: 'signal' });
    await until(() => recorded('hanging').mails.length >= 40, { what: 'the rest' });
  });

  test('200 lanes are all served, and each exactly', async () => {
    const prefix = testPrefix();
    const connectors = Object.fromEntries(
      Array.from({ length: 200 }, (_, i) => [`c${i}`, { addresses: [`u${i}@example.com`] }]),
    );
    const name = `only-${prefix}`;
    const { recorded } = await startWorker({ prefix, name, config: configOf(connectors) });
    const messages = Array.from({ length: 400 }, (_, i) => from(`u${i % 200}@example.com`, 1)[0]!);
    const results = await testProducer(prefix).sendMany(messages);
    expect(results.every(({ ok }) => ok)).toBe(true);
    const counts = () => Object.keys(connectors).map((id) => recorded(id).mails.length);
    await until(() => counts().every((count) => count === 2), { what: 'two mails in each lane' });
    const clients = (await testConnection().client('LIST')) as string;
    const ours = clients.split('\n').filter((line) => line.includes(` name=postlane-`) && line.includes(name));
    expect(ours.length).toBeGreaterThan(0);
    expect(ours.length).toBeLessThanOrEqual(3);
  });
});

describe('a lane', () => {
  test('that is paused keeps its mail, and goes on after resume', async () => {
    const prefix = testPrefix();
    const operator = await testOperator(prefix);
    const { recorded } = await startWorker({ prefix, config: configOf({ relay: {} }) });
    await operator.lanes.pause('relay');
    await testProducer(prefix).sendMany(from('x@example.com', 3));
    await until(async () => (await operator.lanes.status('relay')).waiting === 3, { what: 'three to wait' });
    expect(await operator.lanes.status('relay')).toMatchObject({ paused: true, active: 0 });
    expect((await operator.lanes.status('relay')).oldestWaitingAt).toBeGreaterThan(Date.now() - 60_000);
    await operator.lanes.resume('relay');
    await until(() => recorded('relay').mails.length === 3, { what: 'them to be sent' });
  });

  test('whose place in line cannot be written still sends what was taken from it', async () => {
    const prefix = testPrefix();
    const redis = testConnection();
    const { recorded } = await startWorker({ prefix, config: configOf({ relay: {} }), timing: { lockMs: 60_000 } });
    const { lanes } = await testOperator(prefix);
    await lanes.pause('relay');
    await testProducer(prefix).send({ from: 'x@example.com', to: 'a@example.net', text: 'x' });
    await until(async () => (await lanes.status('relay')).waiting === 1, { what: 'the message to be in its lane' });
    const keys = openQueues(redis, { prefix, shards: shardCount() }).shards.keysOf('relay');
    // From here on writing a place is refused, also to maintenance.
    await redis.set(keys.lanes, 'no set');
    await lanes.queue('relay').resume();
    await redis.zadd(keys.ready, 0, 'relay');
    await until(() => recorded('relay').mails.length > 0, { what: 'the message to be sent' });
    expect(recorded('relay').mails).toHaveLength(1);
  });

  test('of a connector that is removed is routed again, and nothing is sent twice', async () => {
    const prefix = testPrefix();
    const operator = await testOperator(prefix);
    const before = configOf({ relay: {}, old: { addresses: ['x@example.com'] } });
    const { recorded, worker } = await startWorker({ prefix, config: before, timing: { orphanGraceMs: 0 } });
    await operator.lanes.pause('old');
    const producer = testProducer(prefix);
    await producer.sendMany(from('x@example.com', 5));
    await until(async () => (await operator.lanes.status('old')).waiting === 5, { what: 'five in the old lane' });
    await worker.apply(configOf({ relay: {} }));
    await until(() => recorded('relay').mails.length === 5, { what: 'them to go through the gateway' });
    const ids = recorded('relay').mails.map(({ id }) => id);
    expect(new Set(ids).size).toBe(5);
    await until(async () => (await producer.status(ids[0]!))?.state === 'sent', { what: 'the ledger to say so' });
    expect((await producer.status(ids[0]!))?.history.map(({ event }) => event)).toEqual([
      'routed',
      'rerouted',
      'routed',
      'sent',
    ]);
    expect(await operator.lanes.status('old')).toMatchObject({ waiting: 0, delayed: 0, active: 0, failed: 0 });
  });
});

describe('a stop', () => {
  test('lets running sends finish and returns the other messages without an attempt, and another worker sends them', async () => {
    const prefix = testPrefix();
    const { step, open, count } = gate();
    const producer = testProducer(prefix);
    const config = configOf({ relay: { limits: { concurrency: 2, messagesPerMinute: null } } });
    const one = await startWorker({ prefix, config, name: 'one', scripts: { relay: [step, step] } });
    const results = await producer.sendMany(from('x@example.com', 6));
    await until(() => count.now === 2, { what: 'two to be under way' });
    const stopped = one.worker.stop();
    open();
    expect(await stopped).toBe(true);
    expect(one.recorded('relay').mails).toHaveLength(2);
    expect(one.events.at(-1)).toMatchObject({ event: 'stopped', drained: true });
    const two = await startWorker({ prefix, config, name: 'two' });
    await until(() => two.recorded('relay').mails.length === 4, { what: 'the rest to be sent by the other' });
    for (const result of results) {
      const id = result.ok ? result.id : '';
      await until(async () => (await producer.status(id))?.state === 'sent', { what: `${id} to be sent` });
      expect((await producer.status(id))?.attempts).toBe(1);
    }
  });

  test('is bounded: a send that does not end is aborted after the drain time', async () => {
    const prefix = testPrefix();
    const { step, count } = gate();
    const config = configOf({ relay: {} }, { worker: { slots: 5, drainMs: 200 } });
    const { worker, events } = await startWorker({ prefix, config, scripts: { relay: [step] } });
    await testProducer(prefix).send({ id: 'slow', from: 'x@example.com', to: 'a@example.net', text: 'x' });
    await until(() => count.now === 1, { what: 'it to be under way' });
    const elapsedMs = startProcessClock();
    expect(await worker.stop()).toBe(true);
    expect(elapsedMs()).toBeLessThan(3_000);
    expect(events.at(-1)).toMatchObject({ event: 'stopped' });
  });
});
