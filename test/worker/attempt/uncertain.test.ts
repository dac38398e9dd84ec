/** Attempts without a known result: held or made again, resolved by an operator, ended by the deadline. */
import { describe, expect, test } from 'vitest';
import { createRecordingTransport } from '../../../src/transport/recording.ts';
import type { Outcome, OutgoingMail, Verification } from '../../../src/transport/transport.ts';
import type { NewRow } from '../../../src/queue/ledger/ledger.ts';
import { openQueues } from '../../../src/queue/open.ts';
import { configOf, startWorker, testOperator, testProducer } from '../../support/postlane.ts';
import { testConnection, testPrefix } from '../../support/redis.ts';
import { until } from '../../../testkit/until.ts';

const policy = { firstDelayMs: 40, maxDelayMs: 200, lifetimeMs: 3_600_000 };
const holding = configOf({ relay: { retry: { ...policy, onUncertain: 'hold' } } });
const message = { id: 'm', from: 'x@example.com', to: 'a@example.net', text: 'x' };

describe('an attempt without a known result', () => {
  test('is made again with the same Message-ID where policy says retry, and is visible as uncertain', async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    const { recorded, of } = await startWorker({
      prefix,
      config: configOf({ relay: {} }),
      scripts: { relay: ['uncertain'] },
    });
    await producer.send(message);
    await until(async () => (await producer.status('m'))?.state === 'sent', { what: 'it to be sent' });
    expect((await producer.status('m'))?.history.map(({ event }) => event)).toEqual(['routed', 'uncertain', 'sent']);
    await until(() => of('uncertain').length === 1, { what: 'the event' });
    const [first, second] = recorded('relay').mails.map(({ bytes }) => bytes.toString());
    expect(first).toBe(second);
  });

  test('holds the message for an operator where the policy is `hold`, and sends it again where it is `retry`', async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    const operator = await testOperator(prefix);
    const { recorded, of } = await startWorker({ prefix, config: holding, scripts: { relay: ['uncertain'] } });
    await producer.send(message);
    await until(async () => (await producer.status('m'))?.state === 'held', { what: 'it to be held' });
    expect(recorded('relay').mails).toHaveLength(1);
    await until(() => of('held').length === 1, { what: 'the event' });
    expect(await operator.deadLetters.get('m')).toMatchObject({ reason: 'uncertain' });
    const how = { now: Date.now(), lifetimeMs: 60_000, retentionMs: 60_000 };
    expect(await operator.resolve('m', 'retry', how)).toBe(true);
    expect(await operator.resolve('m', 'retry', how)).toBe(false);
    await until(async () => (await producer.status('m'))?.state === 'sent', { what: 'it to be sent' });
    expect(recorded('relay').mails).toHaveLength(2);
    expect(await operator.deadLetters.count()).toBe(0);
  });

  test.each([
    ['sent', 'sent'],
    ['drop', 'dead'],
  ] as const)('held and resolved as %s ends as %s without another copy', async (as, state) => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    const operator = await testOperator(prefix);
    const { recorded } = await startWorker({ prefix, config: holding, scripts: { relay: ['uncertain'] } });
    await producer.send(message);
    await until(async () => (await producer.status('m'))?.state === 'held', { what: 'it to be held' });
    const how = { now: Date.now(), lifetimeMs: 60_000, retentionMs: 60_000 };
    expect(await operator.resolve('m', as, how)).toBe(true);
    expect((await producer.status('m'))?.state).toBe(state);
    expect(await operator.deadLetters.count()).toBe(0);
    expect(recorded('relay').mails).toHaveLength(1);
  });

  test('for some recipients holds those only: a deferred one is still tried again', async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    const mixed = (mail: OutgoingMail): Outcome => ({
      kind: 'settled',
      recipients: mail.envelope.to.map((address) => ({
        address,
        outcome: address.startsWith('later') ? 'deferred' : 'uncertain',
        scope: 'recipient',
        reply: { code: null, enhancedCode: null, text: 'hm' },
      })),
    });
    const { recorded } = await startWorker({ prefix, config: holding, scripts: { relay: [mixed] } });
    await producer.send({ ...message, to: ['a@example.net', 'later@example.net'] });
    await until(async () => (await producer.status('m'))?.state === 'held', { what: 'it to be held' });
    expect(recorded('relay').mails.map(({ envelope }) => envelope.to)).toEqual([
      ['a@example.net', 'later@example.net'],
      ['later@example.net'],
    ]);
    const letter = await (await testOperator(prefix)).deadLetters.get('m');
    expect(letter?.recipients.map(({ address }) => address)).toEqual(['a@example.net']);
  });

  test('held past the deadline ends as dead, and the dead letter stays', async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    let ahead = 0;
    const now = () => Date.now() + ahead;
    await startWorker({ prefix, config: holding, scripts: { relay: ['uncertain'] }, now });
    await producer.send(message);
    await until(async () => (await producer.status('m'))?.state === 'held', { what: 'it to be held' });
    ahead = 2 * 3_600_000;
    await until(async () => (await producer.status('m'))?.state === 'dead', { what: 'the sweep to end it' });
    expect(await (await testOperator(prefix)).deadLetters.get('m')).toMatchObject({ reason: 'uncertain' });
  });
});

