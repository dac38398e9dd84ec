/** Adaptive concurrency: a server that refuses more sessions than it bears is given as many, and more once it takes more. */
import { setTimeout as pause } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { openQueues } from '../../../src/queue/open.ts';
import { keysOf } from '../../../src/queue/redis/keys.ts';
import { account, countableMany, settled } from '../../support/accounting.ts';
import { createSmtpTransport } from '../../../src/transport/smtp/smtp.ts';
import type { Transport } from '../../../src/transport/transport.ts';
import { configOf, startWorker, testOperator, testProducer, type TestWorker } from '../../support/postlane.ts';
import { testConnection, testPrefix } from '../../support/redis.ts';
import { serverFor, type ConnectorServer } from '../../support/smtp-sender.ts';
import { until } from '../../../testkit/until.ts';

const configured = 12;
/** A told minute is 60 ms, and what was too much is left alone for ten of them. */
const pauseScale = 0.001;

/** A worker whose sessions are leased, as those of the command line are. */
async function startWith({ settings }: ConnectorServer, prefix: string, name: string): Promise<TestWorker> {
  let transport: Transport | null = null;
  const limits = { concurrency: configured, messagesPerMinute: null };
  const started: TestWorker = await startWorker({
    prefix,
    name,
    config: configOf({ relay: { limits } }),
    transports: {
      // Made when it is first needed: its leases are the worker's.
      get relay() {
        const leases = started.worker.sessions.of('relay', configured);
        return (transport ??= createSmtpTransport({
          settings,
          hostname: 'w.test',
          maxConnections: configured,
          leases,
        }));
      },
    },
    timing: { lockMs: 20_000, pauseScale },
  });
  onTestFinished(async () => transport?.close());
  return started;
}

/** A server with a limit of sessions, and a lane of twelve at once in front of it. `refusals` counts its 421. */
async function setUp(limit: number, workers: readonly string[] = ['one']) {
  const state = { limit, refusals: 0 };
  const relay = await serverFor('relay', {
    script: {
      CONNECT: () => {
        if (relay.received.openConnections <= state.limit) return undefined;
        state.refusals += 1;
        return '421 4.3.2 too many concurrent connections';
      },
      '.': async () => {
        await pause(10);
        return undefined;
      },
    },
  });
  const prefix = testPrefix();
  const producer = testProducer(prefix);
  const operator = await testOperator(prefix);
  const [sender] = await Promise.all(workers.map((name) => startWith(relay, prefix, name)));
  const send = async (count: number, batch: string): Promise<string[]> => {
    const messages = countableMany(count, batch);
    await producer.sendMany(messages);
    return messages.map(({ id }) => id!);
  };
  const concurrency = async (): Promise<number> => (await operator.lanes.status('relay')).concurrency ?? 0;
  return { state, relay, prefix, producer, operator, sender: sender!, send, concurrency };
}

test('a server that bears four sessions is soon given about four, and refuses fewer than it would without', async () => {
  const { state, relay, producer, sender, send } = await setUp(4);
  const rows = await settled(producer, await send(400, 'm'));
  expect(account(rows, [relay])).toMatchObject({ lost: [], blindlyTwice: [], states: { sent: 400 } });
  expect(rows.every(({ attempts }) => attempts === 1)).toBe(true);
  const perMessage = state.refusals / 400;
  const faults = sender.of('connector-fault');
  expect(faults[0]).toMatchObject({ fault: 'throttled', concurrency: configured - 1 });
  // What the refusals left. On a slow machine a higher number passes for a while, or a session that ends is still counted as open.
  expect(Math.min(...faults.map(({ concurrency }) => concurrency))).toBeLessThanOrEqual(6);

  // The same without feedback: after each pause and its probe the lane is given all its sessions at once.
  const without = await setUp(4);
  const keys = keysOf(without.prefix);
  const redis = testConnection();
  let forgotten = 0;
  const forget = async (): Promise<void> => {
    for (; forgotten < without.sender.of('connector-recovered').length; forgotten += 1) {
      await redis.hdel(keys.connector('relay'), 'level');
      await without.operator.lanes.setLimits('relay', { concurrency: configured, messagesPerMinute: null });
    }
  };
  const ids = await without.send(60, 'w');
  await until(
    async () => {
      await forget();
      return without.relay.received.transactions.length >= 60;
    },
    { what: 'them to be sent without feedback' },
  );
  await settled(without.producer, ids);
  // On an idle machine a fifth; on a busy one, sessions that end are counted as open for a while.
  expect(perMessage).toBeLessThan(without.state.refusals / 60);
});

test('two workers share what the server bears, their idle sessions counted', async () => {
  const { state, relay, producer, send } = await setUp(4, ['one', 'two']);
  const rows = await settled(producer, await send(400, 'm'));
  expect(account(rows, [relay])).toMatchObject({ lost: [], blindlyTwice: [], states: { sent: 400 } });
  // Eight of them are the first burst. What was too much is tried again from time to time, so a slow machine has more of them; without
  // the feedback they would be some 200.
  expect(state.refusals).toBeLessThan(80);
});

