/** Dead letters and held messages with large attachments, where bodies are sealed: what an operator can do is the same. */
import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { encodeWire } from '../../src/queue/jobs.ts';
import type { Outcome, OutgoingMail } from '../../src/transport/transport.ts';
import type { RecordingStep } from '../../src/transport/recording.ts';
import { until } from '../../testkit/until.ts';
import { configOf, startWorker, testOperator, testProducer } from '../support/postlane.ts';
import { shardCount, testConnection, testPrefix } from '../support/redis.ts';

const encryption = { active: 'k1', keys: { k1: randomBytes(32).toString('base64') } };
const retry = { firstDelayMs: 40, maxDelayMs: 200, lifetimeMs: 3_600_000, onUncertain: 'hold' } as const;
const content = randomBytes(200_000);
const inMail = content.toString('base64').slice(0, 60);
const how = () => ({ via: null, now: Date.now(), lifetimeMs: 60_000 });

async function started(script: readonly RecordingStep[], to: readonly string[] = ['a@example.net']) {
  const prefix = testPrefix();
  const producer = testProducer(prefix, { encryption });
  const operator = await testOperator(prefix, undefined, undefined, { encryption });
  const config = { ...configOf({ relay: { retry }, other: {} }), encryption };
  const { recorded } = await startWorker({ prefix, config, scripts: { relay: script } });
  const attachments = [{ filename: 'large.bin', content }];
  await producer.send({ id: 'm', from: 'x@example.com', to: [...to], text: 'x', attachments });
  const state = (wanted: string): Promise<unknown> =>
    until(async () => (await producer.status('m'))?.state === wanted, { what: `it to be ${wanted}` });
  const redis = testConnection();
  const stored = (): Promise<number> => redis.zcard(`${prefix}:contents`);
  const findings = async (): Promise<unknown[]> => {
    const found = [];
    const senders = ['relay', 'other'];
    const options = { fix: false, now: Date.now, senders, lifetimeMs: 60_000, retentionMs: 60_000, lookAgainMs: 20 };
    for await (const each of operator.diagnose(options)) if (each.kind !== 'key-missing') found.push(each);
    return found;
  };
  return { prefix, redis, producer, operator, recorded, state, stored, findings };
}

test('a dead letter with a large attachment is sent whole by a replay, also through another connector', async () => {
  const { operator, recorded, state } = await started(['rejected', 'rejected']);
  await state('dead');
  expect(await operator.replay('m', how())).toBe('replayed');
  await until(() => recorded('relay').mails.length === 2, { what: 'the second attempt' });
  await state('dead');
  expect(await operator.replay('m', { ...how(), via: 'other' })).toBe('replayed');
  await state('sent');
  expect(recorded('other').mails[0]!.bytes.toString()).toContain(inMail);
});

test('a dead letter with a large attachment that is dropped frees it, and the doctor finds nothing before', async () => {
  const { operator, state, stored, findings } = await started(['rejected']);
  await state('dead');
  expect(await findings()).toEqual([]);
  expect(await stored()).toBe(1);
  expect(await operator.drop('m')).toBe(true);
  expect(await stored()).toBe(0);
});

const [taken, refused, maybe] = ['a@example.net', 'refused@example.net', 'maybe@example.net'];
function mixed(mail: OutgoingMail): Outcome {
  const outcomes: Record<string, 'accepted' | 'rejected' | 'uncertain'> = {
    [refused]: 'rejected',
    [maybe]: 'uncertain',
  };
  const reply = { code: '550', enhancedCode: null, text: 'what it said' };
  const recipients = mail.envelope.to.map((address) => {
    return { address, outcome: outcomes[address] ?? 'accepted', scope: 'recipient', reply } as const;
  });
  return { kind: 'settled', recipients };
}

test('a held message with a large attachment that is resolved as sent keeps the dead letter of who was refused', async () => {
  const { operator, recorded, state } = await started([mixed], [taken, refused, maybe]);
  await state('held');
  const asked = { now: Date.now(), lifetimeMs: 60_000, retentionMs: 60_000 };
  expect(await operator.resolve('m', 'sent', asked)).toBe(true);
  expect(await operator.deadLetters.get('m')).toMatchObject({ recipients: [{ address: refused }] });
  expect(await operator.replay('m', how())).toBe('replayed');
  await until(() => recorded('relay').mails.length === 2, { what: 'the replayed mail' });
  expect(recorded('relay').mails[1]!.envelope.to).toEqual([refused]);
  expect(recorded('relay').mails[1]!.bytes.toString()).toContain(inMail);
});

test('a held message with a large attachment is sent whole once it is resolved as retry', async () => {
  const { operator, recorded, state } = await started(['uncertain']);
  await state('held');
  expect(await operator.resolve('m', 'retry', { now: Date.now(), lifetimeMs: 60_000, retentionMs: 60_000 })).toBe(true);
  await state('sent');
  expect(recorded('relay').mails[1]!.bytes.toString()).toContain(inMail);
});

test.skipIf(shardCount() > 1)(
  'attack: a plain dead letter that names the stored content of another message, written into Redis, is replayed to nobody',
  async () => {
    const { prefix, redis, operator, producer, recorded, state } = await started(['rejected']);
    await state('dead');
    const [ref = ''] = await redis.zrange(`${prefix}:contents`, '0', '0');
    const letter = await redis.hgetall(`${prefix}:dead:m`);
    const row = await redis.hgetall(`${prefix}:ledger:m`);
    const envelope = { from: 'x@example.com', to: ['thief@example.org'] };
    const message = {
      id: 'stolen',
      from: { address: 'x@example.com' },
      to: [{ address: 'thief@example.org' }],
      cc: [],
    };
    const data = encodeWire({
      ...message,
      envelope,
      attachments: [{ filename: 'a.bin', ref, size: content.length }],
    } as never);
    const recipients = JSON.stringify([{ address: 'thief@example.org', code: null, reply: null }]);
    await redis.hset(`${prefix}:dead:stolen`, { ...letter, recipients, data: JSON.stringify(data) });
    await redis.zadd(`${prefix}:dead`, Date.now(), 'stolen');
    await redis.hset(`${prefix}:ledger:stolen`, row);
    expect(await operator.replay('stolen', how())).toBe('replayed');
    await until(async () => (await producer.status('stolen'))?.reason === 'invalid-message', {
      what: 'it to be refused',
    });
    expect(recorded('relay').mails).toHaveLength(1);
  },
);