describe('a deadline', () => {
  test('ends a message that waits in a paused lane', async () => {
    const prefix = testPrefix();
    const producer = testProducer(prefix);
    const operator = await testOperator(prefix);
    let ahead = 0;
    const { recorded } = await startWorker({ prefix, config: configOf({ relay: {} }), now: () => Date.now() + ahead });
    await operator.lanes.pause('relay');
    await producer.send(message);
    await until(async () => (await operator.lanes.status('relay')).waiting === 1, { what: 'it to wait' });
    ahead = 2 * 3_600_000;
    await until(async () => (await producer.status('m'))?.state === 'dead', { what: 'the sweep to end it' });
    expect(await operator.deadLetters.get('m')).toMatchObject({ reason: 'expired' });
    await until(async () => (await operator.lanes.status('relay')).waiting === 0, { what: 'its job to go' });
    await operator.lanes.resume('relay');
    expect(recorded('relay').mails).toHaveLength(0);
  });
});

describe('the fence', () => {
  const row = (id: string): NewRow => ({
    id,
    connector: 'relay',
    rule: 'default',
    messageId: '<m@example.com>',
    acceptedAt: 1,
    deadline: 2 ** 42,
    recipients: [{ address: 'a@example.net', outcome: 'pending', code: null, reply: null }],
  });
  const attempt = { lockKey: '', token: 't1', now: 5, worker: 'w', overOpen: false, attempts: 0 };
  const settlement = {
    state: 'sent',
    recipients: [],
    entry: { at: 9, event: 'sent' },
    retryAt: null,
    reason: null,
    retentionMs: 60_000,
    deadLetter: null,
    countAttempt: true,
    connectorWorks: true,
  } as const;

  async function setUp() {
    const prefix = testPrefix();
    const redis = testConnection();
    const lockKey = `${prefix}:lock`;
    await redis.set(lockKey, 't1');
    return { ledger: openQueues(redis, { prefix }).ledger, redis, lockKey };
  }

  test('lets only the holder of the lock start', async () => {
    const { ledger, lockKey } = await setUp();
    expect(await ledger.fence(row('m'), { ...attempt, lockKey, token: 'other' })).toBe('lost');
    expect(await ledger.read('m')).toBeNull();
    expect(await ledger.fence(row('m'), { ...attempt, lockKey })).toBe('go');
    expect(await ledger.read('m')).toMatchObject({ state: 'sending', attempts: 1, open: { worker: 'w', at: 5 } });
  });

  test('stops a second attempt while one is open, unless it may pass over it', async () => {
    const { ledger, redis, lockKey } = await setUp();
    await ledger.fence(row('m'), { ...attempt, lockKey });
    await redis.set(lockKey, 't2');
    expect(await ledger.fence(row('m'), { ...attempt, lockKey, token: 't2' })).toBe('open');
    expect(await ledger.fence(row('m'), { ...attempt, lockKey, token: 't2', overOpen: true, attempts: 1 })).toBe('go');
    expect((await ledger.read('m'))?.history.map(({ event }) => event)).toEqual(['uncertain']);
  });

  test('says yes again to the same attempt, whose command was sent twice over a broken connection', async () => {
    const { ledger, lockKey } = await setUp();
    expect(await ledger.fence(row('m'), { ...attempt, lockKey })).toBe('go');
    expect(await ledger.fence(row('m'), { ...attempt, lockKey })).toBe('go');
    expect(await ledger.read('m')).toMatchObject({ attempts: 1, history: [] });
  });

  test('lets a late result settle the message until another attempt begins, and only notes it afterwards', async () => {
    const { ledger, redis, lockKey } = await setUp();
    await ledger.fence(row('m'), { ...attempt, lockKey });
    expect(await ledger.settle(row('m'), 't1', settlement)).toBe('ok');
    expect((await ledger.read('m'))?.state).toBe('sent');

    await ledger.fence(row('n'), { ...attempt, lockKey });
    await redis.set(lockKey, 't2');
    await ledger.fence(row('n'), { ...attempt, lockKey, token: 't2', overOpen: true, attempts: 1 });
    expect(await ledger.settle(row('n'), 't1', settlement)).toBe('late');
    expect((await ledger.read('n'))?.state).toBe('sending');
    expect(await ledger.settle(row('n'), 't2', settlement)).toBe('ok');
  });

  test('does not take one token for another that begins like it', async () => {
    const { ledger, redis, lockKey } = await setUp();
    await redis.set(lockKey, 't12');
    await ledger.fence(row('m'), { ...attempt, lockKey, token: 't12' });
    expect(await ledger.settle(row('m'), 't1', settlement)).toBe('late');
  });

  test('stops a message that was cancelled, settled or held', async () => {
    const { ledger, lockKey } = await setUp();
    await ledger.create(row('m'));
    expect(await ledger.cancel('m', 1, 60_000, null)).toBe(true);
    expect(await ledger.fence(row('m'), { ...attempt, lockKey })).toBe('cancelled');
    await ledger.settle(row('n'), null, settlement);
    expect(await ledger.fence(row('n'), { ...attempt, lockKey })).toBe('sent');
    await ledger.settle(row('h'), null, { ...settlement, state: 'held', retentionMs: null });
    expect(await ledger.fence(row('h'), { ...attempt, lockKey })).toBe('held');
  });
});