test('a server that takes more again gets as many as are configured, one after the other', async () => {
  const { state, sender, send, concurrency, producer } = await setUp(3);
  await settled(producer, await send(100, 'a'));
  expect(await concurrency()).toBeLessThan(configured);
  state.limit = 100;
  let batch = 0;
  await until(
    async () => {
      await settled(producer, await send(50, `b${(batch += 1)}-`));
      return (await concurrency()) === configured;
    },
    { what: 'the configured concurrency' },
  );
  const raised = sender.of('concurrency-raised').map(({ concurrency: now }) => now);
  // Step by step, whatever the way there was: two steps may be told as one, where the first is told late.
  expect(raised.at(-1)).toBe(configured);
  expect(new Set(raised).size).toBeGreaterThan(4);
});

/** The lane and the ledger without a worker, so that each fault and each success is the test's own. */
async function rules() {
  const redis = testConnection();
  const prefix = testPrefix();
  const keys = keysOf(prefix);
  const { lanes, ledger } = openQueues(redis, { prefix });
  const limits = { concurrency: 10, messagesPerMinute: null };
  await lanes.setLimits('c', limits);
  const active = keys.queue('lane-c', 'active');
  let count = 0;
  return {
    lanes,
    set: (concurrency = 10) => lanes.setLimits('c', { ...limits, concurrency }),
    active: async (jobs: number) => {
      await redis.del(active);
      if (jobs > 0) await redis.rpush(active, ...Array.from({ length: jobs }, (_, i) => `j${i}`));
    },
    fault: async (kind: string, toldMs = 60_000, concurrency = 10) => {
      const pauses = { toldMs, firstMs: 1, longestMs: 1, longestHoldMs: 3_600_000 };
      const about = { kind, reply: '', ...pauses, found: false, limits: { ...limits, concurrency } };
      return (await lanes.fault('c', about)).concurrency;
    },
    /** Time passes: pauses and holds that would end in it have ended. */
    pass: async (ms: number) => {
      const key = keys.connector('c');
      for (const field of ['until', 'burst', 'holdUntil', 'okAt']) {
        const at = await redis.hget(key, field);
        if (at !== null) await redis.hset(key, field, Number(at) - ms);
      }
    },
    success: async () => {
      const id = `m${(count += 1)}`;
      const row = { id, connector: 'c', rule: '', messageId: '', recipients: [], acceptedAt: 0, deadline: 1 };
      return ledger.settle(row, null, {
        state: 'sent',
        recipients: [],
        entry: { at: 0, event: 'sent', connector: 'c' },
        retryAt: null,
        reason: null,
        retentionMs: 60_000,
        deadLetter: null,
        countAttempt: true,
        connectorWorks: true,
      });
    },
  };
}

test('each refusal of a burst is one session less; the probe comes first, then the number that was left', async () => {
  const { active, fault, set, success } = await rules();
  await active(8);
  expect([await fault('throttled'), await fault('throttled'), await fault('throttled')]).toEqual([7, 6, 5]);
  // Whatever the sweep or a reload sets meanwhile.
  expect(await set()).toBe(1);
  expect(await success()).toBe('recovered');
  expect(await set()).toBe(5);
  expect(await set(3)).toBe(3);
});

test('what was too much is not tried before ten pauses have passed; then it is, and a whole round of success lifts it', async () => {
  const { active, fault, set, pass, success } = await rules();
  await active(5);
  expect(await fault('throttled')).toBe(4);
  expect(await success()).toBe('recovered');
  await pass(61_000);
  for (let i = 0; i < 20; i += 1) expect(await success()).toBe('ok');
  expect(await set()).toBe(4);
  await pass(600_000);
  expect(await success()).toBe('raised');
  expect(await set()).toBe(5);
  let answers = '';
  for (let i = 0; i < 5 + 6 + 7 + 8 + 9 && (await set()) < 10; i += 1) answers += ` ${await success()}`;
  expect(await set()).toBe(10);
  expect(answers.match(/raised/g)).toHaveLength(5);
  // Nothing is left to be read at each success.
  expect(await success()).toBe('ok');
});

test('a number that fails again is left alone for twice as long', async () => {
  const { active, fault, pass, set, success } = await rules();
  await active(5);
  await fault('throttled');
  await success();
  await pass(661_000);
  for (let i = 0; i < 4; i += 1) await success();
  expect(await set()).toBe(5);
  expect(await fault('throttled')).toBe(4);
  await success();
  await pass(61_000 + 600_000);
  for (let i = 0; i < 20; i += 1) await success();
  expect(await set()).toBe(4);
  await pass(600_000);
  await success();
  expect(await set()).toBe(5);
});

test('where everything was refused nothing is held: one at a time, and up step by step', async () => {
  const { active, fault, pass, set, success } = await rules();
  await active(3);
  expect([await fault('throttled'), await fault('throttled'), await fault('throttled')]).toEqual([2, 1, 1]);
  await pass(61_000);
  expect(await success()).toBe('recovered');
  const levels = [await set()];
  for (let i = 0; i < 10; i += 1) {
    await success();
    levels.push(await set());
  }
  expect(levels).toEqual([2, 2, 3, 3, 3, 4, 4, 4, 4, 5, 5]);
});

test('a fault of another kind ends with the first success, at the configured number at once', async () => {
  const { active, fault, set, success } = await rules();
  await active(8);
  expect(await fault('unreachable')).toBe(10);
  expect(await set()).toBe(1);
  expect(await success()).toBe('recovered');
  expect(await set()).toBe(10);
});