describe('an attempt without a known result that can be looked up', () => {
  const verifying = (onUnverified: 'retry' | 'hold') =>
    configOf({ relay: { retry: { ...policy, onUncertain: 'verify', onUnverified } } });

  /** A transport that says what `looks` says, one look after the other, and then for ever the last of them. */
  function looking(looks: readonly Verification[]) {
    const seen: number[] = [];
    const recording = createRecordingTransport({ script: ['uncertain'] });
    const verify = async (): Promise<Verification> => {
      seen.push(Date.now());
      return looks[Math.min(seen.length, looks.length) - 1]!;
    };
    return { recording, seen, transport: { ...recording, mails: recording.mails, verify } };
  }

  test.each([
    ['found at once', ['sent'], 'retry', 'sent', 1],
    ['found at the third look', ['unknown', 'unknown', 'sent'], 'retry', 'sent', 1],
    ['not there', ['not-sent'], 'hold', 'sent', 2],
    ['never found out, and held', ['unknown'], 'hold', 'held', 1],
    ['never found out, and made again', ['unknown'], 'retry', 'sent', 2],
    ['not to be looked for, and held', ['forbidden'], 'hold', 'held', 1],
    ['not to be looked for, and made again', ['forbidden'], 'retry', 'sent', 2],
  ] as const)(
    '%s: ends as it should, with as many copies as it should',
    async (_, looks, onUnverified, state, copies) => {
      const prefix = testPrefix();
      const timing = { verifyForMs: 1_500 };
      const producer = testProducer(prefix);
      const { recording, seen, transport } = looking(looks);
      const { of } = await startWorker({
        prefix,
        config: verifying(onUnverified),
        transports: { relay: transport },
        timing,
      });
      await producer.send(message);
      await until(async () => (await producer.status('m'))?.state === state, { what: `it to be ${state}` });
      expect(recording.mails).toHaveLength(copies);
      // What stays unknown is looked for as long as the time for it says; anything else ends at once.
      const lookedForMs = (seen.at(-1) ?? 0) - (seen[0] ?? 0);
      const staysUnknown = looks.at(-1) === 'unknown';
      expect(staysUnknown ? lookedForMs > 1_000 : seen.length === looks.length).toBe(true);
      await until(() => of('verified').length === seen.length, { what: 'the events' });
      expect((await producer.status('m'))?.attempts).toBe(copies);
    },
  );
});
